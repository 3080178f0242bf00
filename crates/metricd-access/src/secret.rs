//! The secret that both signs and verifies.

use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};

use crate::{IssueError, NewToken};

/// How many bytes a secret has at least: as many as the hash (RFC 7518, section 3.2).
const MIN_BYTES: usize = 32;

/// A secret of HS256.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

/// Why a text is no secret. It says nothing of the text but its length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret has {bytes} bytes: expected at least {MIN_BYTES} random ones, such as `openssl rand -base64 48` prints"
)]
pub struct InvalidSecret {
    bytes: usize,
}

impl Secret {
    /// Takes the text's bytes as they stand, but for white space around them, which an editor or `echo` may have left.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] where it is shorter than 32 bytes.
    pub fn parse(text: String) -> Result<Self, InvalidSecret> {
        let text = SecretString::from(text);
        let trimmed = text.expose_secret().trim();
        let bytes = trimmed.len();
        if bytes < MIN_BYTES { Err(InvalidSecret { bytes }) } else { Ok(Self(SecretString::from(trimmed))) }
    }

    /// A signed token.
    ///
    /// # Errors
    ///
    /// [`IssueError`] where the token would never be good.
    pub fn sign(&self, token: &NewToken) -> Result<String, IssueError> {
        let key = EncodingKey::from_secret(self.0.expose_secret().as_bytes());
        jsonwebtoken::encode(&Header::default(), &token.claims()?, &key)
            .map_err(|error| IssueError::Unsigned(error.to_string()))
    }

    pub(crate) fn key(&self) -> DecodingKey {
        DecodingKey::from_secret(self.0.expose_secret().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        assert_eq!(Secret::parse(format!(" {}\n", "x".repeat(31))).unwrap_err().bytes, 31);
        let secret = Secret::parse(format!(" {}\n", "@".repeat(32))).unwrap();
        assert!(!format!("{secret:?}").contains('@'), "{secret:?}");
    }
}
