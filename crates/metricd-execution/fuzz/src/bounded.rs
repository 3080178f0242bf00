//! Fuzzes the guard for a number of seconds with mutations of the corpora, without a nightly compiler: `bounded
//! [seconds [seed]]`. `bounded seeds <folder>` writes the corpora to the folder, as seeds for cargo-fuzz.
//!
//! If the guard panics on an input or exceeds the time limit, the input is printed and the exit code is not 0.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use metricd_execution_fuzz::{check_input, seeds};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// The maximum time for one input: many times what 100 000 bytes take.
const MAX_CHECK_TIME: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [word, folder] = arguments.as_slice()
        && word == "seeds"
    {
        write_seeds(Path::new(folder));
        return ExitCode::SUCCESS;
    }
    let seconds = arguments.first().map_or(Ok(60), |seconds| seconds.parse()).expect("a number of seconds");
    let seed = arguments.get(1).map_or_else(|| Ok(rand::rng().random()), |seed| seed.parse()).expect("a seed");
    run(Duration::from_secs(seconds), seed)
}

fn write_seeds(folder: &Path) {
    fs::create_dir_all(folder).expect("the folder can be made");
    for (index, seed) in seeds().iter().enumerate() {
        fs::write(folder.join(format!("seed-{index}")), seed).expect("a seed can be written");
    }
}

fn run(duration: Duration, seed: u64) -> ExitCode {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let pool = Pool::of(seeds());
    let (begin, mut count, mut slowest) = (Instant::now(), 0_u64, Duration::ZERO);
    while begin.elapsed() < duration {
        let input = pool.input(&mut random);
        let before = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| check_input(&input))).is_ok();
        slowest = slowest.max(before.elapsed());
        count += 1;
        if !passed || before.elapsed() > MAX_CHECK_TIME {
            println!(
                "input {count} of seed {seed}, after {:?}: {:?}",
                before.elapsed(),
                String::from_utf8_lossy(&input)
            );
            return ExitCode::FAILURE;
        }
    }
    println!("{count} inputs in {:?}, the slowest in {slowest:?}", begin.elapsed());
    ExitCode::SUCCESS
}

/// The statements from which inputs are made, and their words.
struct Pool {
    statements: Vec<Vec<String>>,
    words: Vec<String>,
}

/// Texts that are rare in honest statements and frequent in attacks on parsers.
const RARE_TEXTS: [&str; 30] = [
    "'", "\"", "$$", "$a$", "E'", "U&'", "N'", "--", "/*", "*/", "\\", ";", ":", "::", ":a", "$1", "(", ")", "[", "]",
    "\u{a0}", "\u{2028}", "\u{17f}", "\u{212a}", "\r", "\u{b}", "\u{c}", "#-", "|/", "😀",
];

impl Pool {
    fn of(statements: Vec<String>) -> Self {
        let statements: Vec<_> = statements.iter().map(|statement| split(statement)).collect();
        let words = statements.iter().flatten().cloned().chain(RARE_TEXTS.map(str::to_owned)).collect();
        Self { statements, words }
    }

    /// A statement with some words removed, doubled, swapped, replaced, or wrapped in many parentheses.
    fn input(&self, random: &mut StdRng) -> Vec<u8> {
        let mut words = self.statements.choose(random).cloned().unwrap_or_default();
        for _ in 0..random.random_range(1..8) {
            if words.is_empty() {
                break;
            }
            let at = random.random_range(0..words.len());
            match random.random_range(0..10) {
                0 => drop(words.remove(at)),
                1 => words.insert(at, words[at].clone()),
                2 => {
                    let other = random.random_range(0..words.len());
                    words.swap(at, other);
                }
                3 | 4 => words[at] = self.word(random),
                5 | 6 => words.insert(at, self.word(random)),
                7 => words.insert(at, (*RARE_TEXTS.choose(random).unwrap_or(&"'")).to_owned()),
                8 => self.splice(&mut words, at, random),
                _ => repeat(&mut words, at, random),
            }
        }
        let mut input = words.concat().into_bytes();
        if random.random_ratio(1, 20) && !input.is_empty() {
            let at = random.random_range(0..input.len());
            input[at] = random.random();
        }
        input.truncate(metricd_domain::MAX_SQL_BYTES);
        input
    }

    fn word(&self, random: &mut StdRng) -> String {
        self.words.choose(random).cloned().unwrap_or_default()
    }

    /// Inserts a piece of another statement.
    fn splice(&self, words: &mut Vec<String>, at: usize, random: &mut StdRng) {
        let other = self.statements.choose(random).map(Vec::as_slice).unwrap_or_default();
        let begin = random.random_range(0..=other.len());
        let end = random.random_range(begin..=other.len());
        words.splice(at..at, other[begin..end].iter().cloned());
    }
}

/// Repeats a piece of the statement: mostly a few times, rarely as often as fits.
fn repeat(words: &mut Vec<String>, at: usize, random: &mut StdRng) {
    let end = (at + random.random_range(1..6)).min(words.len());
    let piece = words[at..end].concat();
    let most = metricd_domain::MAX_SQL_BYTES / piece.len().max(1);
    let times = if random.random_ratio(1, 50) { most } else { random.random_range(2..200).min(most) };
    words.insert(at, piece.repeat(times));
}

/// Splits the statement into words, blanks and other characters.
fn split(statement: &str) -> Vec<String> {
    let kind = |character: char| match character {
        character if character.is_alphanumeric() || character == '_' => 0,
        character if character.is_whitespace() => 1,
        _ => 2,
    };
    let mut words: Vec<String> = Vec::new();
    for character in statement.chars() {
        match words.last_mut() {
            Some(word) if kind(character) < 2 && word.ends_with(|last| kind(last) == kind(character)) => {
                word.push(character)
            }
            _ => words.push(character.to_string()),
        }
    }
    words
}
