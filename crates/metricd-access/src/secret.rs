//! The secret that both signs and verifies tokens.

use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};

use crate::{IssueError, NewToken};

/// The minimum length of a secret, in bytes: that of the hash (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// A secret for HS256.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

/// The secret is too short. The error reveals nothing of it but its length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret has {bytes} bytes: expected at least {MIN_SECRET_BYTES} random bytes, such as `openssl rand -base64 48` prints"
)]
pub struct InvalidSecret {
    bytes: usize,
}

impl Secret {
    /// Takes the bytes of the text. White space around them is removed, since an editor or `echo` may have left it.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] if the secret is shorter than 32 bytes.
    pub fn parse(text: String) -> Result<Self, InvalidSecret> {
        let text = SecretString::from(text);
        let trimmed = text.expose_secret().trim();
        let bytes = trimmed.len();
        if bytes < MIN_SECRET_BYTES { Err(InvalidSecret { bytes }) } else { Ok(Self(SecretString::from(trimmed))) }
    }

    /// Signs the token.
    ///
    /// # Errors
    ///
    /// [`IssueError`] if the token could never be valid, or cannot be signed.
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
