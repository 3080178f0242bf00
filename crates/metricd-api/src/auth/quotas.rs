//! Quotas of one caller: requests per second, concurrent queries, and the cost of a query.

mod concurrency;
mod rate;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use metricd_access::{Caller, Scope};

use self::concurrency::ConcurrencyLimiter;
pub(crate) use self::concurrency::QuotaPermit;
use self::rate::KeyedRateLimiter;
pub(crate) use self::rate::{RateLimitStatus, RateLimited};

/// How long a request waits for a query or stream permit: as long as for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a request waits for a validation permit: as long as PostgreSQL may take for the validation before it.
pub(crate) const VALIDATION_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The operator's quotas. A caller without a token is identified by address.
#[derive(Debug, Clone, Default)]
pub struct QuotaRules {
    /// The request rate of a subject; unlimited if `None`.
    pub requests_per_second: Option<NonZeroU32>,
    /// The rate of requests of one address that are refused for their tokens; unlimited if `None`.
    pub refusals_per_second: Option<NonZeroU32>,
    /// The number of concurrent queries of one subject, or of one address without a token; limited by the connections alone
    /// if `None`. Half of them may be streams.
    pub queries_per_subject: Option<NonZeroUsize>,
    /// The highest planner cost of a query by scope. The highest of the caller's scopes applies; a scope that is absent
    /// has the server's limit.
    pub scope_query_costs: BTreeMap<Scope, u64>,
}

/// Enforces the quotas.
#[derive(Debug)]
pub struct Quotas {
    requests: Option<KeyedRateLimiter>,
    refusals: Option<KeyedRateLimiter>,
    queries: Option<Arc<ConcurrencyLimiter>>,
    streams: Option<Arc<ConcurrencyLimiter>>,
    validations: Arc<ConcurrencyLimiter>,
    scope_query_costs: BTreeMap<Scope, u64>,
    /// Keys are hashes of subjects and addresses with a random seed, so that clients cannot provoke collisions.
    hasher: RandomState,
}

impl Quotas {
    /// Creates the limiters of these rules.
    #[must_use]
    pub fn new(rules: QuotaRules) -> Self {
        let limiter = |limit| Arc::new(ConcurrencyLimiter::new(limit, ACQUIRE_TIMEOUT));
        Self {
            requests: rules.requests_per_second.map(|rate| KeyedRateLimiter::new("requests", rate)),
            refusals: rules.refusals_per_second.map(|rate| KeyedRateLimiter::new("refusals", rate)),
            queries: rules.queries_per_subject.map(limiter),
            streams: rules.queries_per_subject.map(streams_of).map(limiter),
            validations: Arc::new(ConcurrencyLimiter::new(NonZeroUsize::MIN, VALIDATION_ACQUIRE_TIMEOUT)),
            scope_query_costs: rules.scope_query_costs,
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of the caller; returns the status of the caller's rate limit, if there is one.
    pub(crate) fn count_request(&self, caller: &Caller) -> Result<Option<RateLimitStatus>, RateLimited> {
        self.requests.as_ref().map(|rate| rate.count(self.key(caller))).transpose()
    }

    /// Counts a refused request of the address.
    pub(crate) fn count_refusal(&self, address: IpAddr) -> Result<(), RateLimited> {
        let Some(rate) = &self.refusals else { return Ok(()) };
        rate.count(self.address_key(address)).map(|_| ())
    }

    /// The key of the caller: of the token's subject, or of the address without a token.
    pub(crate) fn key_of(&self, caller: Option<&Caller>, address: Option<IpAddr>) -> Option<u64> {
        caller.map(|caller| self.key(caller)).or_else(|| address.map(|address| self.address_key(address)))
    }

    /// Waits for a permit to run SQL; `None` after the timeout.
    pub(crate) async fn acquire_query_permit(
        &self,
        caller: Option<&Caller>,
        address: Option<IpAddr>,
    ) -> Option<QuotaPermit> {
        self.acquire(self.queries.as_ref(), caller, address).await
    }

    /// Waits for a permit to send a stream, in addition to the permit for its query: a slow client holds a stream's
    /// connection for long.
    pub(crate) async fn acquire_stream_permit(
        &self,
        caller: Option<&Caller>,
        address: Option<IpAddr>,
    ) -> Option<QuotaPermit> {
        self.acquire(self.streams.as_ref(), caller, address).await
    }

    async fn acquire(
        &self,
        limiter: Option<&Arc<ConcurrencyLimiter>>,
        caller: Option<&Caller>,
        address: Option<IpAddr>,
    ) -> Option<QuotaPermit> {
        match (limiter, self.key_of(caller, address)) {
            (Some(limiter), Some(key)) => limiter.acquire(key).await,
            _ => Some(QuotaPermit::default()),
        }
    }

    /// Waits for a permit to validate SQL; each caller has one.
    pub(crate) async fn acquire_validation_permit(
        &self,
        caller: Option<&Caller>,
        address: Option<IpAddr>,
    ) -> Option<QuotaPermit> {
        match self.key_of(caller, address) {
            Some(key) => self.validations.acquire(key).await,
            None => Some(QuotaPermit::default()),
        }
    }

    /// The highest planner cost of the caller's SQL.
    pub(crate) fn query_cost(&self, caller: Option<&Caller>, of_server: u64) -> u64 {
        let Some(caller) = caller else { return of_server };
        let scopes = Scope::ALL.iter().filter(|scope| caller.may(**scope));
        let costs = scopes.map(|scope| self.scope_query_costs.get(scope).copied().unwrap_or(of_server));
        costs.max().unwrap_or(of_server)
    }

    /// An IPv6 client has a whole /64 network, which is one key.
    fn address_key(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(address) => self.hasher.hash_one(address),
            IpAddr::V6(address) => self.hasher.hash_one(address.segments().first_chunk::<4>()),
        }
    }

    /// All tokens without a subject share a key.
    fn key(&self, caller: &Caller) -> u64 {
        self.hasher.hash_one(caller.subject())
    }
}

/// The number of streams among the queries of a subject: half, as the runner gives streams half of its connections.
fn streams_of(queries: NonZeroUsize) -> NonZeroUsize {
    NonZeroUsize::new(queries.get() / 2).unwrap_or(NonZeroUsize::MIN)
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new(QuotaRules::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_address_has_one_validation_at_a_time() {
        let quotas = Quotas::default();
        let address = |text: &str| Some(text.parse().unwrap());
        let held = quotas.acquire_validation_permit(None, address("2001:db8::1")).await.unwrap();
        assert!(quotas.acquire_validation_permit(None, address("2001:db8::2")).await.is_none(), "the same network");
        assert!(quotas.acquire_validation_permit(None, address("2001:db9::1")).await.is_some());
        assert!(quotas.acquire_validation_permit(None, address("192.0.2.1")).await.is_some());
        drop(held);
        assert!(quotas.acquire_validation_permit(None, address("2001:db8::2")).await.is_some());
    }
}
