//! Errors of a session.

use std::io;

use metricd_connection::ConnectError;

/// The class of the SQLSTATEs about connections.
const CONNECTION_CLASS: &str = "08";

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
    ///
    /// If PostgreSQL cannot connect to a foreign server, only the detail says why.
    pub(super) fn refused(fields: &[u8]) -> Self {
        let (mut sqlstate, mut message, mut detail) = (String::new(), String::new(), String::new());
        for field in fields.split(|byte| *byte == 0) {
            match field {
                [b'C', text @ ..] => sqlstate = String::from_utf8_lossy(text).into_owned(),
                [b'M', text @ ..] => message = String::from_utf8_lossy(text).into_owned(),
                [b'D', text @ ..] => detail = String::from_utf8_lossy(text).into_owned(),
                _ => {}
            }
        }
        if !fields.ends_with(&[0]) && !message.is_empty() {
            // The text may end within a character.
            message.truncate(message.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            message.push('…');
        }
        if sqlstate.starts_with(CONNECTION_CLASS)
            && let Some(reason) = detail.lines().next()
        {
            message = format!("{message}: {reason}");
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
        let SessionError::Refused { message, .. } =
            refused(b"C08001\0Mcould not connect\0Dport 1 failed\n\tIs it up?\0\0")
        else {
            panic!("it is refused");
        };
        assert_eq!(message, "could not connect: port 1 failed");
        assert_eq!(refused(b"C22P02\0Mno integer\0D7 is secret\0\0"), expected("no integer"));
        assert_eq!(refused(b""), SessionError::Refused { sqlstate: String::new(), message: String::new() });
    }
}
