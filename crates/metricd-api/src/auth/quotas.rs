//! How much one caller may ask for: requests a second, statements at once, and how dear a statement may be.

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

/// How long a turn to run SQL is waited for: as long as for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a turn to have SQL judged is waited for: as long as PostgreSQL may take for one text before it.
pub(crate) const VALIDATION_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is set by the operator. Callers without a token are known by their address.
#[derive(Debug, Clone, Default)]
pub struct QuotaRules {
    /// How many requests a second a subject may make; any number, where none is set.
    pub requests_per_second: Option<NonZeroU32>,
    /// How many requests a second may be refused for their tokens that come from one address, before it is told to slow down.
    pub refusals_per_second: Option<NonZeroU32>,
    /// How many requests of one subject, or of one address without a token, may run SQL at once; as many as there are
    /// connections, where none is set. Half of them may be streams.
    pub queries_per_subject: Option<NonZeroUsize>,
    /// What the planner may estimate that SQL costs, by the scopes of the caller. The highest one counts; a scope that is not
    /// named has the server's.
    pub scope_query_costs: BTreeMap<Scope, u64>,
}

/// Holds callers to the rules.
#[derive(Debug)]
pub struct Quotas {
    requests: Option<KeyedRateLimiter>,
    refusals: Option<KeyedRateLimiter>,
    queries: Option<Arc<ConcurrencyLimiter>>,
    streams: Option<Arc<ConcurrencyLimiter>>,
    validations: Arc<ConcurrencyLimiter>,
    scope_query_costs: BTreeMap<Scope, u64>,
    /// Names and addresses are kept as their hashes, which nobody outside can foresee.
    hasher: RandomState,
}

impl Quotas {
    /// Quotas by these rules.
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

    /// Counts a request of the caller's; how it stands with its rate then, where there is one.
    pub(crate) fn count_request(&self, caller: &Caller) -> Result<Option<RateLimitStatus>, RateLimited> {
        self.requests.as_ref().map(|rate| rate.count(self.key(caller))).transpose()
    }

    /// Counts a request from the address that is refused.
    pub(crate) fn count_refusal(&self, address: IpAddr) -> Result<(), RateLimited> {
        let Some(rate) = &self.refusals else { return Ok(()) };
        rate.count(self.address_key(address)).map(|_| ())
    }

    /// By what the caller is known: the token's subject, or the address without a token.
    pub(crate) fn key_of(&self, caller: Option<&Caller>, address: Option<IpAddr>) -> Option<u64> {
        caller.map(|caller| self.key(caller)).or_else(|| address.map(|address| self.address_key(address)))
    }

    /// Waits for the caller's turn to run SQL, which lasts for as long as this is held; `None` where that takes too long.
    pub(crate) async fn acquire_query_permit(
        &self,
        caller: Option<&Caller>,
        address: Option<IpAddr>,
    ) -> Option<QuotaPermit> {
        self.acquire(self.queries.as_ref(), caller, address).await
    }

    /// The same to have a stream, beside the turn to run its SQL: a slow client holds a stream's connection for long.
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

    /// The same to have SQL judged, one text at a time.
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

    /// What the planner may estimate that the caller's SQL costs.
    pub(crate) fn query_cost(&self, caller: Option<&Caller>, of_server: u64) -> u64 {
        let Some(caller) = caller else { return of_server };
        let scopes = Scope::ALL.iter().filter(|scope| caller.may(**scope));
        let costs = scopes.map(|scope| self.scope_query_costs.get(scope).copied().unwrap_or(of_server));
        costs.max().unwrap_or(of_server)
    }

    /// Whoever has one address of IPv6 has a network of them.
    fn address_key(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(address) => self.hasher.hash_one(address),
            IpAddr::V6(address) => self.hasher.hash_one(address.segments().first_chunk::<4>()),
        }
    }

    /// Those whose tokens name no subject are one.
    fn key(&self, caller: &Caller) -> u64 {
        self.hasher.hash_one(caller.subject())
    }
}

/// How many of so many requests may be streams. The runner gives streams half of its connections, so that a subject has the same
/// part of these as of all.
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
    async fn one_address_has_one_text_of_sql_judged_at_a_time() {
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
