#![no_main]

libfuzzer_sys::fuzz_target!(init: drift_fuzz::start(), |input: &[u8]| drift_fuzz::insert::run(input));
