//! The operators of filters, named as in PostgREST.

use std::fmt;

/// An operator of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Operator {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    IsDistinct,
    Like,
    Ilike,
    Contains,
    Contained,
    Overlaps,
    Is,
}

/// Operators of PostgREST that filters do not have: regular expressions, full-text search, the positions of ranges, and
/// trees of conditions.
const UNSUPPORTED: [&str; 13] =
    ["match", "imatch", "fts", "plfts", "phfts", "wfts", "sl", "sr", "nxr", "nxl", "adj", "and", "or"];

impl Operator {
    pub(super) const ALL: [Self; 14] = [
        Self::Eq,
        Self::Neq,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::In,
        Self::IsDistinct,
        Self::Like,
        Self::Ilike,
        Self::Contains,
        Self::Contained,
        Self::Overlaps,
        Self::Is,
    ];

    /// The name in a filter.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::In => "in",
            Self::IsDistinct => "isdistinct",
            Self::Like => "like",
            Self::Ilike => "ilike",
            Self::Contains => "cs",
            Self::Contained => "cd",
            Self::Overlaps => "ov",
            Self::Is => "is",
        }
    }

    /// The name of PostgreSQL's operator in the schema `pg_catalog`. `IS` is a construct of its own.
    pub(super) fn sql_name(self) -> &'static str {
        match self {
            Self::Eq | Self::In | Self::Is => "=",
            Self::Neq | Self::IsDistinct => "<>",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Like => "~~",
            Self::Ilike => "~~*",
            Self::Contains => "@>",
            Self::Contained => "<@",
            Self::Overlaps => "&&",
        }
    }

    /// Parses the name.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and which operators there are.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        if let Some(operator) = Self::ALL.into_iter().find(|operator| operator.name() == name) {
            return Ok(operator);
        }
        let bare = name.split_once('(').map_or(name, |(bare, _)| bare);
        let is_known = Self::ALL.iter().any(|operator| operator.name() == bare);
        let wrong = match name {
            "not" => "`not` stands once, before the operator".to_owned(),
            _ if bare != name && is_known => "modifiers of operators, such as `any`, are not supported".to_owned(),
            _ if UNSUPPORTED.contains(&bare) => format!("the operator `{bare}` of PostgREST is not supported"),
            _ => format!("there is no operator `{}`", metricd_domain::shortened(name, 30)),
        };
        Err(format!("{wrong}: expected {}", listed(&Self::ALL)))
    }
}

/// The names of operators for a message.
pub(super) fn listed(operators: &[Operator]) -> String {
    let names: Vec<_> = operators.iter().map(|operator| format!("`{operator}`")).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_known_by_its_name() {
        for operator in Operator::ALL {
            assert_eq!(Operator::parse(operator.name()), Ok(operator));
        }
        for (name, wrong) in [
            ("", "there is no operator ``"),
            ("EQ", "there is no operator `EQ`"),
            ("= 1 OR", "there is no operator `= 1 OR`"),
            ("not", "stands once"),
            ("eq(any)", "modifiers"),
            ("fts", "the operator `fts` of PostgREST is not supported"),
            ("fts(german)", "the operator `fts` of PostgREST is not supported"),
            ("or(a", "the operator `or` of PostgREST is not supported"),
            ("sl", "not supported"),
            (&"x".repeat(5_000), "…`"),
        ] {
            let message = Operator::parse(name).unwrap_err();
            assert!(message.contains(wrong) && message.ends_with("`ov` or `is`"), "{name}: {message}");
            assert!(message.len() < 300, "{message}");
        }
    }
}
