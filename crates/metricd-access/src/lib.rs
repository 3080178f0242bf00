//! Who may do what.
//!
//! A [`Verifier`] has the [`Keys`] of those who may issue tokens and the [`Rules`] that tokens are held to; it makes a
//! [`Caller`] of a token, or says by a [`Refusal`] why not. What a caller may do is told by [`Scope`]s. A server that asks
//! nobody for a token has [`Access::Anonymous`].
//!
//! ```
//! use std::time::Duration;
//!
//! use metricd_access::{Keys, NewToken, Refusal, Rules, Scope, Secret, Verifier};
//!
//! let secret = Secret::parse("0123456789abcdef0123456789abcdef".to_owned())?;
//! let token = secret.sign(&NewToken::new([Scope::Read], Duration::from_secs(60)).of("ann"))?;
//!
//! let verifier = Verifier::new(Keys::default().with_secret(&secret), Rules::default())?;
//! let caller = verifier.verify(&token)?;
//! assert_eq!(caller.subject(), Some("ann"));
//! assert!(caller.may(Scope::Read) && !caller.may(Scope::Write));
//!
//! let forged = format!("{token}x");
//! assert!(matches!(verifier.verify(&forged), Err(Refusal::Signature | Refusal::Malformed(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! All cryptography is that of `jsonwebtoken` on AWS-LC. The crate knows neither HTTP nor a database, reads no environment and
//! opens no file.

mod access;
mod algorithm;
mod caller;
mod claims;
mod header;
mod issue;
mod keys;
mod refusal;
mod scope;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
mod unique;
mod verifier;

pub use access::Access;
pub use algorithm::{Algorithm, InvalidAlgorithm};
pub use caller::Caller;
pub use issue::{IssueError, NewToken};
pub use keys::{InvalidKeys, Keys};
pub use refusal::Refusal;
pub use scope::{InvalidScope, Scope, Scopes};
pub use secret::{InvalidSecret, Secret};
pub use verifier::{NoKeys, Rules, Verifier};
