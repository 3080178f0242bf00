//! What is known of results that were answered: by which tag a client knows them, and of which state of the data they are.
//!
//! Only a client that has a result already asks by its tag, and only such a request pays for what is kept here. The first one
//! runs the SQL and has its result kept as known; a later one is answered without a run while the data are as they were.

use std::fmt;

use actix_web::HttpRequest;
use actix_web::http::header::{EntityTag, IF_NONE_MATCH};
use foldhash::fast::RandomState;
use metricd_domain::{Contract, Tenant};
use metricd_execution::{AppliedPeriod, BoundStatement, RunLimits, SnapshotToken};
use moka::sync::Cache;

use crate::ApiState;
use crate::extract::conditional;
use crate::results::definition_cache::CachedMetric;

/// How many results are known at most; the ones that are used least make room.
const MAX_VALIDATORS: u64 = 10_000;

/// How much memory what is asked has to begin with; its SQL is most of it.
const KEY_INPUT_BYTES: usize = 1 << 10;

/// Tells what is asked from every other question: a definition as it is, on whose behalf, values, limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey(pub(crate) blake3::Hash);

impl RequestKey {
    /// The tag of the result that has this part, which is the same whenever it is asked for.
    pub(crate) fn tag(self, stable: &[u8]) -> EntityTag {
        conditional::of_results(blake3::Hasher::new().update(self.0.as_bytes()).update(stable))
    }
}

/// The results that are known.
pub struct ValidatorCache {
    validators: Cache<RequestKey, Validator, RandomState>,
}

/// A result that was answered.
#[derive(Clone)]
struct Validator {
    tag: EntityTag,
    snapshot: SnapshotToken,
}

impl Default for ValidatorCache {
    fn default() -> Self {
        Self { validators: Cache::builder().max_capacity(MAX_VALIDATORS).build_with_hasher(RandomState::default()) }
    }
}

impl fmt::Debug for ValidatorCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ValidatorCache").finish_non_exhaustive()
    }
}

/// A question, with what has to be known to answer it once more without a run.
pub(crate) struct ConditionalRequest<'a> {
    state: &'a ApiState,
    request: &'a HttpRequest,
    request_key: RequestKey,
    /// The contract of a result that follows from data and values alone.
    repeatable: Option<&'a Contract>,
    /// The state of the data before the run, where its result is to be known.
    snapshot: Option<SnapshotToken>,
}

impl<'a> ConditionalRequest<'a> {
    pub(crate) fn of(
        state: &'a ApiState,
        request: &'a HttpRequest,
        cached: &'a CachedMetric,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        limits: RunLimits,
        period: Option<&AppliedPeriod>,
    ) -> Self {
        // Put together first, since hashing many small pieces costs more.
        let mut request_key = Vec::with_capacity(KEY_INPUT_BYTES);
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
        add(&limits.rows.rows().to_le_bytes());
        add(&limits.size_bytes.to_le_bytes());
        let contract = cached.definition.contract.as_ref().filter(|contract| contract.fingerprint.is_some());
        // What a text means that PostgreSQL alone can read is not known.
        let is_validated = cached.statement.as_ref().is_ok_and(|statement| !statement.has_unjudged());
        let repeatable = contract.filter(|_| is_validated);
        Self { state, request, request_key: RequestKey(blake3::hash(&request_key)), repeatable, snapshot: None }
    }

    /// The tag by which the client has the result, where it is known to be the same still.
    pub(crate) async fn revalidate(&mut self) -> Option<EntityTag> {
        let contract = self.repeatable.filter(|_| self.request.headers().contains_key(IF_NONE_MATCH))?;
        // Where PostgreSQL cannot be asked, the run will say so.
        let snapshot = self.state.runner.snapshot_token().await.ok().flatten()?;
        let validator = self
            .state
            .validator_cache
            .validators
            .get(&self.request_key)
            .filter(|validator| snapshot.is_unchanged_since(&validator.snapshot));
        if let Some(validator) = validator {
            return conditional::is_unchanged(self.request, &validator.tag).then_some(validator.tag);
        }
        // What a table was made of when the SQL was judged may be another by now. A later change is after the mark.
        let fingerprint = self.state.runner.fingerprint(&contract.tables).await.ok().flatten();
        self.snapshot = Some(snapshot).filter(|_| fingerprint == contract.fingerprint);
        None
    }

    pub(crate) fn request_key(&self) -> RequestKey {
        self.request_key
    }

    /// Takes note of the tag of the result that a run has had since.
    pub(crate) fn store(self, tag: &EntityTag) {
        if let Some(snapshot) = self.snapshot {
            self.state.validator_cache.validators.insert(self.request_key, Validator { tag: tag.clone(), snapshot });
        }
    }
}
