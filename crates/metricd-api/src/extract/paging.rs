//! Keyset pagination: each page's cursor is the key of its last entry.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::extract::query_string::QueryString;

/// The number of entries on a page without `limit`.
const DEFAULT_PAGE_LIMIT: usize = 50;

/// The greatest `limit`.
const MAX_PAGE_LIMIT: usize = 200;

/// The page that a request selects.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageRequest<K: PartialSchema> {
    /// The greatest number of entries on the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: usize,
    /// The cursor of the page: `next_cursor` of the previous one.
    // The key before the first entry.
    #[param(rename = "cursor", value_type = Option<String>)]
    pub(crate) after: Option<K>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub(crate) struct PageResponse<T> {
    pub(crate) items: Vec<T>,
    /// The cursor of the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

impl<K: PartialSchema> PageRequest<K> {
    /// Takes `limit` and `cursor`, and records their faults.
    pub(crate) fn take(query: &mut QueryString<'_>, parse_key: impl Fn(&str) -> Option<K>) -> Self {
        let limit = query.take("limit", |text| {
            let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE_LIMIT).contains(limit));
            limit.ok_or(format!("expected a whole number from 1 to {MAX_PAGE_LIMIT}"))
        });
        let after = query.take("cursor", |text| {
            let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(|key| String::from_utf8(key).ok());
            key.and_then(|key| parse_key(&key)).ok_or("expected the `next_cursor` of a response")
        });
        Self { limit: limit.unwrap_or(DEFAULT_PAGE_LIMIT), after }
    }

    /// How many entries to read: one more than the page has, to find out whether there is a next page.
    pub(crate) fn wanted(&self) -> usize {
        self.limit + 1
    }

    /// How many entries the page has at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

/// The cursor of the page after a key.
pub(crate) fn cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The page of the entries that were read.
pub(crate) fn page<T, R>(
    limit: usize,
    mut found: Vec<T>,
    key: impl Fn(&T) -> String,
    respond: impl Fn(T) -> R,
) -> PageResponse<R> {
    let has_next = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| has_next).map(|last| cursor(&key(last)));
    PageResponse { items: found.into_iter().map(respond).collect(), next_cursor }
}
