//! Parses the text of a statement to a syntax tree whose positions are those of the text.

mod clause;
mod keywords;
mod names;
mod normalize;
mod operators;
mod shapes;
mod token;

use std::collections::BTreeMap;

use sqlparser::ast::Query;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

pub use self::keywords::is_reserved;
use self::keywords::keyword;
use self::names::with_names;
use self::normalize::normalized;
use self::operators::{is_operator_character, with_operators};
use self::shapes::with_known_shapes;
use self::token::{is, is_one_of, is_word};
use crate::position::{PositionCursor, position_of};
use crate::{FindingCode, Position, Statement};

/// The maximum depth of nested expressions, subqueries and parentheses.
const MAX_DEPTH: usize = 100;

/// The stack to walk and drop the tree of the longest text, in bytes. Chained operators nest as deep as their number.
const LONG_TEXT_STACK_BYTES: usize = 256 << 20;

/// Most texts are not longer than this, and need less stack. The stack of the caller may be too small even for them:
/// [`MAX_DEPTH`] levels took more than the 2 MB of a thread.
const MAX_SHORT_TEXT_BYTES: usize = 1_000;

/// The stack for texts up to [`MAX_SHORT_TEXT_BYTES`], in bytes.
const SHORT_TEXT_STACK_BYTES: usize = 32 << 20;

/// The syntax tree of a statement, with the parts that the parser drops.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) query: Box<Query>,
    /// The positions of locking clauses, in the order of the text.
    pub(crate) locks: Vec<Position>,
    sources: SourceForms,
}

/// Forms of table names that the parser does not know: `ONLY name`, `ONLY (name)` and `name *`.
#[derive(Debug, Default)]
struct SourceForms {
    /// The position of ONLY, by the position of the name after it.
    only: BTreeMap<Position, Position>,
    /// The end of the form, by the end of the name in it.
    ends: BTreeMap<Position, Position>,
}

impl Tree {
    /// The position of ONLY before the relation whose name begins at `position`.
    pub(crate) fn only_before(&self, position: Position) -> Option<Position> {
        self.sources.only.get(&position).copied()
    }

    /// The end of the form whose name ends at `name_end`.
    pub(crate) fn end_of_source(&self, name_end: Position) -> Position {
        self.sources.ends.get(&name_end).copied().unwrap_or(name_end)
    }
}

impl SourceForms {
    /// Collects the forms from the tokens. It also records `a * b` in expressions, which has no effect, because no
    /// relation is named there.
    fn of(tokens: &[TokenWithSpan]) -> Self {
        let mut forms = Self::default();
        for (at, token) in tokens.iter().enumerate() {
            let after = tokens.get(at + 1..).unwrap_or_default();
            match (&token.token, after) {
                _ if is_word(token, "ONLY") => {
                    let is_open = is(after.first(), &Token::LParen);
                    let name = after.get(usize::from(is_open)..).unwrap_or_default();
                    if let Some(first) = name.first() {
                        forms.only.insert(first.span.start.into(), token.span.start.into());
                    }
                    let is_part = |token: &&TokenWithSpan| matches!(token.token, Token::Word(_) | Token::Period);
                    let length = name.iter().take_while(is_part).count();
                    if is_open && let [.., last, closing] = name.get(..=length).unwrap_or_default() {
                        forms.ends.insert(last.span.end.into(), closing.span.end.into());
                    }
                }
                (Token::Word(_), [star, ..]) if star.token == Token::Mul => {
                    forms.ends.insert(token.span.end.into(), star.span.end.into());
                }
                _ => {}
            }
        }
        forms
    }
}

/// Why a text has no syntax tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoTree {
    pub(crate) code: FindingCode,
    pub(crate) position: Position,
    pub(crate) message: String,
}

impl NoTree {
    fn not_understood(position: Position, message: String) -> Self {
        Self { code: FindingCode::NotUnderstood, position, message }
    }
}

/// Calls `visit` with the syntax tree of the statement, on a stack that is large enough.
pub(crate) fn with_tree<T>(statement: &Statement, visit: impl FnOnce(Result<&Tree, NoTree>) -> T) -> T {
    let work = || visit(parse(statement).as_ref().map_err(Clone::clone));
    let is_short = statement.text().len() <= MAX_SHORT_TEXT_BYTES;
    stacker::grow(if is_short { SHORT_TEXT_STACK_BYTES } else { LONG_TEXT_STACK_BYTES }, work)
}

