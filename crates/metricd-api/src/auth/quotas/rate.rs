//! So many a second.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// The headers of draft-ietf-httpapi-ratelimit-headers: what is allowed, and what is left of it.
pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// How many are known by their rates before those are forgotten that have all of theirs again.
const SWEEP_AT: usize = 10_000;

/// After how many counts that is looked at.
const COUNTS: u32 = 1_024;

/// A rate, counted for each key by itself. Who has asked for nothing for a second may ask for a second's worth at once.
pub(super) struct Rate {
    name: &'static str,
    per_second: NonZeroU32,
    limiter: DefaultKeyedRateLimiter<u64, StateInformationMiddleware>,
    clock: DefaultClock,
    /// The header that is the same each time.
    policy: HeaderValue,
    counts: AtomicU32,
    /// At how many keys the next sweep is due.
    sweep_at: AtomicUsize,
}

/// How it stands with somebody's rate.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    name: &'static str,
    policy: HeaderValue,
    left: u32,
    /// In how many seconds there is more.
    more_in: u64,
}

/// There is nothing left.
#[derive(Debug, Clone)]
pub(crate) struct Exceeded(pub(crate) Standing);

impl Rate {
    pub(super) fn new(name: &'static str, per_second: NonZeroU32) -> Self {
        let limiter = RateLimiter::keyed(Quota::per_second(per_second)).with_middleware();
        let policy = format!(r#""{name}";q={per_second};w=1"#);
        // A name and a number are what a header may hold.
        let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static(name));
        let (clock, counts) = (DefaultClock::default(), AtomicU32::default());
        Self { name, per_second, limiter, clock, policy, counts, sweep_at: SWEEP_AT.into() }
    }

    /// Counts one.
    pub(super) fn count(&self, key: u64) -> Result<Standing, Exceeded> {
        let counted = self.limiter.check_key(&key);
        if self.counts.fetch_add(1, Ordering::Relaxed).is_multiple_of(COUNTS) {
            self.sweep();
        }
        let (name, policy) = (self.name, self.policy.clone());
        match counted {
            Ok(state) => Ok(Standing { name, policy, left: state.remaining_burst_capacity(), more_in: 1 }),
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                let more_in = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(Exceeded(Standing { name, policy, left: 0, more_in: more_in.max(1) }))
            }
        }
    }

    /// Forgets those that are as new, so that memory is not what addresses are counted by.
    fn sweep(&self) {
        let known = self.limiter.len();
        if known > self.sweep_at.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            self.sweep_at.store(SWEEP_AT.max(2 * self.limiter.len()), Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, per_second, .. } = self;
        formatter.debug_struct("Rate").field("name", name).field("per_second", per_second).finish_non_exhaustive()
    }
}

impl Standing {
    /// Adds the headers that tell it.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Self { name, policy, left, more_in } = self;
        headers.insert(POLICY, policy.clone());
        if let Ok(value) = HeaderValue::try_from(format!(r#""{name}";r={left};t={more_in}"#)) {
            headers.insert(LEFT, value);
        }
    }

    /// In how many seconds to try again.
    pub(crate) fn more_in(&self) -> u64 {
        self.more_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_rate_of_its_own() {
        let rate = Rate::new("requests", NonZeroU32::new(3).unwrap());
        let left: Vec<_> = (0..3).map(|_| rate.count(1).unwrap().left).collect();
        assert_eq!(left, [2, 1, 0]);
        let Exceeded(standing) = rate.count(1).unwrap_err();
        assert_eq!(rate.count(2).unwrap().left, 2);

        let mut headers = HeaderMap::new();
        standing.tell(&mut headers);
        assert_eq!(headers.get(POLICY).unwrap(), r#""requests";q=3;w=1"#);
        assert_eq!(headers.get(LEFT).unwrap(), r#""requests";r=0;t=1"#);
    }

    #[test]
    fn keys_that_ask_no_more_are_forgotten() {
        // Each of them has all of its rate again after a millionth of a second.
        let rate = Rate::new("refusals", NonZeroU32::new(1_000_000).unwrap());
        for key in 0..200_000 {
            rate.count(key).unwrap();
        }
        assert!(rate.limiter.len() <= 2 * SWEEP_AT, "{}", rate.limiter.len());
    }
}
