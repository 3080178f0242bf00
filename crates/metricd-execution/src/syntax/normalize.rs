//! Rewrites single tokens and phrases that PostgreSQL knows and the parser does not.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::clause::{Clause, ClauseTracker};
use super::keywords::is_reserved;
use super::operators::is_operator;
use super::token::{is, is_name, is_one_of, is_string, is_word};

/// Replaces tokens that the parser does not know by equivalent ones. No expression is ever dropped. The tree is used
/// only for the check: PostgreSQL receives the text of the author.
pub(super) fn normalized(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut normalized: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut clauses = ClauseTracker::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let (taken, replacement) = replacement(&normalized, tokens.get(at..).unwrap_or_default(), clauses.clause());
        let taken = if taken == 0 {
            normalized.push(token.clone());
            1
        } else {
            normalized.extend(replacement.into_iter().map(|new| with_span(new, &tokens[at..at + taken])));
            taken
        };
        for passed in at..at + taken {
            clauses.advance(&tokens[..passed], &tokens[passed]);
        }
        at += taken;
    }
    normalized
}

/// Gives a new token the span of the equal token that it replaces, or else that of the first token.
fn with_span(token: Token, replaced: &[TokenWithSpan]) -> TokenWithSpan {
    let same = replaced.iter().find(|old| old.token == token).or(replaced.first());
    let span = same.map_or(Span::empty(), |old| old.span);
    TokenWithSpan::new(token, span)
}

