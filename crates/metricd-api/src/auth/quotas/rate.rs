//! Limits rates.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// The headers of draft-ietf-httpapi-ratelimit-headers: the limit, and its status.
pub(crate) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How many keys are kept before full ones are evicted.
const EVICTION_THRESHOLD: usize = 10_000;

/// After how many counts the number of keys is checked.
const COUNTS_PER_EVICTION: u32 = 1_024;

/// Limits the rate of each key (a token bucket that holds one second's worth).
pub(super) struct KeyedRateLimiter {
    name: &'static str,
    per_second: NonZeroU32,
    limiter: DefaultKeyedRateLimiter<u64, StateInformationMiddleware>,
    clock: DefaultClock,
    /// The value of `RateLimit-Policy`, which is constant.
    policy: HeaderValue,
    counts: AtomicU32,
    /// The number of keys at which the next eviction is due.
    evict_at: AtomicUsize,
}

/// The status of a key's rate limit.
#[derive(Debug, Clone)]
pub(crate) struct RateLimitStatus {
    name: &'static str,
    policy: HeaderValue,
    remaining: u32,
    /// After how many seconds requests are available again.
    reset_after: u64,
}

/// The rate limit is exceeded.
#[derive(Debug, Clone)]
pub(crate) struct RateLimited(pub(crate) RateLimitStatus);

impl KeyedRateLimiter {
    pub(super) fn new(name: &'static str, per_second: NonZeroU32) -> Self {
        let limiter = RateLimiter::keyed(Quota::per_second(per_second)).with_middleware();
        let policy = format!(r#""{name}";q={per_second};w=1"#);
        // A name and a number are valid in a header.
        let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static(name));
        let (clock, counts) = (DefaultClock::default(), AtomicU32::default());
        Self { name, per_second, limiter, clock, policy, counts, evict_at: EVICTION_THRESHOLD.into() }
    }

    /// Counts one request of the key.
    pub(super) fn count(&self, key: u64) -> Result<RateLimitStatus, RateLimited> {
        let counted = self.limiter.check_key(&key);
        if self.counts.fetch_add(1, Ordering::Relaxed).is_multiple_of(COUNTS_PER_EVICTION) {
            self.evict_full();
        }
        let (name, policy) = (self.name, self.policy.clone());
        match counted {
            Ok(state) => {
                Ok(RateLimitStatus { name, policy, remaining: state.remaining_burst_capacity(), reset_after: 1 })
            }
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                let reset_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(RateLimited(RateLimitStatus { name, policy, remaining: 0, reset_after: reset_after.max(1) }))
            }
        }
    }

    /// Evicts keys whose bucket is full, so that memory does not grow with the number of addresses.
    fn evict_full(&self) {
        let known = self.limiter.len();
        if known > self.evict_at.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            self.evict_at.store(EVICTION_THRESHOLD.max(2 * self.limiter.len()), Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for KeyedRateLimiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, per_second, .. } = self;
        formatter
            .debug_struct("KeyedRateLimiter")
            .field("name", name)
            .field("per_second", per_second)
            .finish_non_exhaustive()
    }
}

impl RateLimitStatus {
    /// Adds the headers of the status.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        let Self { name, policy, remaining, reset_after } = self;
        headers.insert(RATELIMIT_POLICY, policy.clone());
        if let Ok(value) = HeaderValue::try_from(format!(r#""{name}";r={remaining};t={reset_after}"#)) {
            headers.insert(RATELIMIT, value);
        }
    }

    /// After how many seconds to retry.
    pub(crate) fn reset_after(&self) -> u64 {
        self.reset_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_rate_of_its_own() {
        let rate = KeyedRateLimiter::new("requests", NonZeroU32::new(3).unwrap());
        let remaining: Vec<_> = (0..3).map(|_| rate.count(1).unwrap().remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let RateLimited(status) = rate.count(1).unwrap_err();
        assert_eq!(rate.count(2).unwrap().remaining, 2);

        let mut headers = HeaderMap::new();
        status.write_headers(&mut headers);
        assert_eq!(headers.get(RATELIMIT_POLICY).unwrap(), r#""requests";q=3;w=1"#);
        assert_eq!(headers.get(RATELIMIT).unwrap(), r#""requests";r=0;t=1"#);
    }

    #[test]
    fn idle_keys_are_evicted() {
        // Each bucket is full again after a microsecond.
        let rate = KeyedRateLimiter::new("refusals", NonZeroU32::new(1_000_000).unwrap());
        for key in 0..200_000 {
            rate.count(key).unwrap();
        }
        assert!(rate.limiter.len() <= 2 * EVICTION_THRESHOLD, "{}", rate.limiter.len());
    }
}
