//! The port that chooses among several servers with the same data.

use std::fmt::{self, Debug, Display};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{MetricRunner, RunError};

/// A position in PostgreSQL's write-ahead log, which every commit advances: `16/B374D848`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(u64);

/// Why a text is not a [`LogPosition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected two hexadecimal numbers of up to 8 digits with a slash between them, as in `16/B374D848`")]
pub struct InvalidLogPosition;

impl LogPosition {
    /// The position after this number of bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes before the position.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for LogPosition {
    type Err = InvalidLogPosition;

    fn from_str(text: &str) -> Result<Self, InvalidLogPosition> {
        let (high, low) = text.split_once('/').ok_or(InvalidLogPosition)?;
        let number = |digits: &str| {
            let is_valid = (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let number = is_valid.then(|| u64::from_str_radix(digits, 16).ok()).flatten();
            number.ok_or(InvalidLogPosition)
        };
        Ok(Self(number(high)? << 32 | number(low)?))
    }
}

impl Display for LogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The server that runs the SQL of a request.
#[derive(Debug, Clone)]
pub struct ChosenServer {
    /// Runs SQL on the server.
    pub runner: Arc<dyn MetricRunner>,
    /// The number of the server among all.
    pub number: usize,
    /// How long ago a change was committed, at most, that the server does not show yet. Zero for the primary.
    pub lag: Duration,
}

/// Several servers with the same data: a primary and its standbys.
#[async_trait]
pub trait Replicas: Debug + Send + Sync {
    /// Chooses a server that shows what was committed before this position, if there is one, and that is not too far
    /// behind. Waits at most this long for it.
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`] if there is none.
    async fn choose(&self, after: Option<LogPosition>, time: Duration) -> Result<ChosenServer, RunError>;

    /// The number of connections to all servers that run cancelled statements which have not stopped.
    fn stuck_connections(&self) -> usize;

    /// A position that everything committed so far precedes. `None` if the primary does not answer.
    async fn position(&self) -> Option<LogPosition>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        for (text, shown) in [("16/B374D848", "16/B374D848"), ("0/0", "0/0"), ("0000000f/00000001", "F/1")] {
            assert_eq!(text.parse::<LogPosition>().unwrap().to_string(), shown);
        }
        for text in ["", "/", "1", "1/", "/1", "1/2/3", "123456789/0", "0/123456789", "-1/0", "+1/0", "g/0", " 1/0"] {
            assert_eq!(text.parse::<LogPosition>(), Err(InvalidLogPosition), "{text}");
        }
        let position = |text: &str| text.parse::<LogPosition>().unwrap();
        assert!(position("1/0") > position("0/FFFFFFFF"));
    }
}
