//! `Range` of bytes (RFC 9110 §14).

use http::{HeaderMap, header};

/// What of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, or one that §14.2 lets a server pass over, such as another unit or several ranges.
    Whole,
    /// Bytes from the first to the last, both included.
    Part { first: u64, last: u64 },
    /// A range that the file does not have.
    Nothing,
}

/// Reads the field for a file of so many bytes.
pub(super) fn wanted(request: &HeaderMap, length: u64) -> Wanted {
    let mut fields = request.get_all(header::RANGE).iter();
    match (
        fields.next().and_then(|field| field.to_str().ok()),
        fields.next(),
    ) {
        (Some(field), None) => parse(field, length).unwrap_or(Wanted::Whole),
        _ => Wanted::Whole,
    }
}

/// None when it is not one range of bytes.
fn parse(field: &str, length: u64) -> Option<Wanted> {
    let (unit, range) = field.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let end = length.checked_sub(1);
    let (first, last) = match (number(first)?, number(last)?) {
        (None, None) => return None,
        // The last so many.
        (None, Some(0)) => return Some(Wanted::Nothing),
        (None, Some(count)) => (length.saturating_sub(count), end),
        (Some(first), None) => (first, end),
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), Some(last)) => (first, end.map(|end| end.min(last))),
    };
    Some(match last {
        Some(last) if first <= last => Wanted::Part { first, last },
        _ => Wanted::Nothing,
    })
}

/// A number or nothing; none when it is something else. One that is too large is beyond every file.
fn number(digits: &str) -> Option<Option<u64>> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_specification_says() {
        let part = |first, last| Some(Wanted::Part { first, last });
        for (field, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("Bytes=2-", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes=5-99999999999999999999999", part(5, 9)),
            ("bytes=10-", Some(Wanted::Nothing)),
            ("bytes=-0", Some(Wanted::Nothing)),
            ("bytes=3-2", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("0-1", None),
        ] {
            assert_eq!(parse(field, 10), expected, "{field}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(Wanted::Nothing));
    }

    proptest! {
        #[test]
        fn a_part_is_within_the_file(field in "bytes=[0-9]{0,21}-[0-9]{0,21}", length in 0u64..50) {
            if let Some(Wanted::Part { first, last }) = parse(&field, length) {
                prop_assert!(first <= last && last < length);
            }
        }

        #[test]
        fn anything_is_read_without_a_panic(field in "\\PC{0,32}", length: u64) {
            parse(&field, length);
        }
    }
}
