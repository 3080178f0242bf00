//! Reads the tokens of a statement: its bounds, and the ranges of its parameters.

use std::collections::HashMap;
use std::ops::Range;

use metricd_domain::{ParameterName, SqlText};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::placeholder::{Brackets, Placeholder};
use super::{InvalidStatement, Statement};
use crate::Position;
use crate::position::PositionCursor;

/// The maximum number of characters of the first token in a finding.
const MAX_TOKEN_CHARS: usize = 40;

/// A token that is neither white space nor a comment, with its byte range.
struct SignificantToken<'a> {
    token: &'a Token,
    range: Range<usize>,
    position: Position,
}

/// The state of reading the tokens of a text.
pub(super) struct StatementReader {
    statement: Statement,
    /// The index of each parameter, by its name.
    indexes: HashMap<String, usize>,
    brackets: Brackets,
}

impl StatementReader {
    pub(super) fn of(sql: &SqlText) -> Self {
        let statement = Statement {
            sql: sql.clone(),
            body: 0..0,
            parameters: Vec::new(),
            placeholders: Vec::new(),
            blanks: Vec::new(),
        };
        Self { statement, indexes: HashMap::new(), brackets: Brackets::default() }
    }

    pub(super) fn read(mut self, tokens: &[TokenWithSpan]) -> Result<Statement, InvalidStatement> {
        let sql = self.statement.sql.clone();
        let tokens = self.significant(&sql, tokens)?;
        // Semicolons may also precede the statement.
        let is_semicolon = |token: &&SignificantToken<'_>| *token.token == Token::SemiColon;
        let begin = tokens.iter().position(|token| !is_semicolon(&token)).ok_or(InvalidStatement::Empty)?;
        let tokens = &tokens[begin..];
        let (body, rest) =
            tokens.split_at(tokens.iter().position(|token| is_semicolon(&token)).unwrap_or(tokens.len()));
        if let Some(first) = body.first().filter(|first| !begins_a_query(first.token)) {
            let first_token = first.token.to_string().chars().take(MAX_TOKEN_CHARS).collect();
            return Err(InvalidStatement::NotAQuery { first_token, position: first.position });
        }
        if let Some(second) = rest.iter().find(|token| !is_semicolon(token)) {
            return Err(InvalidStatement::Several { position: second.position });
        }
        if let (Some(first), Some(last)) = (body.first(), body.last()) {
            self.statement.body = first.range.start..last.range.end;
        }
        for (index, token) in body.iter().enumerate() {
            self.process(token, body.get(index + 1..).unwrap_or_default())?;
        }
        self.statement.blanks.sort_by_key(|blank| blank.start);
        Ok(self.statement)
    }

    /// The significant tokens. Comments are recorded as blanks.
    fn significant<'a>(
        &mut self,
        sql: &SqlText,
        tokens: &'a [TokenWithSpan],
    ) -> Result<Vec<SignificantToken<'a>>, InvalidStatement> {
        let mut cursor = PositionCursor::of(sql.as_str());
        let mut significant_tokens: Vec<SignificantToken<'a>> = Vec::new();
        for TokenWithSpan { token, span } in tokens {
            let range = cursor.advance(span.start.into())..cursor.advance(span.end.into());
            match token {
                Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
                    self.statement.blanks.push(range);
                }
                Token::Whitespace(_) | Token::EOF => {}
                token => {
                    let significant = SignificantToken { token, range, position: span.start.into() };
                    misread(sql.as_str(), significant_tokens.last(), &significant)?;
                    significant_tokens.push(significant);
                }
            }
        }
        Ok(significant_tokens)
    }

    /// Processes the next token of the statement. `rest` has the tokens after it.
    fn process(&mut self, token: &SignificantToken<'_>, rest: &[SignificantToken<'_>]) -> Result<(), InvalidStatement> {
        let touches = |left: &SignificantToken<'_>, right: &SignificantToken<'_>| left.range.end == right.range.start;
        match (token.token, rest) {
            (Token::Placeholder(placeholder), _) if placeholder.starts_with('$') => {
                return Err(InvalidStatement::NumberedParameter {
                    position: token.position,
                    placeholder: placeholder.clone(),
                });
            }
            (Token::Colon, [name, ..]) if touches(token, name) && !self.brackets.is_slice() => {
                if let Token::Word(sqlparser::tokenizer::Word { value, quote_style: None, .. }) = name.token {
                    self.placeholder(token.position, token.range.start..name.range.end, value)?;
                }
            }
            (Token::Word(prefix), [ampersand, quoted, ..])
                if prefix.value.eq_ignore_ascii_case("u")
                    && *ampersand.token == Token::Ampersand
                    && touches(token, ampersand)
                    && touches(ampersand, quoted) =>
            {
                self.unicode(token, quoted, &rest[2..])?;
            }
            _ => {}
        }
        self.brackets.advance(token.token);
        Ok(())
    }

    fn placeholder(&mut self, position: Position, range: Range<usize>, name: &str) -> Result<(), InvalidStatement> {
        let name = ParameterName::parse(name).map_err(|cause| InvalidStatement::ParameterName { position, cause })?;
        let next = self.statement.parameters.len();
        let index = *self.indexes.entry(name.as_str().to_owned()).or_insert(next);
        if index == next {
            self.statement.parameters.push(name);
        }
        self.statement.placeholders.push(Placeholder { index, range });
        Ok(())
    }

    /// Processes `U&'…'`, with or without `UESCAPE '…'`. The prefix and the escape are recorded as blanks. The string
    /// between them ends like a plain one.
    fn unicode(
        &mut self,
        prefix: &SignificantToken<'_>,
        quoted: &SignificantToken<'_>,
        rest: &[SignificantToken<'_>],
    ) -> Result<(), InvalidStatement> {
        match quoted.token {
            Token::SingleQuotedString(_) => self.statement.blanks.push(prefix.range.start..quoted.range.start),
            Token::Word(_) => {
                let message = "a name that is spelled with U&: write the name itself".to_owned();
                return Err(InvalidStatement::Syntax { position: prefix.position, message });
            }
            _ => {}
        }
        if let [escape, character, ..] = rest
            && let (Token::Word(word), Token::SingleQuotedString(_)) = (escape.token, character.token)
            && word.value.eq_ignore_ascii_case("uescape")
        {
            self.statement.blanks.push(escape.range.start..character.range.end);
        }
        Ok(())
    }
}

/// Refuses text that PostgreSQL splits differently from the tokenizer: a comment that begins inside an operator, as in
/// `|/*`, and an `E'…'` string that continues in another piece.
fn misread(
    text: &str,
    before: Option<&SignificantToken<'_>>,
    token: &SignificantToken<'_>,
) -> Result<(), InvalidStatement> {
    let Some(before) = before else { return Ok(()) };
    let syntax =
        |message: &str| Err(InvalidStatement::Syntax { position: token.position, message: message.to_owned() });
    let joint = text.get(before.range.end.saturating_sub(1)..token.range.start + 1);
    if before.range.end == token.range.start && matches!(joint, Some("--" | "/*")) {
        return syntax("a comment directly after an operator: put a blank between them");
    }
    if matches!((before.token, token.token), (Token::EscapedStringLiteral(_), Token::SingleQuotedString(_))) {
        return syntax("a string that begins with E and goes on in another piece: write it in one piece");
    }
    Ok(())
}

/// Whether a query may begin with this token, by PostgreSQL's `SelectStmt`.
fn begins_a_query(token: &Token) -> bool {
    match token {
        Token::LParen => true,
        Token::Word(word) => matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE),
        _ => false,
    }
}