fn parse(statement: &Statement) -> Result<Tree, NoTree> {
    let text = blanked(statement);
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, &text).tokenize_with_location();
    let tokens = tokens.map_err(|error| NoTree::not_understood(error.location.into(), not_read(&error.message)))?;
    let tokens = with_operators(&with_placeholders(tokens, statement));
    let tokens = with_names(&tokens);
    let sources = SourceForms::of(&tokens);
    let tokens = normalized(&with_known_shapes(&tokens));
    let locks = tokens.windows(2).filter(|pair| {
        is_word(&pair[0], "FOR") && ["UPDATE", "SHARE", "NO", "KEY"].iter().any(|word| is_word(&pair[1], word))
    });
    let locks = locks.map(|pair| pair[0].span.start.into()).collect();
    let xml = xml_syntax(&tokens);
    let mut parser =
        Parser::new(&PostgreSqlDialect {}).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    let parsed = parser.parse_query().and_then(|query| match parser.peek_token() {
        end if end.token == Token::EOF => Ok(query),
        more => parser.expected("the end of the statement", more),
    });
    let query = parsed.map_err(|error| {
        if let Some(xml) = xml {
            return xml;
        }
        match error {
            ParserError::RecursionLimitExceeded => {
                let position = position_of(statement.text(), statement.body_range().start);
                NoTree::not_understood(
                    position,
                    format!("expected at most {MAX_DEPTH} levels of parentheses and subqueries"),
                )
            }
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                let end = || position_of(statement.text(), statement.body_range().end);
                let next = parser.peek_token();
                let fallback = if next.token == Token::EOF { end() } else { next.span.start.into() };
                let (message, position) = split_position(&message);
                NoTree::not_understood(position.unwrap_or(fallback), not_read(&message))
            }
        }
    })?;
    Ok(Tree { query, locks, sources })
}

/// Drops white space, and replaces the colon and the name of each parameter by one token.
fn with_placeholders(tokens: Vec<TokenWithSpan>, statement: &Statement) -> Vec<TokenWithSpan> {
    let mut cursor = PositionCursor::of(statement.text());
    let mut placeholders = statement.placeholders().iter().peekable();
    let mut tokens = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let mut joined = Vec::new();
    while let Some(token) = tokens.next() {
        let is_placeholder = token.token == Token::Colon && {
            let offset = cursor.advance(token.span.start.into());
            placeholders.next_if(|placeholder| placeholder.range.start == offset).is_some()
        };
        match if is_placeholder { tokens.next() } else { None } {
            Some(name) => {
                let placeholder = Token::Placeholder(format!("${}", name.token));
                joined.push(TokenWithSpan::new(placeholder, token.span.union(&name.span)));
            }
            None => joined.push(token),
        }
    }
    joined
}

/// The text of the statement, with blanks for everything that is not in the syntax tree, so that positions do not
/// change.
fn blanked(statement: &Statement) -> String {
    let mut blanks = statement.blanks().iter().peekable();
    let body = statement.body_range();
    let mut text = String::with_capacity(statement.text().len());
    for (offset, character) in statement.text().char_indices() {
        while blanks.next_if(|blank| blank.end <= offset).is_some() {}
        let is_blank = !body.contains(&offset) || blanks.peek().is_some_and(|blank| blank.contains(&offset));
        if is_blank && character != '\n' {
            text.push(' ');
        } else {
            text.push(character);
        }
    }
    text
}

/// Refuses PostgreSQL's syntax for XML, which the parser does not know. Metrics may not call these functions, whatever
/// their arguments are.
fn xml_syntax(tokens: &[TokenWithSpan]) -> Option<NoTree> {
    let is_call = |pair: &&[TokenWithSpan]| match &pair[0].token {
        Token::Word(word) if word.quote_style.is_none() && pair[1].token == Token::LParen => {
            word.value.to_ascii_lowercase().starts_with("xml") && keyword(&word.value).is_some()
        }
        Token::Word(_) => is_one_of(pair.first(), &["is", "not"]) && is_word(&pair[1], "document"),
        _ => false,
    };
    let pair = tokens.windows(2).find(is_call)?;
    let word = if is_word(&pair[1], "document") { &pair[1] } else { &pair[0] };
    let message =
        format!("`{}` may not be called: a metric does not read XML", word.token.to_string().to_ascii_lowercase());
    Some(NoTree { code: FindingCode::FunctionNotAllowed, position: word.span.start.into(), message })
}

/// Rewords the message of the parser, because PostgreSQL may expect something else than the parser.
fn not_read(message: &str) -> String {
    let cut = |text: &str| text.chars().take(80).collect::<String>();
    let expected = message.strip_prefix("Expected: ").and_then(|message| message.rsplit_once(", found: "));
    let what = match expected {
        Some(("an expression", operator)) if operator.len() > 1 && operator.chars().all(is_operator_character) => {
            return format!(
                "`{operator}` is a prefix operator that PostgreSQL itself does not have: call its function"
            );
        }
        Some((expected, "EOF")) => format!("the SQL ends where {} is expected", cut(expected)),
        Some((expected, found)) => format!("metricd cannot read `{}` here and expects {}", cut(found), cut(expected)),
        None => format!("metricd cannot read the SQL from here on ({})", cut(message)),
    };
    format!("{what}; if PostgreSQL accepts it, write it in another way")
}

/// Splits the position off the end of the parser's message.
fn split_position(message: &str) -> (String, Option<Position>) {
    let parts = message.rsplit_once(" at Line: ").and_then(|(message, position)| {
        let (line, column) = position.split_once(", Column: ")?;
        Some((message.to_owned(), Position { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    parts.map_or_else(|| (message.to_owned(), None), |(message, position)| (message, Some(position)))
}
