//! `target_session_attrs`: which of several servers to connect to, with the values of libpq.

use std::str::FromStr;

/// The name of the parameter.
pub(super) const NAME: &str = "target_session_attrs";

/// The values of the parameter.
pub(super) const EXPECTED: &str = "`any`, `read-write`, `read-only`, `primary`, `standby` or `prefer-standby`";

/// Which server to connect to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TargetSession {
    /// Any server.
    #[default]
    Any,
    /// A server whose sessions may write; to the reader, the primary.
    ReadWrite,
    /// A server whose sessions may only read; to the reader, a standby.
    ReadOnly,
    /// The primary.
    Primary,
    /// A standby.
    Standby,
    /// A standby, or any server if there is none.
    PreferStandby,
}

impl TargetSession {
    /// The kinds of server to try, in order: `true` for a standby, `false` for the primary, `None` for any server.
    #[must_use]
    pub fn in_order(self) -> &'static [Option<bool>] {
        match self {
            Self::Any => &[None],
            Self::ReadWrite | Self::Primary => &[Some(false)],
            Self::ReadOnly | Self::Standby => &[Some(true)],
            Self::PreferStandby => &[Some(true), None],
        }
    }

    /// The value for libpq that selects the same server for a role whose transactions are read-only by default: libpq
    /// considers every session of such a role `read-only`.
    pub(super) fn for_reader(self) -> Option<&'static str> {
        match self {
            Self::ReadWrite => Some("primary"),
            Self::ReadOnly => Some("standby"),
            _ => None,
        }
    }
}

impl FromStr for TargetSession {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return Err(()),
        })
    }
}
