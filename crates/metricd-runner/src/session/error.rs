//! Why a session gives no answer.

use std::error::Error;
use std::io;

use crate::first_line;

/// Why a session gives no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// There is no session, or none any more.
    Lost(String),
    /// PostgreSQL refuses what was asked.
    Refused {
        /// PostgreSQL's code of five characters.
        sqlstate: String,
        /// PostgreSQL's message.
        message: String,
    },
}

impl SessionError {
    /// Reads an error: fields, each a byte that says what it is, a text and a zero; at the end another zero. Where that is
    /// missing, the last field was cut.
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
            // Half a character may stand at the end.
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

impl From<tokio_postgres::Error> for SessionError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            return Self::Refused { sqlstate: answer.code().code().to_owned(), message: answer.message().to_owned() };
        }
        // The driver's own words are few; its cause says more.
        let cause = error.source().map(|cause| format!(": {}", first_line(&cause.to_string()))).unwrap_or_default();
        Self::Lost(format!("{error}{cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_error_that_was_cut() {
        let refused = |fields: &[u8]| SessionError::refused(fields);
        let expected = |message: &str| SessionError::Refused { sqlstate: "22P02".into(), message: message.into() };
        assert_eq!(refused(b"SERROR\0VERROR\0C22P02\0Mno integer\0P8\0\0"), expected("no integer"));
        assert_eq!(refused(b"SERROR\0C22P02\0Mno inte"), expected("no inte…"));
        assert_eq!(refused(b"SERROR\0C22P02\0Mno int\xc3"), expected("no int…"));
        assert_eq!(refused(b"SERROR\0C22P02\0"), expected(""));
        assert_eq!(refused(b""), SessionError::Refused { sqlstate: String::new(), message: String::new() });
    }
}
