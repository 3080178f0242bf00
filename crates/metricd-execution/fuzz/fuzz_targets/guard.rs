//! Fuzzes the guard: `cargo +nightly fuzz run guard` in the parent of this folder.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| metricd_execution_fuzz::check_input(bytes));
