#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| service_kit::fuzzing::event_streams(data));
