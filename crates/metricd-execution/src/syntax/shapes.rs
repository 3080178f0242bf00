//! Rewrites syntax that spans parentheses and that the parser cannot read.
//!
//! As in [`normalize`](super::normalize), no expression is ever dropped, and the tree is used only for the check.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::clause::{Clause, ClauseTracker};
use super::token::{CLAUSE_KEYWORDS, is, is_name, is_one_of};

/// Rewrites the tokens to forms that the parser can read.
pub(super) fn with_known_shapes(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut shapes = Shapes {
        tokens,
        closing: closing(tokens),
        after_open: after_open(tokens),
        inserted: BTreeMap::new(),
        dropped: BTreeSet::new(),
    };
    let mut clauses = ClauseTracker::new();
    for (at, token) in tokens.iter().enumerate() {
        shapes.rewrite(at, &clauses);
        clauses.advance(&tokens[..at], token);
    }
    shapes.apply()
}

/// The index of the closing token for each opening parenthesis or bracket.
fn closing(tokens: &[TokenWithSpan]) -> Vec<Option<usize>> {
    let mut closing = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen | Token::LBracket => open.push(at),
            Token::RParen | Token::RBracket => {
                if let Some(opening) = open.pop() {
                    closing[opening] = Some(at);
                }
            }
            _ => {}
        }
    }
    closing
}

/// For each token, the index of the first token from it on that is not an opening parenthesis.
fn after_open(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut after_open = vec![0; tokens.len()];
    let mut first = tokens.len();
    for (at, token) in tokens.iter().enumerate().rev() {
        if token.token != Token::LParen {
            first = at;
        }
        after_open[at] = first;
    }
    after_open
}

struct Shapes<'a> {
    tokens: &'a [TokenWithSpan],
    closing: Vec<Option<usize>>,
    /// For each token, the index of the first token from it on that is not an opening parenthesis.
    after_open: Vec<usize>,
    /// The tokens to insert, by the index of the token after them.
    inserted: BTreeMap<usize, Vec<Token>>,
    /// The indexes of the tokens to drop.
    dropped: BTreeSet<usize>,
}

