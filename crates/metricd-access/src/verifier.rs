//! Tokens become callers.

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
use crate::{Algorithm, Caller, Keys, Refusal};

/// The length of a token at most. A longer one is not looked at.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The library does not say which claim it could not read.
const MALFORMED_CLAIMS: &str = "the claims are no JSON object, or one of them is malformed or there twice";

/// How many good tokens are remembered at most; the ones that are used least make room.
const MAX_REMEMBERED: u64 = 10_000;

/// What tokens are held to, beside their signature and their times.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The algorithms that are taken; where none is named, those that the keys are for.
    pub algorithms: Vec<Algorithm>,
    /// Who may have issued a token: one of these is its `iss`. Where there is none, anybody who has the key.
    pub issuers: Vec<String>,
    /// Who a token may be for: one of these is its `aud`, or in it. Where there is none, anybody.
    pub audiences: Vec<String>,
    /// The claim that names the tenant on whose behalf a caller asks, where there are tenants.
    pub tenant_claim: Option<String>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// The clock.
    pub now: fn() -> SystemTime,
}

impl Default for Rules {
    /// Those algorithms that the keys are for, any issuer, any audience, no tenants, 30 s, and the system's clock.
    fn default() -> Self {
        let (algorithms, issuers, audiences) = (Vec::new(), Vec::new(), Vec::new());
        let (tenant_claim, leeway) = (None, Duration::from_secs(30));
        Self { algorithms, issuers, audiences, tenant_claim, leeway, now: SystemTime::now }
    }
}

/// The rules leave no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no key is left to verify tokens with: none serves the algorithms that are accepted")]
pub struct NoKeys;

/// Verifies tokens.
pub struct Verifier {
    rules: Rules,
    known: RwLock<Arc<Known>>,
    /// Good tokens, by their hash, so that none is kept in memory.
    remembered: Cache<[u8; 32], Remembered>,
    /// Told of each token that names a key which is not known.
    unknown_key: Option<Box<dyn Fn() + Send + Sync>>,
}

/// The keys of the moment.
#[derive(Debug)]
struct Known {
    keys: Keys,
    /// Counts how often they were renewed.
    generation: u64,
}

/// A token that was good.
#[derive(Clone)]
struct Remembered {
    caller: Arc<Caller>,
    /// Of the keys that it was verified with.
    generation: u64,
}

impl Verifier {
    /// A verifier with these keys.
    ///
    /// # Errors
    ///
    /// [`NoKeys`] where none of them serves an algorithm that is taken.
    pub fn new(keys: Keys, rules: Rules) -> Result<Self, NoKeys> {
        let verifier = Self::without_keys(rules);
        verifier.renew(keys)?;
        Ok(verifier)
    }

    /// A verifier that refuses every token, until [`Self::renew`] gives it keys.
    #[must_use]
    pub fn without_keys(rules: Rules) -> Self {
        let known = Known { keys: Keys::default(), generation: 0 };
        let remembered = Cache::new(MAX_REMEMBERED);
        Self { rules, known: RwLock::new(Arc::new(known)), remembered, unknown_key: None }
    }

    /// The same, and this is told of each token that names a key which is not known: there may be a new one.
    #[must_use]
    pub fn telling_of_unknown_keys(self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self { unknown_key: Some(Box::new(tell)), ..self }
    }

    /// Takes these keys instead of those before. What was good with those is verified anew.
    ///
    /// # Errors
    ///
    /// [`NoKeys`] where none of them serves an algorithm that is taken; those before are kept then.
    pub fn renew(&self, keys: Keys) -> Result<(), NoKeys> {
        let keys = keys.only(self.taken());
        if keys.algorithms().is_empty() {
            return Err(NoKeys);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(Known { keys, generation: known.generation + 1 });
        Ok(())
    }

    /// The algorithms that are taken.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        self.known().keys.algorithms()
    }

    /// Who the token was issued to. One that was good is remembered until it expires, or the keys change.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn verify(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        let bytes = token.len();
        if bytes > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong { bytes, max_bytes: MAX_TOKEN_BYTES });
        }
        let known = self.known();
        let hash: [u8; 32] = Sha256::digest(token).into();
        let remembered = self.remembered.get(&hash).filter(|of| of.generation == known.generation);
        if let Some(Remembered { caller, .. }) = remembered {
            if (self.rules.now)() < caller.expires_at {
                return Ok(caller);
            }
            self.remembered.invalidate(&hash);
            return Err(Refusal::Expired);
        }
        let caller = Arc::new(self.verify_by(&known, token)?);
        let remembered = Remembered { caller: Arc::clone(&caller), generation: known.generation };
        self.remembered.insert(hash, remembered);
        Ok(caller)
    }

    /// Whether a key of this algorithm may be among the next ones. A secret is never among those that are fetched.
    fn may_come(&self, algorithm: Algorithm) -> bool {
        self.unknown_key.is_some() && algorithm != Algorithm::Hs256 && self.taken().contains(&algorithm)
    }

    /// The algorithms that are taken where there is a key for them.
    fn taken(&self) -> &[Algorithm] {
        if self.rules.algorithms.is_empty() { Algorithm::ALL } else { &self.rules.algorithms }
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, without what is remembered.
    ///
    /// # Errors
    ///
    /// As for [`Self::verify`].
    pub fn verify_anew(&self, token: &str) -> Result<Caller, Refusal> {
        self.verify_by(&self.known(), token)
    }

    fn verify_by(&self, known: &Known, token: &str) -> Result<Caller, Refusal> {
        let header = TokenHeader::of(token)?;
        let algorithms = known.keys.algorithms();
        let is_taken = |algorithm: &Algorithm| algorithms.contains(algorithm) || self.may_come(*algorithm);
        let Some(algorithm) = header.algorithm.parse().ok().filter(is_taken) else {
            return Err(Refusal::Algorithm(algorithms));
        };
        let mut refusal = Refusal::UnknownKey;
        for key in known.keys.of(algorithm, header.kid.as_deref()) {
            match self.verify_with(token, algorithm, key) {
                Err(Refusal::Signature) => refusal = Refusal::Signature,
                judged => return judged,
            }
        }
        if let (Refusal::UnknownKey, Some(tell)) = (&refusal, &self.unknown_key) {
            tell();
        }
        Err(refusal)
    }

    fn verify_with(&self, token: &str, algorithm: Algorithm, key: &VerificationKey) -> Result<Caller, Refusal> {
        let Rules { issuers, audiences, .. } = &self.rules;
        let mut validation = Validation::new(algorithm.library());
        // The library has a clock of its own, of whole seconds, by which a token could be good that is remembered as expired.
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
        shown.field("rules", &self.rules).field("known", &self.known()).finish_non_exhaustive()
    }
}

fn refusal(error: &Error) -> Refusal {
    match error.kind() {
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Refusal::Issuer,
        ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => Refusal::Audience,
        ErrorKind::Base64(_) => Refusal::Malformed("a part is not base64url"),
        ErrorKind::Json(_) => Refusal::Malformed(MALFORMED_CLAIMS),
        // That the signature is another's, or that the key cannot be used, which has signed nothing then.
        _ => Refusal::Signature,
    }
}
