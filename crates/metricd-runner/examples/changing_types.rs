//! Counts right, wrong and failed answers while a column's type is changed again and again.
//!
//! `cargo run --release -p metricd-runner --example changing_types -- 100000`

#[path = "../tests/runner/runner/changing/load.rs"]
mod load;

use anyhow::{Context, Result, ensure};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is for a person to read")]
async fn main() -> Result<()> {
    let count = std::env::args().nth(1).context("expected the number of answers")?.parse()?;
    let answers = load::ask_while_types_change(count).await?;
    println!("{answers:?}");
    ensure!(answers.wrong.load(std::sync::atomic::Ordering::Relaxed) == 0, "there were wrong answers");
    Ok(())
}
