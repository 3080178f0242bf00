//! How much one caller may ask for: requests a second, statements at once, and how dear a statement may be.

mod rate;
mod running;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use metricd_access::{Caller, Scope};

use self::rate::Rate;
pub(crate) use self::rate::{Exceeded, Standing};
use self::running::Running;
pub(crate) use self::running::Turn;

/// How long a turn to run SQL is waited for: as long as for a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a turn to have SQL judged is waited for: as long as PostgreSQL may take for one text before it.
pub(crate) const JUDGING_PATIENCE: Duration = Duration::from_secs(10);

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
    requests: Option<Rate>,
    refusals: Option<Rate>,
    running: Option<Arc<Running>>,
    streaming: Option<Arc<Running>>,
    judging: Arc<Running>,
    scope_query_costs: BTreeMap<Scope, u64>,
    /// Names and addresses are kept as their hashes, which nobody outside can foresee.
    hasher: RandomState,
}

impl Quotas {
    /// Quotas by these rules.
    #[must_use]
    pub fn new(rules: QuotaRules) -> Self {
        let running = |most| Arc::new(Running::new(most, PATIENCE));
        Self {
            requests: rules.requests_per_second.map(|rate| Rate::new("requests", rate)),
            refusals: rules.refusals_per_second.map(|rate| Rate::new("refusals", rate)),
            running: rules.queries_per_subject.map(running),
            streaming: rules.queries_per_subject.map(streams_of).map(running),
            judging: Arc::new(Running::new(NonZeroUsize::MIN, JUDGING_PATIENCE)),
            scope_query_costs: rules.scope_query_costs,
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of the caller's; how it stands with its rate then, where there is one.
    pub(crate) fn count_request(&self, caller: &Caller) -> Result<Option<Standing>, Exceeded> {
        self.requests.as_ref().map(|rate| rate.count(self.key(caller))).transpose()
    }

    /// Counts a request from the address that is refused.
    pub(crate) fn count_refusal(&self, address: IpAddr) -> Result<(), Exceeded> {
        let Some(rate) = &self.refusals else { return Ok(()) };
        rate.count(self.address_key(address)).map(|_| ())
    }

    /// By what the caller is known: the token's subject, or the address without a token.
    pub(crate) fn key_of(&self, caller: Option<&Caller>, address: Option<IpAddr>) -> Option<u64> {
        caller.map(|caller| self.key(caller)).or_else(|| address.map(|address| self.address_key(address)))
    }

    /// Waits for the caller's turn to run SQL, which lasts for as long as this is held; `None` where that takes too long.
    pub(crate) async fn turn(&self, caller: Option<&Caller>, address: Option<IpAddr>) -> Option<Turn> {
        self.turn_of(self.running.as_ref(), caller, address).await
    }

    /// The same to have a stream, beside the turn to run its SQL: a slow client holds a stream's connection for long.
    pub(crate) async fn stream_turn(&self, caller: Option<&Caller>, address: Option<IpAddr>) -> Option<Turn> {
        self.turn_of(self.streaming.as_ref(), caller, address).await
    }

    async fn turn_of(
        &self,
        running: Option<&Arc<Running>>,
        caller: Option<&Caller>,
        address: Option<IpAddr>,
    ) -> Option<Turn> {
        match (running, self.key_of(caller, address)) {
            (Some(running), Some(key)) => running.turn(key).await,
            _ => Some(Turn::default()),
        }
    }

    /// The same to have SQL judged, one text at a time.
    pub(crate) async fn judging_turn(&self, caller: Option<&Caller>, address: Option<IpAddr>) -> Option<Turn> {
        match self.key_of(caller, address) {
            Some(key) => self.judging.turn(key).await,
            None => Some(Turn::default()),
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
        let held = quotas.judging_turn(None, address("2001:db8::1")).await.unwrap();
        assert!(quotas.judging_turn(None, address("2001:db8::2")).await.is_none(), "the same network");
        assert!(quotas.judging_turn(None, address("2001:db9::1")).await.is_some());
        assert!(quotas.judging_turn(None, address("192.0.2.1")).await.is_some());
        drop(held);
        assert!(quotas.judging_turn(None, address("2001:db8::2")).await.is_some());
    }
}
