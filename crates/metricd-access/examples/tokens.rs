//! Measures the time to verify a token, by algorithm, with and without the token cache:
//! `cargo run --release -p metricd-access --features testing --example tokens`.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use metricd_access::testing::Issuer;
use metricd_access::{Algorithm, Keys, Rules, Secret, Verifier};
use serde_json::json;

const SECRET: &str = "correct horse battery staple, and then some";

/// The time for which each case is measured in each round.
const ROUND: Duration = Duration::from_millis(200);

/// The number of rounds. The algorithms are measured in turns.
const ROUNDS: usize = 5;

#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let claims =
        json!({"sub": "ann", "scope": "metrics:read", "iss": "us", "aud": "metricd", "exp": 4_000_000_000_u64});
    let mut measured = Vec::new();
    for algorithm in Algorithm::ALL {
        let (issuer, keys) = if *algorithm == Algorithm::Hs256 {
            let keys = Keys::default().with_secret(&Secret::parse(SECRET.to_owned())?);
            (Issuer::with_secret(SECRET.as_bytes()), keys)
        } else {
            let issuer = Issuer::new(*algorithm)?;
            let keys = Keys::parse(issuer.public_pem())?;
            (issuer, keys)
        };
        let rules = Rules { issuers: vec!["us".into()], audiences: vec!["metricd".into()], ..Rules::default() };
        let verifier = Verifier::new(keys, rules)?;
        let token = issuer.sign(&json!({}), &claims)?;
        verifier.verify(&token)?;
        measured.push((algorithm, verifier, token, Vec::new(), Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (_, verifier, token, uncached, cached) in &mut measured {
            uncached.push(microseconds(|| verifier.verify_uncached(token).is_ok()));
            cached.push(microseconds(|| verifier.verify(token).is_ok()));
        }
    }
    println!("algorithm  uncached µs  cached µs  ratio");
    for (algorithm, _, _, uncached, cached) in &mut measured {
        let (uncached, cached) = (median(uncached), median(cached));
        println!("{:9}  {uncached:11.1}  {cached:9.2}  {:5.0}", algorithm.name(), uncached / cached);
    }
    Ok(())
}

/// Returns the mean time of one call, in microseconds.
fn microseconds(mut verify: impl FnMut() -> bool) -> f64 {
    let began = Instant::now();
    let mut count = 0_u32;
    while began.elapsed() < ROUND {
        for _ in 0..16 {
            assert!(black_box(verify()));
        }
        count += 16;
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
