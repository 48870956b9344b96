//! A header as text without a loss: the bytes of a value as ISO 8859-1, which has a character for each (RFC 9110 §5.5).

use http::{HeaderMap, HeaderName, HeaderValue};

/// Name and value of every field, in their order.
pub(super) type Fields = Vec<(String, String)>;

pub(super) fn to_text(headers: &HeaderMap) -> Fields {
    let text = |value: &HeaderValue| -> String {
        let bytes = value.as_bytes().iter();
        bytes.map(|byte| char::from(*byte)).collect()
    };
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

/// None when it was not made by [`to_text`].
pub(super) fn to_headers(fields: Fields) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, text) in fields {
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        let value = HeaderValue::from_bytes(&bytes.ok()?).ok()?;
        headers.append(HeaderName::try_from(name).ok()?, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written(
            fields in proptest::collection::vec(("[a-c-]{1,3}", proptest::collection::vec(0x20..=0xff_u8, 0..6)), 0..6)
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(HeaderName::try_from(name).unwrap(), value);
                }
            }
            prop_assert_eq!(to_headers(to_text(&headers)), Some(headers));
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for (name, value) in [("a b", "x"), ("a", "\u{100}"), ("a", "x\ny")] {
            assert_eq!(to_headers(vec![(name.to_owned(), value.to_owned())]), None);
        }
    }
}
