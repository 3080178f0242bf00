//! Errors of a session.

use std::io;

use metricd_connection::ConnectError;

/// Why a session has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// The session could not be opened, or was lost.
    Lost(String),
    /// PostgreSQL reports an error.
    Refused {
        /// The SQLSTATE: five characters.
        sqlstate: String,
        /// PostgreSQL's message.
        message: String,
    },
}

impl SessionError {
    /// Parses the fields of an `ErrorResponse`: each a type byte, a text and a zero byte, then a final zero byte. If
    /// that is missing, the last field was truncated.
    pub(super) fn refused(fields: &[u8]) -> Self {
        let (mut sqlstate, mut message) = (String::new(), String::new());
        for field in fields.split(|byte| *byte == 0) {
            match field {
                [b'C', text @ ..] => sqlstate = String::from_utf8_lossy(text).into_owned(),
                [b'M', text @ ..] => message = String::from_utf8_lossy(text).into_owned(),
                _ => {}
            }
        }
        if !fields.ends_with(&[0]) && !message.is_empty() {
            // The text may end within a character.
            message.truncate(message.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            message.push('…');
        }
        Self::Refused { sqlstate, message }
    }
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<ConnectError> for SessionError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(refusal) => {
                Self::Refused { sqlstate: refusal.code().code().to_owned(), message: refusal.message().to_owned() }
            }
            error => Self::Lost(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_truncated_error() {
        let refused = |fields: &[u8]| SessionError::refused(fields);
        let expected = |message: &str| SessionError::Refused { sqlstate: "22P02".into(), message: message.into() };
        assert_eq!(refused(b"SERROR\0VERROR\0C22P02\0Mno integer\0P8\0\0"), expected("no integer"));
        assert_eq!(refused(b"SERROR\0C22P02\0Mno inte"), expected("no inte…"));
        assert_eq!(refused(b"SERROR\0C22P02\0Mno int\xc3"), expected("no int…"));
        assert_eq!(refused(b"SERROR\0C22P02\0"), expected(""));
        assert_eq!(refused(b""), SessionError::Refused { sqlstate: String::new(), message: String::new() });
    }
}
