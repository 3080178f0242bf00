//! Verifies tokens and makes callers of them.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use jsonwebtoken::Validation;
use jsonwebtoken::errors::{Error, ErrorKind};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::claims::Claims;
use crate::header::TokenHeader;
use crate::keys::VerificationKey;
use crate::{Algorithm, Caller, InvalidToken, Keys};

/// The maximum length of a token. A longer one is refused unread.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The library does not say which claim it could not read.
const MALFORMED_CLAIMS: &str = "the claims are not a JSON object, or a claim is malformed or occurs twice";

/// How many valid tokens are cached at most; the least used are evicted.
const MAX_CACHED_TOKENS: u64 = 10_000;

/// What a token must satisfy in addition to its signature and its times.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The accepted algorithms; if empty, those of the keys.
    pub algorithms: Vec<Algorithm>,
    /// The accepted issuers: one of them must be the token's `iss`. If empty, any issuer.
    pub issuers: Vec<String>,
    /// The accepted audiences: the token's `aud` must be, or contain, one of them. If empty, any audience.
    pub audiences: Vec<String>,
    /// The claim that names the caller's tenant, if there are tenants.
    pub tenant_claim: Option<String>,
    /// How much the clocks of issuer and verifier may differ.
    pub leeway: Duration,
    /// The clock.
    pub now: fn() -> SystemTime,
}

impl Default for Rules {
    /// The algorithms of the keys, any issuer, any audience, no tenants, a leeway of 30 s, and the system's clock.
    fn default() -> Self {
        let (algorithms, issuers, audiences) = (Vec::new(), Vec::new(), Vec::new());
        let (tenant_claim, leeway) = (None, Duration::from_secs(30));
        Self { algorithms, issuers, audiences, tenant_claim, leeway, now: SystemTime::now }
    }
}

/// No key serves an algorithm that the rules accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no key can verify tokens: none is for an accepted algorithm")]
pub struct NoKeys;

/// Verifies tokens.
pub struct Verifier {
    rules: Rules,
    keys: RwLock<Arc<CurrentKeys>>,
    /// Valid tokens, by their hash, so that no token is kept in memory.
    cache: Cache<[u8; 32], CachedToken>,
    /// Called for each token that names an unknown key.
    on_unknown_key: Option<Box<dyn Fn() + Send + Sync>>,
}

/// The keys that tokens are verified with now.
#[derive(Debug)]
struct CurrentKeys {
    keys: Keys,
    /// How often the keys were replaced.
    generation: u64,
}

/// A token that was valid.
#[derive(Clone)]
struct CachedToken {
    caller: Arc<Caller>,
    /// The generation of the keys that verified it.
    generation: u64,
}

impl Verifier {
    /// A verifier with these keys.
    ///
    /// # Errors
    ///
    /// [`NoKeys`] if none of them is for an accepted algorithm.
    pub fn new(keys: Keys, rules: Rules) -> Result<Self, NoKeys> {
        let verifier = Self::without_keys(rules);
        verifier.replace_keys(keys)?;
        Ok(verifier)
    }

    /// A verifier that refuses every token until [`Self::replace_keys`] gives it keys.
    #[must_use]
    pub fn without_keys(rules: Rules) -> Self {
        let keys = CurrentKeys { keys: Keys::default(), generation: 0 };
        let cache = Cache::new(MAX_CACHED_TOKENS);
        Self { rules, keys: RwLock::new(Arc::new(keys)), cache, on_unknown_key: None }
    }

    /// Sets what is called for each token that names an unknown key, since the issuer may have a new one.
    #[must_use]
    pub fn on_unknown_key(self, notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self { on_unknown_key: Some(Box::new(notify)), ..self }
    }

    /// Replaces the keys. Cached tokens are verified again.
    ///
    /// # Errors
    ///
    /// [`NoKeys`] if none of them is for an accepted algorithm; the previous keys remain then.
    pub fn replace_keys(&self, keys: Keys) -> Result<(), NoKeys> {
        let keys = keys.restricted_to(self.accepted_algorithms());
        if keys.algorithms().is_empty() {
            return Err(NoKeys);
        }
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(CurrentKeys { keys, generation: current.generation + 1 });
        Ok(())
    }

