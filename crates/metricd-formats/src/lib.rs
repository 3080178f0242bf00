//! The file formats that need large libraries, as adapters of ports.
//!
//! [`read_formats`] reads Parquet, Arrow IPC and XLSX, for the port [`FileFormat`](metricd_ingestion::FileFormat).

mod read;

pub use read::read_formats;
