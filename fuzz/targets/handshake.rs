//! `cargo fuzz run handshake`.
#![no_main]
#![allow(missing_docs)]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ipc_fuzz::handshake(input));
