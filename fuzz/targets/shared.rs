//! `cargo fuzz run shared`.
#![no_main]
#![allow(missing_docs)]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ipc_fuzz::shared(input));
