//! The trace that a request belongs to (W3C Trace Context, 2021).
//!
//! The gateway makes no spans of its own, so `traceparent` and `tracestate` go on as they came, which the standard asks of who only
//! forwards. The id of the trace goes into the log.

use http::HeaderMap;

const VERSION_DIGITS: usize = 2;
const TRACE_DIGITS: usize = 32;
const PARENT_DIGITS: usize = 16;
const FLAGS_DIGITS: usize = 2;

/// Id of the trace; none without exactly one `traceparent` that makes sense (§3.2).
pub(super) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all("traceparent").iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => parse(field.to_str().ok()?),
        _ => None,
    }
}

fn parse(field: &str) -> Option<&str> {
    let mut parts = field.split('-');
    let version = digits(parts.next()?, VERSION_DIGITS)?;
    let trace = digits(parts.next()?, TRACE_DIGITS)?;
    let parent = digits(parts.next()?, PARENT_DIGITS)?;
    digits(parts.next()?, FLAGS_DIGITS)?;
    // Later versions may append something, ff is none (§3.2.2.1), and ids of zeros are not valid (§3.2.2.3, §3.2.2.4).
    let is_whole = parts.next().is_none() || version != "00";
    let is_zero = |id: &str| id.bytes().all(|digit| digit == b'0');
    (is_whole && version != "ff" && !is_zero(trace) && !is_zero(parent)).then_some(trace)
}

/// So many hexadecimal digits in lower case.
fn digits(text: &str, count: usize) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == count && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_read_as_the_standard_says() {
        const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (field, expected) in [
            (format!("00-{ID}-00f067aa0ba902b7-01"), Some(ID)),
            (format!("cc-{ID}-00f067aa0ba902b7-01-later"), Some(ID)),
            (format!("00-{ID}-00f067aa0ba902b7-01-later"), None),
            (format!("ff-{ID}-00f067aa0ba902b7-01"), None),
            (
                format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
                None,
            ),
            (format!("00-{ID}-0000000000000000-01"), None),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
            (format!("00-{ID}-00f067aa0ba902b7"), None),
            (format!("00-{}-00f067aa0ba902b7-01", &ID[1..]), None),
            (String::new(), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", field.parse().unwrap());
            assert_eq!(trace_id(&headers), expected, "{field}");
            headers.append("traceparent", field.parse().unwrap());
            assert_eq!(trace_id(&headers), None, "twice");
        }
    }
}
