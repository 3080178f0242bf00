//! Authentication and authorization by bearer tokens.
//!
//! A [`Verifier`] holds the [`Keys`] of the accepted issuers and the [`Rules`] that tokens must satisfy. It turns a
//! valid token into a [`Caller`] and refuses any other with an [`InvalidToken`]. [`Scope`]s decide what a caller may
//! do. A server that requires no tokens has [`Access::Anonymous`].
//!
//! ```
//! use std::time::Duration;
//!
//! use metricd_access::{InvalidToken, Keys, NewToken, Rules, Scope, Secret, Verifier};
//!
//! let secret = Secret::parse("0123456789abcdef0123456789abcdef".to_owned())?;
//! let token = secret.sign(&NewToken::new([Scope::Read], Duration::from_secs(60)).with_subject("ann"))?;
//!
//! let verifier = Verifier::new(Keys::default().with_secret(&secret), Rules::default())?;
//! let caller = verifier.verify(&token)?;
//! assert_eq!(caller.subject(), Some("ann"));
//! assert!(caller.may(Scope::Read) && !caller.may(Scope::Write));
//!
//! let forged = format!("{token}x");
//! assert!(matches!(verifier.verify(&forged), Err(InvalidToken::Signature | InvalidToken::Malformed(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `jsonwebtoken` on AWS-LC does all the cryptography. The crate knows neither HTTP nor a database, reads no
//! environment variables and opens no files.

mod access;
mod algorithm;
mod caller;
mod claims;
mod header;
mod invalid_token;
mod issue;
mod keys;
mod scope;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
mod unique;
mod verifier;

pub use access::Access;
pub use algorithm::{Algorithm, InvalidAlgorithm};
pub use caller::Caller;
pub use invalid_token::InvalidToken;
pub use issue::{IssueError, NewToken};
pub use keys::{InvalidKeys, Keys};
pub use scope::{InvalidScope, Scope, Scopes};
pub use secret::{InvalidSecret, Secret};
pub use verifier::{NoKeys, Rules, Verifier};

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
