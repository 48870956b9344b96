//! The way in for fuzzing: the parsers of the catalog that read what others send, as functions of arbitrary bytes that panic when a
//! property does not hold. The targets in `services/catalog/fuzz` feed them for as long as one likes (`make fuzz`), the test below
//! for a moment in every test run. Built with `--cfg fuzzing` and for tests only. Bodies of requests are read by `catalog-api`.

pub use crate::{discovery::dns_answers, prefer::preferences};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts of records, with arbitrary bytes between: names, pointers, types with class and TTL, lengths, addresses.
    fn records() -> impl Strategy<Value = Vec<u8>> {
        const PARTS: [&[u8]; 12] = [
            b"\x02",
            b"\xc0\x0c",
            b"\xc0\x1e",
            b"\x01b\0",
            b"\0",
            b"\0\x01\0\x01\0\0\0\x3c",
            b"\0\x1c\0\x01\x80\0\0\x01",
            b"\0\x05\0\x01\0\0\0\x05",
            b"\0\x04\x7f\0\0\x02",
            b"\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
            b"\0\x02\xc0\x0c",
            b"\0\x03\x01b\0",
        ];
        let part = prop_oneof![
            12 => prop::sample::select(&PARTS[..]).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..3),
        ];
        prop::collection::vec(part, 0..16).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn hold_for_dns_answers(data in records()) {
            dns_answers(&data);
        }

        #[test]
        fn hold_for_preferences(data in "(respond-async|wait|[=;,\"\\\\ \n]){0,24}") {
            preferences(data.as_bytes());
        }
    }
}
