//! `cargo +nightly fuzz run guard`, in this folder's parent.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| metricd_execution_fuzz::look(bytes));
