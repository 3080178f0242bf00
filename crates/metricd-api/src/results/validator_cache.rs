//! Caches validators of results, to answer a conditional request with 304 without a run.
//!
//! Only conditional requests (`If-None-Match`) use the cache. The first one runs the statement and stores the result's
//! `ETag` with the snapshot token of the data. A later one is answered without a run while the snapshot is unchanged.

use std::fmt;

use actix_web::HttpRequest;
use actix_web::http::header::{EntityTag, IF_NONE_MATCH};
use metricd_domain::{Contract, Tenant};
use metricd_execution::{AppliedPeriod, BoundStatement, Numbers, RunLimits, SnapshotToken};
use moka::sync::Cache;

use crate::ApiState;
use crate::extract::conditional::{self, IfNoneMatchHeader};
use crate::results::definition_cache::CachedMetric;

/// The least recently used validators are evicted beyond this number.
const MAX_VALIDATORS: u64 = 10_000;

/// The initial capacity of a key's input; the SQL is most of it.
const KEY_INPUT_CAPACITY: usize = 1 << 10;

/// A hash of everything that decides a result except the data: definition, tenant, values, period,
/// selection, time zone, limits and how numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey(pub(crate) blake3::Hash);

impl RequestKey {
    /// The `ETag` of a result with this [hashable prefix](crate::results::document::hashable_prefix).
    pub(crate) fn tag(self, stable: &[u8]) -> EntityTag {
        conditional::result_tag(blake3::Hasher::new().update(self.0.as_bytes()).update(stable))
    }
}

/// The validators of earlier results.
pub struct ValidatorCache {
    validators: Cache<RequestKey, Validator>,
}

/// The validator of a result: its `ETag`, and the snapshot that it was computed on.
#[derive(Clone)]
struct Validator {
    tag: EntityTag,
    snapshot: SnapshotToken,
}

impl Default for ValidatorCache {
    fn default() -> Self {
        Self { validators: Cache::new(MAX_VALIDATORS) }
    }
}

impl fmt::Debug for ValidatorCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ValidatorCache").finish_non_exhaustive()
    }
}

/// A request and what is needed to revalidate it.
pub(crate) struct ConditionalRequest<'a> {
    state: &'a ApiState,
    request: &'a HttpRequest,
    request_key: RequestKey,
    /// The contract, if the result depends on data and values alone.
    repeatable: Option<&'a Contract>,
    /// The snapshot before the run; set if the result's validator is to be stored.
    snapshot: Option<SnapshotToken>,
}

impl<'a> ConditionalRequest<'a> {
    pub(crate) fn of(
        state: &'a ApiState,
        request: &'a HttpRequest,
        cached: &'a CachedMetric,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        (limits, numbers): (RunLimits, Numbers),
        period: Option<&AppliedPeriod>,
    ) -> Self {
        // Concatenated first, since hashing many small parts is slower.
        let mut request_key = Vec::with_capacity(KEY_INPUT_CAPACITY);
        let mut add = |part: &[u8]| {
            request_key.extend_from_slice(&part.len().to_le_bytes());
            request_key.extend_from_slice(part);
        };
        add(cached.definition.metric.metric_id.as_str().as_bytes());
        add(cached.tag.tag().as_bytes());
        add(statement.text().as_bytes());
        add(&[u8::from(tenant.is_some())]);
        add(tenant.map_or("", Tenant::as_str).as_bytes());
        for value in statement.texts() {
            add(&[u8::from(value.is_some())]);
            add(value.unwrap_or_default().as_bytes());
        }
        for day in period.iter().flat_map(|period| [&period.start_date, &period.end_date]) {
            add(&[u8::from(day.is_some())]);
            add(day.as_deref().unwrap_or_default().as_bytes());
        }
        // Other texts may mean the same, and the result has them.
        if let Some(applied) = statement.selection().and_then(|selection| selection.applied()) {
            add(b"selection");
            for texts in [&applied.sort, &applied.filter] {
                add(&texts.len().to_le_bytes());
                for text in texts {
                    add(text.as_bytes());
                }
            }
        }
        if let Some(time_zone) = statement.time_zone() {
            add(b"time zone");
            add(time_zone.as_str().as_bytes());
        }
        add(&[u8::from(numbers == Numbers::Text)]);
        add(&limits.rows.rows().to_le_bytes());
        add(&limits.size_bytes.to_le_bytes());
        let contract = cached.definition.contract.as_ref().filter(|contract| contract.fingerprint().is_some());
        // A value that only PostgreSQL can parse may mean something else by settings.
        let is_validated = cached.statement.as_ref().is_ok_and(|statement| !statement.has_unvalidated());
        let is_repeatable = statement.selection().is_none_or(|selection| selection.is_repeatable());
        let repeatable = contract.filter(|_| is_validated && is_repeatable);
        Self { state, request, request_key: RequestKey(blake3::hash(&request_key)), repeatable, snapshot: None }
    }

    /// The `ETag` of the client's copy, if that copy is still valid.
    pub(crate) async fn revalidate(&mut self) -> Option<EntityTag> {
        let contract = self.repeatable.filter(|_| self.request.headers().contains_key(IF_NONE_MATCH))?;
        // An unreachable database is reported by the run.
        let snapshot = self.state.runner.snapshot_token().await.ok().flatten()?;
        let validator = self
            .state
            .validator_cache
            .validators
            .get(&self.request_key)
            .filter(|validator| snapshot.is_unchanged_since(&validator.snapshot));
        if let Some(validator) = validator {
            return IfNoneMatchHeader::of(self.request).names(&validator.tag).then_some(validator.tag);
        }
        // A table may have been replaced since the SQL was validated. A later change makes the snapshot differ.
        let fingerprint = self.state.runner.fingerprint(contract.tables()).await.ok().flatten();
        self.snapshot = Some(snapshot).filter(|_| fingerprint.as_deref() == contract.fingerprint());
        None
    }

    pub(crate) fn request_key(&self) -> RequestKey {
        self.request_key
    }

    /// Stores the validator of the run's result.
    pub(crate) fn store(self, tag: &EntityTag) {
        if let Some(snapshot) = self.snapshot {
            self.state.validator_cache.validators.insert(self.request_key, Validator { tag: tag.clone(), snapshot });
        }
    }
}
