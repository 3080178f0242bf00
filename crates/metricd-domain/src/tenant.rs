//! Tenants, for servers that serve several of them.

use std::fmt;

/// The maximum number of characters of a [`Tenant`].
pub const MAX_TENANT_CHARS: usize = 255;

/// Why a text is not a [`Tenant`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTenant {
    /// The text is empty or white space only.
    #[error("the tenant is blank")]
    Blank,
    /// The text has more than [`MAX_TENANT_CHARS`] characters.
    #[error("the tenant has more than {MAX_TENANT_CHARS} characters")]
    TooLong,
    /// The text has a control character.
    #[error("the tenant has a control character")]
    Control,
}

/// The name of a tenant. The row-level security policies of the database decide by it which rows a metric sees. Case is
/// significant, and nothing is trimmed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(String);

impl Tenant {
    /// Validates the text.
    ///
    /// # Errors
    ///
    /// [`InvalidTenant`] if the text is blank, has more than [`MAX_TENANT_CHARS`] characters, or has a control
    /// character.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidTenant> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(InvalidTenant::Blank);
        }
        if text.chars().nth(MAX_TENANT_CHARS).is_some() {
            return Err(InvalidTenant::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidTenant::Control);
        }
        Ok(Self(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_unchanged() {
        for name in ["a", "Acme GmbH", " a ", "naïve", "42", "o'neil\\", &"x".repeat(MAX_TENANT_CHARS)] {
            assert_eq!(Tenant::parse(name).unwrap().as_str(), name);
        }
        assert_ne!(Tenant::parse("a"), Tenant::parse("A"));
    }

    #[test]
    fn refuses_blank_long_and_control_characters() {
        for (text, expected) in [
            ("", InvalidTenant::Blank),
            (" \t", InvalidTenant::Blank),
            ("a\0b", InvalidTenant::Control),
            ("a\n", InvalidTenant::Control),
            (&"é".repeat(MAX_TENANT_CHARS + 1), InvalidTenant::TooLong),
        ] {
            assert_eq!(Tenant::parse(text), Err(expected), "{text:?}");
        }
    }
}
