//! The scopes of tokens.

use std::fmt;
use std::str::FromStr;

/// A right that a token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read results, definitions, dashboards and reports.
    Read,
    /// Change metrics.
    Write,
    /// Ingest files.
    Ingest,
}

/// The text names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the scope `{}` is not known: expected one of `metrics:read`, `metrics:write`, `metrics:ingest`", metricd_domain::visible(.0))]
pub struct InvalidScope(String);

impl Scope {
    /// All scopes.
    pub const ALL: &[Self] = &[Self::Read, Self::Write, Self::Ingest];

    /// The scope's name in a token.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "metrics:read",
            Self::Write => "metrics:write",
            Self::Ingest => "metrics:ingest",
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    /// Parses the name of a scope, which must match byte for byte.
    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let named = Self::ALL.iter().copied().find(|scope| scope.name() == text);
        named.ok_or_else(|| InvalidScope(text.to_owned()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A set of scopes. No scope implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether the set contains the scope.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & Self::bit(scope) != 0
    }

    fn bit(scope: Scope) -> u8 {
        1 << (scope as u8)
    }
}

impl Extend<Scope> for Scopes {
    fn extend<I: IntoIterator<Item = Scope>>(&mut self, scopes: I) {
        self.0 = scopes.into_iter().fold(self.0, |bits, scope| bits | Self::bit(scope));
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut all = Self::default();
        all.extend(scopes);
        all
    }
}
