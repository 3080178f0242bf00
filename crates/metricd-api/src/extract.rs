//! What a request says: its body, its query string, its conditions. Everything that is wrong with one part is reported at once.

pub(crate) mod body;
pub(crate) mod conditional;
pub(crate) mod decoding;
pub(crate) mod fields;
pub(crate) mod negotiation;
pub(crate) mod paging;
pub(crate) mod parameters;
pub(crate) mod query_string;
