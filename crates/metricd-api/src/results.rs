//! Results of metrics: from the definition to the bytes that the client gets.

use actix_web::http::header::HeaderName;

pub(crate) mod buffered;
pub(crate) mod coalescing;
pub(crate) mod column_schema;
pub(crate) mod contracts;
pub(crate) mod definition_cache;
pub(crate) mod document;
pub(crate) mod format;
mod pipe;
pub(crate) mod prefix;
pub(crate) mod run;
pub(crate) mod stream;
pub(crate) mod validator_cache;

/// Is `true` on a truncated result.
pub(crate) const X_TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");
