//! PostgreSQL's keywords.

use std::collections::HashMap;
use std::sync::LazyLock;

static KEYWORDS: LazyLock<HashMap<&str, Keyword>> = LazyLock::new(|| {
    let lines = include_str!("keywords.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut parts = line.split(' ');
            let (word, category) = (parts.next()?, Category::parse(parts.next()?)?);
            Some((word, Keyword { category, needs_as: parts.next().is_some() }))
        })
        .collect()
});

/// A keyword of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyword {
    pub(crate) category: Category,
    /// Whether it can be a column alias only after AS.
    pub(crate) needs_as: bool,
}

/// What a keyword may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    /// Any object.
    Unreserved,
    /// Anything but functions and types.
    ColumnName,
    /// Only functions and types.
    FunctionOrType,
    /// Only columns of a result.
    Reserved,
}

impl Category {
    fn parse(letter: &str) -> Option<Self> {
        match letter {
            "U" => Some(Self::Unreserved),
            "C" => Some(Self::ColumnName),
            "T" => Some(Self::FunctionOrType),
            "R" => Some(Self::Reserved),
            _ => None,
        }
    }
}

/// Looks up a word among the keywords.
pub(crate) fn keyword(word: &str) -> Option<Keyword> {
    KEYWORDS.get(word.to_ascii_lowercase().as_str()).copied()
}

/// Whether SQL has to quote the word where it names a table or a column.
#[must_use]
pub fn is_reserved(word: &str) -> bool {
    keyword(word).is_some_and(|keyword| matches!(keyword.category, Category::FunctionOrType | Category::Reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_keyword_and_words_fold_as_ascii() {
        let lines = include_str!("keywords.txt").lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(KEYWORDS.len(), lines);
        assert!(is_reserved("SELECT") && is_reserved("left") && !is_reserved("interval") && !is_reserved("member"));
        assert!(!is_reserved("li\u{212a}e") && keyword("day").is_some_and(|keyword| keyword.needs_as));
    }
}
