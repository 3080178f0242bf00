//! What verifying a token costs, by algorithm, with and without what is remembered:
//! `cargo run --release -p metricd-access --features testing --example tokens`.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use metricd_access::testing::Issuer;
use metricd_access::{Algorithm, Keys, Rules, Secret, Verifier};
use serde_json::json;

const SECRET: &str = "correct horse battery staple, and then some";

/// How long each is measured, in each round.
const ROUND: Duration = Duration::from_millis(200);

/// They are measured in turns.
const ROUNDS: usize = 5;

#[expect(clippy::print_stdout, reason = "it is what this is for")]
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
        for (_, verifier, token, anew, remembered) in &mut measured {
            anew.push(microseconds(|| verifier.verify_uncached(token).is_ok()));
            remembered.push(microseconds(|| verifier.verify(token).is_ok()));
        }
    }
    println!("algorithm  anew µs  remembered µs  ratio");
    for (algorithm, _, _, anew, remembered) in &mut measured {
        let (anew, remembered) = (median(anew), median(remembered));
        println!("{:9}  {anew:7.1}  {remembered:13.2}  {:5.0}", algorithm.name(), anew / remembered);
    }
    Ok(())
}

/// How long one takes.
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
