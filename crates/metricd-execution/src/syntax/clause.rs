//! Tracks the clause in which each token is.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::token::{is, is_name, is_one_of, is_word};

/// The purpose of the parentheses around a token, or the clause of the query in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Clause {
    /// The select list.
    Columns,
    /// FROM, but not the conditions of its joins.
    Sources,
    /// The condition of a join.
    Condition,
    /// GROUP BY.
    Grouping,
    /// WINDOW.
    Windows,
    /// The parentheses of a window.
    Window,
    /// The parentheses of CAST.
    Cast,
    /// The parentheses of `substring`.
    Substring,
    /// The parentheses after an alias: names, with or without types.
    Definitions,
    /// Anywhere else.
    #[default]
    Other,
}

#[derive(Debug, Default)]
struct Level {
    clause: Clause,
    /// The number of open CASE expressions.
    cases: usize,
}

/// The clauses around the next token, the innermost one last.
#[derive(Debug)]
pub(super) struct ClauseTracker {
    levels: Vec<Level>,
}

impl ClauseTracker {
    pub(super) fn new() -> Self {
        Self { levels: vec![Level::default()] }
    }

    pub(super) fn clause(&self) -> Clause {
        self.levels.last().map_or(Clause::Other, |level| level.clause)
    }

    /// The clause around the parentheses.
    pub(super) fn outer(&self) -> Option<Clause> {
        self.levels.iter().nth_back(1).map(|level| level.clause)
    }

    /// Whether a CASE expression is open.
    pub(super) fn is_in_case(&self) -> bool {
        self.levels.last().is_some_and(|level| level.cases > 0)
    }

    /// Processes the next token. `before` has the tokens before it.
    pub(super) fn advance(&mut self, before: &[TokenWithSpan], token: &TokenWithSpan) {
        let last = before.last();
        match &token.token {
            Token::LParen => {
                let clause = self.inside(before);
                self.levels.push(Level { clause, cases: 0 });
            }
            Token::LBracket => self.levels.push(Level::default()),
            Token::RParen | Token::RBracket if self.levels.len() > 1 => {
                self.levels.pop();
            }
            Token::Comma => self.change(&[Clause::Condition], Clause::Sources),
            Token::Word(word) if word.quote_style.is_none() => {
                self.word(&word.value.to_ascii_lowercase(), last);
            }
            _ => {}
        }
    }

    fn word(&mut self, word: &str, last: Option<&TokenWithSpan>) {
        use Clause::{Columns, Condition, Definitions, Grouping, Other, Sources, Windows};
        let Some(level) = self.levels.last_mut() else { return };
        match word {
            "case" => level.cases += 1,
            "end" => level.cases = level.cases.saturating_sub(1),
            "select" => *level = Level { clause: Columns, cases: 0 },
            "table" => *level = Level { clause: Sources, cases: 0 },
            "from" if !is_one_of(last, &["distinct"]) => self.change(&[Columns], Sources),
            "with" if is(last, &Token::LParen) => self.change(&[Sources, Definitions], Other),
            "on" => self.change(&[Sources], Condition),
            "join" => self.change(&[Condition], Sources),
            "group" => self.change(&[Columns, Sources, Condition, Other], Grouping),
            "window" => self.change(&[Columns, Sources, Condition, Grouping, Other], Windows),
            "for" if is_one_of(last, &["collation"]) => {}
            "where" | "having" | "order" | "limit" | "offset" | "fetch" | "for" | "union" | "intersect" | "except"
            | "values" => self.change(&[Columns, Sources, Condition, Grouping, Windows, Definitions], Other),
            _ => {}
        }
    }

    fn change(&mut self, from: &[Clause], to: Clause) {
        if let Some(level) = self.levels.last_mut().filter(|level| from.contains(&level.clause)) {
            level.clause = to;
        }
    }

    /// The purpose of parentheses that open after these tokens.
    fn inside(&self, before: &[TokenWithSpan]) -> Clause {
        let (last, second) = (before.last(), before.iter().nth_back(1));
        let outer = self.clause();
        let follows = |words: &[&str]| is_one_of(last, words);
        if follows(&["over"]) || (outer == Clause::Windows && follows(&["as"])) {
            Clause::Window
        } else if follows(&["cast", "treat"]) {
            Clause::Cast
        } else if follows(&["substring"]) {
            Clause::Substring
        } else if follows(&["as"])
            || (is_name(last) && outer != Clause::Columns && second.is_some_and(|second| is_word(second, "as")))
            || (is_name(last) && outer == Clause::Sources && is(second, &Token::RParen))
        {
            Clause::Definitions
        } else if outer == Clause::Grouping
            && (follows(&["by", "sets"]) || is(last, &Token::Comma) || is(last, &Token::LParen))
        {
            Clause::Grouping
        } else if outer == Clause::Sources
            && (follows(&["from", "join", "lateral", "only"]) || is(last, &Token::Comma) || is(last, &Token::LParen))
        {
            Clause::Sources
        } else {
            Clause::Other
        }
    }
}
