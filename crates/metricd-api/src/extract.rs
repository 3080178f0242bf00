//! Extracts the parts of a request: body, query string and preconditions. All faults of one part are reported at once.

pub(crate) mod body;
pub(crate) mod conditional;
pub(crate) mod decoding;
pub(crate) mod fields;
pub(crate) mod negotiation;
pub(crate) mod numbers;
pub(crate) mod paging;
pub(crate) mod parameters;
pub(crate) mod query_string;
pub(crate) mod selection;
pub(crate) mod time_zone;
