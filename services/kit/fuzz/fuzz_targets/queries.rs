#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| service_kit::fuzzing::queries(data));