    /// The accepted algorithms for which there is a key.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        self.current_keys().keys.algorithms()
    }

    /// Verifies the token and returns its caller. A valid token is cached until it expires or the keys are replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`].
    pub fn verify(&self, token: &str) -> Result<Arc<Caller>, InvalidToken> {
        let bytes = token.len();
        if bytes > MAX_TOKEN_BYTES {
            return Err(InvalidToken::TooLong { bytes, max_bytes: MAX_TOKEN_BYTES });
        }
        let current = self.current_keys();
        let hash: [u8; 32] = Sha256::digest(token).into();
        let cached = self.cache.get(&hash).filter(|cached| cached.generation == current.generation);
        if let Some(CachedToken { caller, .. }) = cached {
            if (self.rules.now)() < caller.expires_at {
                return Ok(caller);
            }
            self.cache.invalidate(&hash);
            return Err(InvalidToken::Expired);
        }
        let caller = Arc::new(self.verify_by(&current, token)?);
        self.cache.insert(hash, CachedToken { caller: Arc::clone(&caller), generation: current.generation });
        Ok(caller)
    }

    /// Whether a key for this algorithm may be fetched later. Secrets are never fetched.
    fn may_be_fetched(&self, algorithm: Algorithm) -> bool {
        self.on_unknown_key.is_some()
            && algorithm != Algorithm::Hs256
            && self.accepted_algorithms().contains(&algorithm)
    }

    /// The algorithms that the rules accept, whether or not there is a key for them.
    fn accepted_algorithms(&self) -> &[Algorithm] {
        if self.rules.algorithms.is_empty() { Algorithm::ALL } else { &self.rules.algorithms }
    }

    fn current_keys(&self) -> Arc<CurrentKeys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Verifies the token without the cache.
    ///
    /// # Errors
    ///
    /// As for [`Self::verify`].
    pub fn verify_uncached(&self, token: &str) -> Result<Caller, InvalidToken> {
        self.verify_by(&self.current_keys(), token)
    }

    fn verify_by(&self, current: &CurrentKeys, token: &str) -> Result<Caller, InvalidToken> {
        let header = TokenHeader::parse(token)?;
        let algorithms = current.keys.algorithms();
        let is_accepted = |algorithm: &Algorithm| algorithms.contains(algorithm) || self.may_be_fetched(*algorithm);
        let Some(algorithm) = header.algorithm.parse().ok().filter(is_accepted) else {
            return Err(InvalidToken::Algorithm(algorithms));
        };
        let mut refusal = InvalidToken::UnknownKey;
        for key in current.keys.matching(algorithm, header.kid.as_deref()) {
            match self.verify_with(token, algorithm, key) {
                Err(InvalidToken::Signature) => refusal = InvalidToken::Signature,
                outcome => return outcome,
            }
        }
        if let (InvalidToken::UnknownKey, Some(notify)) = (&refusal, &self.on_unknown_key) {
            notify();
        }
        Err(refusal)
    }

    fn verify_with(&self, token: &str, algorithm: Algorithm, key: &VerificationKey) -> Result<Caller, InvalidToken> {
        let Rules { issuers, audiences, .. } = &self.rules;
        let mut validation = Validation::new(algorithm.library());
        // The library has its own clock, in whole seconds: it could accept a token that the cache has as expired.
        validation.validate_exp = false;
        let mut required = Vec::new();
        if !issuers.is_empty() {
            validation.set_issuer(issuers);
            required.push("iss");
        }
        validation.validate_aud = !audiences.is_empty();
        if !audiences.is_empty() {
            validation.set_audience(audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.key, &validation);
        decoded.map_err(|error| refusal(&error))?.claims.into_caller(&self.rules)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Verifier");
        shown.field("rules", &self.rules).field("keys", &self.current_keys()).finish_non_exhaustive()
    }
}

fn refusal(error: &Error) -> InvalidToken {
    match error.kind() {
        ErrorKind::InvalidIssuer => InvalidToken::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => InvalidToken::Issuer,
        ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => InvalidToken::Audience,
        ErrorKind::Base64(_) => InvalidToken::Malformed("a part is not base64url"),
        ErrorKind::Json(_) => InvalidToken::Malformed(MALFORMED_CLAIMS),
        // The signature is wrong, or the key is unusable and so has signed nothing.
        _ => InvalidToken::Signature,
    }
}
