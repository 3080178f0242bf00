//! Patterns of metric ids, which limit the metrics that a caller may read.

use std::fmt;
use std::str::FromStr;

use crate::{MAX_ID_CHARS, MetricId};

/// The maximum number of patterns in [`MetricPatterns`].
pub const MAX_METRIC_PATTERNS: usize = 100;

/// Why a text is not a [`MetricPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMetricPattern {
    /// The text is empty or longer than an id.
    #[error("the pattern has {chars} characters: expected 1 to {MAX_ID_CHARS}")]
    Length {
        /// How many characters the text has.
        chars: usize,
    },
    /// The text has a character that is allowed neither in an id nor in a pattern.
    #[error("the pattern has the character `{}`: expected only `A-Z a-z 0-9 _ -` and `*`", crate::visible(&.0.to_string()))]
    Character(char),
}

/// A pattern of metric ids, in which `*` matches any number of characters, including none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricPattern(String);

impl MetricPattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern matches the id.
    #[must_use]
    pub fn matches(&self, id: &MetricId) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == id.as_str() };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(id) = id.as_str().strip_prefix(start) else { return false };
        let Some(mut id) = id.strip_suffix(end) else { return false };
        // The leftmost match of each part leaves the longest remainder for the parts after it.
        middle.split('*').all(|part| match id.split_once(part) {
            Some((_, behind)) => {
                id = behind;
                true
            }
            None => false,
        })
    }
}

impl FromStr for MetricPattern {
    type Err = InvalidMetricPattern;

    fn from_str(text: &str) -> Result<Self, InvalidMetricPattern> {
        let chars = text.chars().count();
        if !(1..=MAX_ID_CHARS).contains(&chars) {
            return Err(InvalidMetricPattern::Length { chars });
        }
        let is_foreign =
            |character: &char| !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '*'));
        match text.chars().find(is_foreign) {
            Some(character) => Err(InvalidMetricPattern::Character(character)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for MetricPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// There are more than [`MAX_METRIC_PATTERNS`] patterns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there are {0} patterns: expected at most {MAX_METRIC_PATTERNS}")]
pub struct TooManyMetricPatterns(usize);

/// The metrics that match at least one of a list of patterns. An empty list matches no metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricPatterns(Vec<MetricPattern>);

impl MetricPatterns {
    /// Makes a list of patterns.
    ///
    /// # Errors
    ///
    /// [`TooManyMetricPatterns`] for more than [`MAX_METRIC_PATTERNS`].
    pub fn new(patterns: Vec<MetricPattern>) -> Result<Self, TooManyMetricPatterns> {
        if patterns.len() > MAX_METRIC_PATTERNS {
            return Err(TooManyMetricPatterns(patterns.len()));
        }
        Ok(Self(patterns))
    }

    /// Whether the id matches at least one pattern.
    #[must_use]
    pub fn contain(&self, id: &MetricId) -> bool {
        self.0.iter().any(|pattern| pattern.matches(id))
    }

    /// The patterns.
    #[must_use]
    pub fn as_slice(&self) -> &[MetricPattern] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, id: &str) -> bool {
        pattern.parse::<MetricPattern>().unwrap().matches(&MetricId::parse(id).unwrap())
    }

    #[test]
    fn a_star_matches_any_characters_or_none() {
        for (pattern, id, expected) in [
            ("a", "a", true),
            ("a", "A", false),
            ("a", "ab", false),
            ("*", "anything", true),
            ("**", "a", true),
            ("a*", "a", true),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "ac-b", false),
            ("*ab*ab*", "ab", false),
            ("*ab*ab*", "xabab", true),
            ("a_b", "a-b", false),
            ("a-*-z", "a-z", false),
            ("a-*-z", "a--z", true),
        ] {
            assert_eq!(matches(pattern, id), expected, "{pattern} {id}");
        }
    }

    #[test]
    fn refuses_malformed_patterns() {
        let refused = |text: &str| text.parse::<MetricPattern>().unwrap_err();
        assert_eq!(refused(""), InvalidMetricPattern::Length { chars: 0 });
        assert_eq!(refused(&"*".repeat(65)), InvalidMetricPattern::Length { chars: 65 });
        for character in ['%', ' ', '?', '.', 'é', '\0', '\\'] {
            assert_eq!(refused(&format!("a{character}")), InvalidMetricPattern::Character(character));
        }
        let pattern: MetricPattern = "a".parse().unwrap();
        assert!(MetricPatterns::new(vec![pattern.clone(); MAX_METRIC_PATTERNS]).is_ok());
        assert_eq!(MetricPatterns::new(vec![pattern; 101]), Err(TooManyMetricPatterns(101)));
    }

    #[test]
    fn an_empty_list_matches_no_metric() {
        assert!(!MetricPatterns::default().contain(&MetricId::parse("a").unwrap()));
    }

    proptest! {
        /// Each pattern matches the same ids as the regular expression that it abbreviates.
        #[test]
        fn a_pattern_matches_like_its_regular_expression(pattern in "[ab*]{1,8}", id in "[ab]{1,8}") {
            let expression = format!("^(?:{})$", pattern.replace('*', ".*"));
            let expected = regex::Regex::new(&expression).unwrap().is_match(&id);
            prop_assert_eq!(matches(&pattern, &id), expected, "{} {}", pattern, id);
        }
    }
}
