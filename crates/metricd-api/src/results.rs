//! The path of a result: from the cached definition to the bytes of the response.

use actix_web::http::header::HeaderName;

pub(crate) mod buffered;
pub(crate) mod coalescing;
pub(crate) mod column_schema;
pub(crate) mod contracts;
pub(crate) mod definition_cache;
pub(crate) mod document;
pub(crate) mod format;
mod pipe;
pub(crate) mod run;
pub(crate) mod snapshot_scope;
pub(crate) mod stream;
pub(crate) mod validator_cache;

/// `true` if the result is truncated; absent otherwise.
pub(crate) const X_TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");

/// The time zone in which the SQL of a result ran.
pub(crate) const X_TIME_ZONE: HeaderName = HeaderName::from_static("x-time-zone");