impl Shapes<'_> {
    fn get(&self, at: usize) -> Option<&TokenWithSpan> {
        self.tokens.get(at)
    }

    fn is(&self, at: usize, words: &[&str]) -> bool {
        is_one_of(self.get(at), words)
    }

    fn opens(&self, at: usize) -> bool {
        is(self.get(at), &Token::LParen)
    }

    fn insert(&mut self, at: usize, tokens: impl IntoIterator<Item = Token>) {
        self.inserted.entry(at).or_default().extend(tokens);
    }

    fn apply(mut self) -> Vec<TokenWithSpan> {
        let mut shaped = Vec::with_capacity(self.tokens.len());
        for (at, token) in self.tokens.iter().enumerate() {
            let inserted = self.inserted.remove(&at).unwrap_or_default();
            shaped.extend(inserted.into_iter().map(|inserted| TokenWithSpan::new(inserted, token.span)));
            if !self.dropped.contains(&at) {
                shaped.push(token.clone());
            }
        }
        let end = self.tokens.last().map_or(Span::empty(), |last| last.span);
        let inserted = self.inserted.into_values().flatten();
        shaped.extend(inserted.map(|inserted| TokenWithSpan::new(inserted, end)));
        shaped
    }

    fn rewrite(&mut self, at: usize, clauses: &ClauseTracker) {
        let Some(token) = self.get(at) else { return };
        let clause = clauses.clause();
        let previous = at.checked_sub(1);
        let follows = |words: &[&str]| previous.is_some_and(|previous| self.is(previous, words));
        match &token.token {
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::SELECT if self.has_no_columns(at + 1) => self.insert(at + 1, [word_token("NULL")]),
                Keyword::VALUES if previous.is_some_and(|previous| self.opens(previous)) => {
                    self.values_as_query(at, clauses);
                }
                Keyword::ROWS if self.is(at + 1, &["from"]) && self.opens(at + 2) && clause == Clause::Sources => {
                    self.dropped.extend([at, at + 1]);
                    self.insert(at + 3, select_from());
                    let end = self.closing.get(at + 2).copied().flatten().unwrap_or(at);
                    if self.is(end + 1, &["with"]) && self.is(end + 2, &["ordinality"]) {
                        self.dropped.extend([end + 1, end + 2]);
                    }
                }
                Keyword::AS if clause == Clause::Sources && self.opens(at + 1) && self.defines_columns(at + 2) => {
                    self.insert(at + 1, [quoted("record")]);
                }
                Keyword::ONLY if clause == Clause::Sources && self.opens(at + 1) => self.only(at),
                Keyword::TABLESAMPLE if self.opens(at + 2) => self.sample(at + 2),
                Keyword::GROUPING | Keyword::SETS | Keyword::ROLLUP | Keyword::CUBE
                    if clause == Clause::Grouping
                        && (self.opens(at + 1) || self.is(at + 1, &["sets"]) && self.opens(at + 2)) =>
                {
                    self.dropped.insert(at);
                }
                _ if clause == Clause::Window => self.frame_bound(at),
                _ => {}
            },
            Token::Mul if clause == Clause::Sources && is_name(previous.and_then(|previous| self.get(previous))) => {
                self.dropped.insert(at);
            }
            // A grouping set without columns.
            Token::LParen if clause == Clause::Grouping && is(self.get(at + 1), &Token::RParen) => {
                self.insert(at + 1, [word_token("NULL")]);
            }
            // IN with a list that begins with a subquery.
            Token::LParen if follows(&["in"]) && self.opens(at + 1) => {
                let end = self.closing.get(at + 1).copied().flatten();
                if end.is_some_and(|end| is(self.get(end + 1), &Token::Comma)) {
                    self.insert(at + 1, [word_token("NULL"), Token::Comma]);
                }
            }
            Token::LParen
                if previous.is_some_and(|previous| self.opens(previous))
                    && clauses.outer() != Some(Clause::Sources)
                    && self.begins_query(at)
                    && self.continues_after(at) =>
            {
                self.insert(at, select_from());
            }
            _ if clause == Clause::Window => self.frame_bound(at),
            _ => {}
        }
    }

    fn has_no_columns(&self, at: usize) -> bool {
        matches!(self.get(at).map(|token| &token.token), None | Some(Token::EOF | Token::RParen | Token::SemiColon))
            || (self.is(at, &CLAUSE_KEYWORDS) && !self.is(at, &["from"]))
    }

    /// `(VALUES …)` as an expression, where the parser accepts only a query that begins with SELECT.
    fn values_as_query(&mut self, at: usize, clauses: &ClauseTracker) {
        let opening = at - 1;
        let is_part = opening.checked_sub(1).is_none_or(|before| {
            self.is(before, &["as", "materialized", "union", "intersect", "except", "all", "distinct"])
        });
        let Some(end) = self.closing.get(opening).copied().flatten() else { return };
        if !is_part && clauses.outer() != Some(Clause::Sources) {
            self.insert(at, select_from().into_iter().chain([Token::LParen]));
            self.insert(end, [Token::RParen]);
        }
    }

    /// Whether a query in parentheses begins here.
    fn begins_query(&self, at: usize) -> bool {
        let first = self.after_open.get(at).and_then(|first| self.get(*first));
        is_one_of(first, &["select", "with", "values", "table"])
    }

    /// Whether a query continues after its first part in parentheses.
    fn continues_after(&self, at: usize) -> bool {
        let end = self.closing.get(at).copied().flatten();
        end.is_some_and(|end| self.is(end + 1, &["union", "intersect", "except", "order", "limit", "offset", "fetch"]))
    }

    fn defines_columns(&self, at: usize) -> bool {
        matches!(self.get(at).map(|token| &token.token), Some(Token::Word(_)))
            && !self.is(at, &["select", "with", "values", "table"])
    }

    /// Removes ONLY and the parentheses from `ONLY (name)`.
    fn only(&mut self, at: usize) {
        let Some(end) = self.closing.get(at + 1).copied().flatten() else { return };
        let inside = self.tokens.get(at + 2..end).unwrap_or_default();
        if inside.iter().all(|token| matches!(token.token, Token::Word(_) | Token::Period)) {
            self.dropped.extend([at, at + 1, end]);
        }
    }

    /// Rewrites `SYSTEM (share) REPEATABLE (seed)` to `SYSTEM ((share, seed))`, because the parser does not accept an
    /// expression as the seed.
    fn sample(&mut self, opening: usize) {
        let Some(end) = self.closing.get(opening).copied().flatten() else { return };
        let Some(seed_end) = self.closing.get(end + 2).copied().flatten() else { return };
        if self.is(end + 1, &["repeatable"]) {
            self.dropped.extend([end, end + 1, end + 2]);
            self.insert(opening + 1, [Token::LParen]);
            self.insert(end, [Token::Comma]);
            self.insert(seed_end, [Token::RParen]);
        }
    }

    /// Puts the bound of a frame in parentheses, because the parser reads a bound that begins with a string as an
    /// interval.
    fn frame_bound(&mut self, at: usize) {
        let is_unit = |at: usize| self.is(at, &["range", "rows", "groups"]) && !is_name(self.get(at));
        let is_first = at.checked_sub(1).is_some_and(is_unit)
            || at.checked_sub(2).is_some_and(|unit| is_unit(unit) && self.is(at - 1, &["between"]));
        let is_second = at.checked_sub(2).is_some_and(|end| {
            self.is(at - 1, &["and"]) && self.is(end, &["preceding", "following", "row"]) && !is_name(self.get(end))
        });
        let is_expression = !self.is(at, &["current", "unbounded", "between"]) || is_name(self.get(at));
        if (is_first || is_second) && is_expression {
            let mut end = at;
            while let Some(token) = self.get(end) {
                match token.token {
                    Token::RParen | Token::RBracket => return,
                    Token::LParen | Token::LBracket => match self.closing[end] {
                        Some(closing) => end = closing,
                        None => return,
                    },
                    Token::Word(Word { keyword: Keyword::PRECEDING | Keyword::FOLLOWING, .. }) => {
                        self.insert(at, [Token::LParen]);
                        self.insert(end, [Token::RParen]);
                        return;
                    }
                    _ => {}
                }
                end += 1;
            }
        }
    }
}

/// Turns the source after it into a query. The guard does not check its columns.
fn select_from() -> [Token; 3] {
    [word_token("SELECT"), word_token("NULL"), word_token("FROM")]
}

fn word_token(word: &str) -> Token {
    Token::make_keyword(word)
}

fn quoted(name: &str) -> Token {
    Token::make_word(name, Some('"'))
}
