//! Compares drawings with files, byte by byte.
//!
//! `METRICD_UPDATE_GOLDEN=1 cargo test -p metricd-chart --test golden` rewrites the files. Look at them before you commit.

#![allow(clippy::unwrap_used, clippy::assigning_clones, unreachable_pub, reason = "helpers of one test")]

mod bars;
mod edges;
mod lines;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::Case;

#[test]
fn drawings_are_the_golden_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases: Vec<Case> = [lines::cases(), bars::cases(), edges::cases()].concat();
    let updates = std::env::var_os("METRICD_UPDATE_GOLDEN").is_some();
    let mut names = BTreeSet::new();
    let mut differing = Vec::new();
    for case in cases {
        let svg = case.draw();
        assert_eq!(svg, case.draw(), "{}: equal input gives equal bytes", case.name);
        assert!(svg.len() < 200_000, "{} has {} bytes", case.name, svg.len());
        let file = folder.join(format!("{}.svg", case.name));
        assert!(names.insert(format!("{}.svg", case.name)), "{} comes twice", case.name);
        if updates {
            fs::write(&file, &svg).unwrap();
        } else if fs::read_to_string(&file).ok().as_deref() != Some(&svg) {
            differing.push(case.name);
        }
    }
    assert!(differing.is_empty(), "these drawings differ from their files: {differing:?}");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<_> = files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "svg")).collect();
    assert_eq!(files, names, "a file without a case");
}
