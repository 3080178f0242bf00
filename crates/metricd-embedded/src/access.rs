//! Using a data folder no matter who serves it.

use crate::{Cluster, ConnectionInfo, EmbeddedError, Options};

/// How a data folder came to be used.
#[derive(Debug)]
pub enum Access {
    /// This process serves the folder.
    Opened(Cluster),
    /// Another process serves it, for as long as it lives.
    Joined(ConnectionInfo),
}

impl Access {
    /// How to connect.
    #[must_use]
    pub fn connection(&self) -> &ConnectionInfo {
        match self {
            Self::Opened(cluster) => cluster.connection(),
            Self::Joined(connection) => connection,
        }
    }
}

/// Opens the cluster, or joins whoever has it open. Of several processes that start at once, one opens it and the others join.
///
/// # Errors
///
/// Those of [`Cluster::open`] except [`EmbeddedError::InUse`], and those of [`Cluster::join`].
pub fn open_or_join(options: &Options) -> Result<Access, EmbeddedError> {
    loop {
        match Cluster::open(options) {
            Ok(cluster) => return Ok(Access::Opened(cluster)),
            Err(EmbeddedError::InUse { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(connection) = Cluster::join(&options.data_dir)? {
            return Ok(Access::Joined(connection));
        }
        // The holder ended between the two questions.
    }
}
