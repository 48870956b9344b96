//! The way in for fuzzing: every parser of the kit that reads what others send, as a function of arbitrary bytes that panics when a
//! property does not hold. The targets in `services/kit/fuzz` feed them for as long as one likes (`make fuzz`), the test below for a
//! moment in every test run. Built with `--cfg fuzzing` and for tests only.

use std::fmt::Display;
use std::str::FromStr;

pub use crate::http::fuzzing::queries;

use crate::listen::ListenAddress;
use crate::settings::{Size, Span};
use crate::sse::Parser;

/// Longest event and line here.
const EVENT_BYTES_MAX: usize = 64;

/// The events of a stream do not depend on the pieces in which it comes, nor does the end at one that is too long.
pub fn event_streams(data: &[u8]) {
    let whole = Parser::new(EVENT_BYTES_MAX).feed(data);
    let mut parser = Parser::new(EVENT_BYTES_MAX);
    let mut events = Vec::new();
    let mut too_long = None;
    for byte in data {
        match parser.feed(std::slice::from_ref(byte)) {
            Ok(more) => events.extend(more),
            Err(error) => {
                too_long = Some(error);
                break;
            }
        }
    }
    match whole {
        Ok(whole) => assert_eq!((whole, None), (events, too_long)),
        // Whole lines are counted at once, so only the bytes are the same, not the events before them.
        Err(error) => assert_eq!(Some(error), too_long),
    }
}

/// A value that was read is written in a form that is read as the same value.
pub fn setting_values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    written_back::<Span>(text);
    written_back::<Size>(text);
    written_back::<ListenAddress>(text);
}

fn written_back<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().ok(), Some(value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Strings of pieces that the parser cares about, with arbitrary bytes between.
    fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            12 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..3),
        ];
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn hold_for_event_streams(data in pieces(&["data: x", "event: a", "id: 1", "\n", "\r", "\r\n", "\n\n", ":", "\0", "\u{feff}", "data"])) {
            event_streams(&data);
        }

        #[test]
        fn hold_for_setting_values(data in pieces(&["1", "30", "s", "ms", "h ", "KiB", "GiB", ".", "0", "localhost", ":", "[::1]", "80", "18446744073709551615"])) {
            setting_values(&data);
        }

        #[test]
        fn hold_for_queries(data in pieces(&["a", "=", "&", "%41", "%", "+", "%ff", "%C3%A9", "%26"])) {
            queries(&data);
        }
    }
}
