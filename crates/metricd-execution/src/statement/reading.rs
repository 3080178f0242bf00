//! Reading a statement's tokens: where it begins and ends, and where its parameters stand.

use std::collections::HashMap;
use std::ops::Range;

use metricd_domain::{ParameterName, SqlText};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::placeholder::{Brackets, Placeholder};
use super::{InvalidStatement, Statement};
use crate::Position;
use crate::position::PositionCursor;

/// A token that means something, with its bytes.
struct Word<'a> {
    token: &'a Token,
    range: Range<usize>,
    position: Position,
}

/// A text while its tokens are looked at.
pub(super) struct Reading {
    statement: Statement,
    /// Which of the parameters has which name.
    indexes: HashMap<String, usize>,
    brackets: Brackets,
}

impl Reading {
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
        let words = self.words(&sql, tokens)?;
        // A statement may stand behind a semicolon as well as before one.
        let is_semicolon = |word: &&Word<'_>| *word.token == Token::SemiColon;
        let begin = words.iter().position(|word| !is_semicolon(&word)).ok_or(InvalidStatement::Empty)?;
        let words = &words[begin..];
        let (body, rest) = words.split_at(words.iter().position(|word| is_semicolon(&word)).unwrap_or(words.len()));
        if let Some(first) = body.first().filter(|first| !begins_a_query(first.token)) {
            let word = first.token.to_string().chars().take(40).collect();
            return Err(InvalidStatement::NotAQuery { word, position: first.position });
        }
        if let Some(second) = rest.iter().find(|word| !is_semicolon(word)) {
            return Err(InvalidStatement::Several { position: second.position });
        }
        if let (Some(first), Some(last)) = (body.first(), body.last()) {
            self.statement.body = first.range.start..last.range.end;
        }
        for (index, word) in body.iter().enumerate() {
            self.take(word, body.get(index + 1..).unwrap_or_default())?;
        }
        self.statement.blanks.sort_by_key(|blank| blank.start);
        Ok(self.statement)
    }

    /// The tokens that mean something; comments are blanks.
    fn words<'a>(&mut self, sql: &SqlText, tokens: &'a [TokenWithSpan]) -> Result<Vec<Word<'a>>, InvalidStatement> {
        let mut cursor = PositionCursor::of(sql.as_str());
        let mut words: Vec<Word<'a>> = Vec::new();
        for TokenWithSpan { token, span } in tokens {
            let range = cursor.advance(span.start.into())..cursor.advance(span.end.into());
            match token {
                Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
                    self.statement.blanks.push(range);
                }
                Token::Whitespace(_) | Token::EOF => {}
                token => {
                    let word = Word { token, range, position: span.start.into() };
                    misread(sql.as_str(), words.last(), &word)?;
                    words.push(word);
                }
            }
        }
        Ok(words)
    }

    /// Takes the next word of the statement; `rest` is what follows it.
    fn take(&mut self, word: &Word<'_>, rest: &[Word<'_>]) -> Result<(), InvalidStatement> {
        let touches = |left: &Word<'_>, right: &Word<'_>| left.range.end == right.range.start;
        match (word.token, rest) {
            (Token::Placeholder(words), _) if words.starts_with('$') => {
                return Err(InvalidStatement::NumberedParameter { position: word.position, words: words.clone() });
            }
            (Token::Colon, [name, ..]) if touches(word, name) && !self.brackets.is_slice() => {
                if let Token::Word(sqlparser::tokenizer::Word { value, quote_style: None, .. }) = name.token {
                    self.placeholder(word.position, word.range.start..name.range.end, value)?;
                }
            }
            (Token::Word(prefix), [ampersand, quoted, ..])
                if prefix.value.eq_ignore_ascii_case("u")
                    && *ampersand.token == Token::Ampersand
                    && touches(word, ampersand)
                    && touches(ampersand, quoted) =>
            {
                self.unicode(word, quoted, &rest[2..])?;
            }
            _ => {}
        }
        self.brackets.pass(word.token);
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

    /// Takes `U&'…'`, with `UESCAPE '…'` behind it or without. What spells it is blank: the string in it ends where a plain
    /// one would.
    fn unicode(&mut self, prefix: &Word<'_>, quoted: &Word<'_>, rest: &[Word<'_>]) -> Result<(), InvalidStatement> {
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

/// Refuses text that PostgreSQL splits differently from the tokenizer: a comment that begins inside of an operator, as in
/// `|/*`, and an `E'…'` string that continues in another piece.
fn misread(text: &str, before: Option<&Word<'_>>, word: &Word<'_>) -> Result<(), InvalidStatement> {
    let Some(before) = before else { return Ok(()) };
    let syntax = |message: &str| Err(InvalidStatement::Syntax { position: word.position, message: message.to_owned() });
    let joint = text.get(before.range.end.saturating_sub(1)..word.range.start + 1);
    if before.range.end == word.range.start && matches!(joint, Some("--" | "/*")) {
        return syntax("a comment behind an operator: put a blank between them");
    }
    if matches!((before.token, word.token), (Token::EscapedStringLiteral(_), Token::SingleQuotedString(_))) {
        return syntax("a string that begins with E and goes on in another piece: write it in one piece");
    }
    Ok(())
}

/// Whether a query may begin with this: PostgreSQL's `SelectStmt`.
fn begins_a_query(token: &Token) -> bool {
    match token {
        Token::LParen => true,
        Token::Word(word) => matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE),
        _ => false,
    }
}