/// The number of tokens at the start of `rest` to replace, and their replacement. `done` has the tokens before them.
fn replacement(done: &[TokenWithSpan], rest: &[TokenWithSpan], clause: Clause) -> (usize, Vec<Token>) {
    let none = (0, Vec::new());
    let before = done.last();
    let [token, after @ ..] = rest else { return none };
    let follows = |words: &[&str]| before.is_some_and(|before| words.iter().any(|word| is_word(before, word)));
    let next_is = |word| after.first().is_some_and(|next| is_word(next, word));
    match &token.token {
        // A string in two pieces on two lines.
        Token::SingleQuotedString(_)
            if before.is_some_and(|before| {
                let continues = matches!(
                    before.token,
                    Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::NationalStringLiteral(_)
                );
                continues && before.span.end.line < token.span.start.line
            }) =>
        {
            (1, Vec::new())
        }
        // A constant of a type that the parser does not know, such as `mood 'sad'`.
        Token::Word(Word { keyword: Keyword::NoKeyword, .. })
            if is_string(after.first()) && !follows(&["AS"]) && !is(before, &Token::Period) =>
        {
            let text = after.first().map_or(Token::EOF, |text| text.token.clone());
            (2, vec![text, Token::DoubleColon, token.token.clone()])
        }
        // All columns of a row, if the row is an expression or a part of one.
        Token::Mul if is(before, &Token::Period) => (1, vec![Token::make_word("*", Some('"'))]),
        // The older operator `:=` for named arguments.
        Token::Assignment if matches!(before.map(|before| &before.token), Some(Token::Word(_))) => {
            (1, vec![Token::RArrow])
        }
        // PostgreSQL accepts any operator before ANY, but the parser only comparisons.
        _ if is_one_of(after.first(), &["ANY", "ALL", "SOME"]) && is_operator(&token.token) => (1, vec![Token::Eq]),
        Token::Word(word) if word.quote_style.is_none() && !follows(&["AS"]) => {
            match word.value.to_ascii_uppercase().as_str() {
                _ if before.is_some_and(|before| before.token == Token::Period) => none,
                "TABLE" if follows(&["INTO", "TEMP", "TEMPORARY", "UNLOGGED"]) => (1, Vec::new()),
                "TABLE" => (1, vec![Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")]),
                "ONLY" if begins_source(before) => (1, Vec::new()),
                "SYMMETRIC" | "ASYMMETRIC" if follows(&["BETWEEN"]) => (1, Vec::new()),
                "ALL" | "DISTINCT" if follows(&["BY"]) => (1, Vec::new()),
                "ALL" if follows(&["LIKE", "ILIKE"]) => (1, vec![Token::make_keyword("ANY")]),
                "VARIADIC" if opens_or_parts(before) => (1, Vec::new()),
                "LEADING" | "TRAILING" | "BOTH" if next_is("FROM") => (2, Vec::new()),
                "USING" => join_alias(rest),
                "ISNULL" => (1, vec![Token::make_keyword("IS"), Token::make_keyword("NULL")]),
                "NOTNULL" => (1, ["IS", "NOT", "NULL"].map(Token::make_keyword).to_vec()),
                "NOT" if next_is("SIMILAR") => (1, Vec::new()),
                // `substring(text SIMILAR pattern ESCAPE character)`.
                "SIMILAR" if clause == Clause::Substring && !next_is("TO") => (1, vec![Token::Comma]),
                "ESCAPE" if clause == Clause::Substring => (1, vec![Token::Comma]),
                "COLLATE" => (collation(rest), Vec::new()),
                "COLLATION" if next_is("FOR") => (2, vec![Token::make_word("pg_collation_for", None)]),
                "AT" if next_is("LOCAL") && word.keyword == Keyword::AT => (2, Vec::new()),
                "NO" if follows(&["FOR"]) && next_is("KEY") => (2, Vec::new()),
                "KEY" if follows(&["FOR"]) && next_is("SHARE") => (1, Vec::new()),
                "EXCLUDE" => (frame_exclusion(rest), Vec::new()),
                "SEARCH" | "CYCLE" if before.is_some_and(|before| before.token == Token::RParen) => {
                    (recursion_clause(rest), Vec::new())
                }
                _ => none,
            }
        }
        _ => none,
    }
}

/// The number of tokens of `COLLATE name`, if the collation is one of PostgreSQL and no parenthesis follows; otherwise
/// 0. The parser reads it only after simple operands. A parenthesis would become that of the type or the name before
/// it.
fn collation(tokens: &[TokenWithSpan]) -> usize {
    let count = match tokens {
        [_, schema, point, _, ..] if point.token == Token::Period => {
            let is_own =
                matches!(&schema.token, Token::Word(Word { value, .. }) if value.eq_ignore_ascii_case("pg_catalog"));
            if is_own { 4 } else { 0 }
        }
        [_, name, ..] if matches!(name.token, Token::Word(_)) => 2,
        _ => 0,
    };
    if tokens.get(count).is_some_and(|next| next.token == Token::LParen) { 0 } else { count }
}

fn opens_or_parts(before: Option<&TokenWithSpan>) -> bool {
    before.is_some_and(|before| matches!(before.token, Token::Comma | Token::LParen))
}

/// Drops the alias in `USING (…) AS name`, which names the columns between the parentheses.
fn join_alias(tokens: &[TokenWithSpan]) -> (usize, Vec<Token>) {
    let is_inside = |token: &&TokenWithSpan| matches!(token.token, Token::Word(_) | Token::Comma);
    let inside = tokens.iter().skip(2).take_while(is_inside).count();
    let opens = tokens.get(1).is_some_and(|token| token.token == Token::LParen);
    match tokens.get(2 + inside..) {
        Some([closing, after, name, ..])
            if opens
                && closing.token == Token::RParen
                && is_word(after, "AS")
                && matches!(name.token, Token::Word(_)) =>
        {
            (inside + 5, tokens[..inside + 3].iter().map(|token| token.token.clone()).collect())
        }
        _ => (0, Vec::new()),
    }
}

/// Whether the name of a table can follow this token.
fn begins_source(before: Option<&TokenWithSpan>) -> bool {
    let follows = before.is_some_and(|before| is_word(before, "FROM") || is_word(before, "JOIN"));
    follows || opens_or_parts(before)
}

/// The number of tokens of `EXCLUDE …` at the end of a window frame. 0 if there is none.
fn frame_exclusion(tokens: &[TokenWithSpan]) -> usize {
    let phrases: [&[&str]; 4] =
        [&["EXCLUDE", "CURRENT", "ROW"], &["EXCLUDE", "GROUP"], &["EXCLUDE", "TIES"], &["EXCLUDE", "NO", "OTHERS"]];
    let is_next = |phrase: &&&[&str]| {
        let ends = tokens.get(phrase.len()).is_some_and(|token| token.token == Token::RParen);
        ends && phrase.iter().zip(tokens).all(|(word, token)| is_word(token, word))
    };
    phrases.iter().find(is_next).map_or(0, |phrase| phrase.len())
}

/// The number of tokens of `SEARCH DEPTH FIRST BY name, … SET name` or `CYCLE name, … SET name [TO constant DEFAULT
/// constant] USING name` after a WITH query. 0 if there is neither. It is parsed token by token, because SEARCH, CYCLE
/// and SET can also be names, and tokens of the query itself must not be dropped.
fn recursion_clause(tokens: &[TokenWithSpan]) -> usize {
    let mut clause = Recursion { rest: tokens };
    let is_whole = if clause.word("SEARCH") {
        (clause.word("BREADTH") || clause.word("DEPTH"))
            && clause.word("FIRST")
            && clause.word("BY")
            && clause.names()
            && clause.word("SET")
            && clause.name()
    } else {
        clause.word("CYCLE")
            && clause.names()
            && clause.word("SET")
            && clause.name()
            && (!clause.word("TO") || (clause.constant() && clause.word("DEFAULT") && clause.constant()))
            && clause.word("USING")
            && clause.name()
    };
    if is_whole { tokens.len() - clause.rest.len() } else { 0 }
}

/// A parser of the clause.
struct Recursion<'a> {
    rest: &'a [TokenWithSpan],
}

impl Recursion<'_> {
    fn take(&mut self, is_it: impl Fn(&TokenWithSpan) -> bool) -> bool {
        let [first, after @ ..] = self.rest else { return false };
        let is_it = is_it(first);
        if is_it {
            self.rest = after;
        }
        is_it
    }

    fn word(&mut self, word: &str) -> bool {
        self.take(|token| is_word(token, word))
    }

    fn name(&mut self) -> bool {
        self.take(|token| match &token.token {
            Token::Word(word) => word.quote_style == Some('"') || !is_reserved(&word.value),
            _ => false,
        })
    }

    fn names(&mut self) -> bool {
        let mut is_name = self.name();
        while is_name && self.take(|token| token.token == Token::Comma) {
            is_name = self.name();
        }
        is_name
    }

    fn constant(&mut self) -> bool {
        let typed = self.rest.first().filter(|token| is_name(Some(token)));
        if typed.is_some() {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        self.take(|token| {
            matches!(token.token, Token::SingleQuotedString(_) | Token::Number(..))
                || ["TRUE", "FALSE", "NULL"].iter().any(|word| is_word(token, word))
        })
    }
}
