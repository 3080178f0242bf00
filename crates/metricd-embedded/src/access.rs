//! Opens a data folder or joins the process that serves it.

use crate::{Cluster, ClusterOptions, ConnectionInfo, EmbeddedError};

/// How a data folder was opened.
#[derive(Debug)]
pub enum ClusterAccess {
    /// This process serves the folder.
    Opened(Cluster),
    /// Another process serves it. The connection works for as long as that process lives.
    Joined(ConnectionInfo),
}

impl ClusterAccess {
    /// How to connect to the cluster.
    #[must_use]
    pub fn connection(&self) -> &ConnectionInfo {
        match self {
            Self::Opened(cluster) => cluster.connection(),
            Self::Joined(connection) => connection,
        }
    }
}

/// Opens the cluster, or joins the process that has it open. If several processes start at once, one opens the cluster
/// and the others join it.
///
/// # Errors
///
/// Those of [`Cluster::open`] except [`EmbeddedError::InUse`], and those of [`Cluster::join`].
pub fn open_or_join(options: &ClusterOptions) -> Result<ClusterAccess, EmbeddedError> {
    loop {
        match Cluster::open(options) {
            Ok(cluster) => return Ok(ClusterAccess::Opened(cluster)),
            Err(EmbeddedError::InUse { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(connection) = Cluster::join(&options.data_dir)? {
            return Ok(ClusterAccess::Joined(connection));
        }
        // The other process ended between the two calls.
    }
}
