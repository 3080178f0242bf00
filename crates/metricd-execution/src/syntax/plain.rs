//! Plainer words for what the parser does not know.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::guard::is_reserved;

/// The tokens, among which is no white space, with plainer words for what PostgreSQL knows and the parser does not. Nothing that is
/// left out has an expression in it, and what is put in stands for the same. The tree is for looking at alone: what
/// PostgreSQL is given is the author's text.
pub(super) fn plain(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut plain: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let [token, behind @ ..] = rest {
        let (taken, put) = reword(plain.last(), rest);
        if taken == 0 {
            plain.push(token.clone());
            rest = behind;
        } else {
            plain.extend(put.iter().map(|put| TokenWithSpan::new(put.clone(), token.span)));
            rest = &rest[taken..];
        }
    }
    plain
}

/// How many of the tokens are reworded, and to what. `before` is what stands before them.
fn reword(before: Option<&TokenWithSpan>, rest: &[TokenWithSpan]) -> (usize, Vec<Token>) {
    let none = (0, Vec::new());
    let [token, behind @ ..] = rest else { return none };
    let follows = |words: &[&str]| before.is_some_and(|before| words.iter().any(|word| is_word(before, word)));
    let next_is = |word| behind.first().is_some_and(|next| is_word(next, word));
    match &token.token {
        // A string in two pieces, on two lines.
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
        Token::Word(word) if word.quote_style.is_none() && !follows(&["AS"]) => {
            match word.value.to_ascii_uppercase().as_str() {
                _ if before.is_some_and(|before| before.token == Token::Period) => none,
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
                "EXCLUDE" => (frame_exclusion(rest), Vec::new()),
                "SEARCH" | "CYCLE" if before.is_some_and(|before| before.token == Token::RParen) => {
                    (recursion_clause(rest), Vec::new())
                }
                // A constant of a type that the parser has no word for.
                _ if word.keyword == Keyword::NoKeyword => match behind.first().map(|next| &next.token) {
                    Some(text @ Token::SingleQuotedString(_)) => {
                        (2, vec![text.clone(), Token::DoubleColon, token.token.clone()])
                    }
                    _ => none,
                },
                _ => none,
            }
        }
        _ => none,
    }
}

fn opens_or_parts(before: Option<&TokenWithSpan>) -> bool {
    before.is_some_and(|before| matches!(before.token, Token::Comma | Token::LParen))
}

/// `USING (…) AS name` without the name, which is one for the columns between the parentheses.
fn join_alias(tokens: &[TokenWithSpan]) -> (usize, Vec<Token>) {
    let is_inside = |token: &&TokenWithSpan| matches!(token.token, Token::Word(_) | Token::Comma);
    let inside = tokens.iter().skip(2).take_while(is_inside).count();
    let opens = tokens.get(1).is_some_and(|token| token.token == Token::LParen);
    match tokens.get(2 + inside..) {
        Some([closing, behind, name, ..])
            if opens
                && closing.token == Token::RParen
                && is_word(behind, "AS")
                && matches!(name.token, Token::Word(_)) =>
        {
            (inside + 5, tokens[..inside + 3].iter().map(|token| token.token.clone()).collect())
        }
        _ => (0, Vec::new()),
    }
}

/// Whether a table's name may stand behind this.
fn begins_source(before: Option<&TokenWithSpan>) -> bool {
    let follows = before.is_some_and(|before| is_word(before, "FROM") || is_word(before, "JOIN"));
    follows || opens_or_parts(before)
}

/// How many tokens `EXCLUDE …` at the end of a window's frame has; 0 where there is none.
fn frame_exclusion(tokens: &[TokenWithSpan]) -> usize {
    let phrases: [&[&str]; 4] =
        [&["EXCLUDE", "CURRENT", "ROW"], &["EXCLUDE", "GROUP"], &["EXCLUDE", "TIES"], &["EXCLUDE", "NO", "OTHERS"]];
    let stands = |phrase: &&&[&str]| {
        let ends = tokens.get(phrase.len()).is_some_and(|token| token.token == Token::RParen);
        ends && phrase.iter().zip(tokens).all(|(word, token)| is_word(token, word))
    };
    phrases.iter().find(stands).map_or(0, |phrase| phrase.len())
}

/// How many tokens `SEARCH DEPTH FIRST BY name, … SET name` or `CYCLE name, … SET name [TO constant DEFAULT constant] USING
/// name` behind a WITH query has; 0 where there is neither. Taken word by word: SEARCH, CYCLE and SET are names as well, and
/// what looks like the clause may be a query's own, which must not be left out.
fn recursion_clause(tokens: &[TokenWithSpan]) -> usize {
    let mut clause = Clause { rest: tokens };
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

/// Tokens that are taken one by one.
struct Clause<'a> {
    rest: &'a [TokenWithSpan],
}

impl Clause<'_> {
    fn take(&mut self, is_it: impl Fn(&TokenWithSpan) -> bool) -> bool {
        let [first, behind @ ..] = self.rest else { return false };
        let is_it = is_it(first);
        if is_it {
            self.rest = behind;
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
        self.take(|token| {
            matches!(token.token, Token::SingleQuotedString(_) | Token::Number(..))
                || ["TRUE", "FALSE", "NULL"].iter().any(|word| is_word(token, word))
        })
    }
}

pub(super) fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}
