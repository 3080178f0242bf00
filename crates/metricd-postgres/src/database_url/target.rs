//! Which of several servers a URL asks for: `target_session_attrs`, with libpq's words.

use std::str::FromStr;

use tokio_postgres::config::TargetSessionAttrs;

/// The parameter's name.
pub(super) const NAME: &str = "target_session_attrs";

/// Which server a session is to be with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TargetSession {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl TargetSession {
    /// What the server has to be, in the order in which that is tried: `true` for a standby, `None` for any server.
    pub(crate) fn in_order(self) -> &'static [Option<bool>] {
        match self {
            Self::Any => &[None],
            Self::ReadWrite | Self::Primary => &[Some(false)],
            Self::ReadOnly | Self::Standby => &[Some(true)],
            Self::PreferStandby => &[Some(true), None],
        }
    }

    /// As the driver has it, which has fewer words.
    pub(super) fn for_driver(self) -> TargetSessionAttrs {
        match self {
            Self::Any | Self::PreferStandby => TargetSessionAttrs::Any,
            Self::ReadWrite | Self::Primary => TargetSessionAttrs::ReadWrite,
            Self::ReadOnly | Self::Standby => TargetSessionAttrs::ReadOnly,
        }
    }

    /// What asks libpq for the same server, where the role's transactions are read-only by default: to libpq, a session of
    /// that role is never `read-write`, and always `read-only`.
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
