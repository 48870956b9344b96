//! The way in for fuzzing: the JSON types as functions of arbitrary bytes that panic when a property does not hold. The target in
//! `services/catalog-api/fuzz` feeds them for as long as one likes (`make fuzz`), the test below for a moment in every test run. Built
//! with `--cfg fuzzing` and for tests only.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Address, CatalogUrl, HostPattern, PathPrefix, Policy, RouteSpec, Service, ServiceName,
};

/// What was parsed is written in a form that is parsed as the same.
pub fn documents(data: &[u8]) {
    written_back::<Service>(data);
    written_back::<Policy>(data);
    written_back::<RouteSpec>(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    shown::<ServiceName>(text);
    shown::<HostPattern>(text);
    shown::<PathPrefix>(text);
    shown::<Address>(text);
    shown::<CatalogUrl>(text);
}

fn written_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(data) {
        let text = serde_json::to_vec(&value).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<T>(&text).ok(), Some(value));
    }
}

fn shown<T: std::str::FromStr + std::fmt::Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().ok(), Some(value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "true",
        "0",
        "1e3",
        "\"30s\"",
        "\"name\":\"a\"",
        "\"path_prefix\":\"/a\"",
        "\"host\":\"*.a\"",
        "\"methods\":[\"GET\"]",
        "\"timeouts\":{\"read\":\"1s\"}",
        "\"balance\":\"random\"",
        "\"cache\":{}",
        "/a/b",
        "a.b:80",
        "[::1]:1",
        "http://a:1",
        "*.a",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn hold_for_documents(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..12), text in "\\PC{0,4}") {
            documents((words.concat() + &text).as_bytes());
        }
    }
}
