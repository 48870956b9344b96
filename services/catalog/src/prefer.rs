//! `Prefer: respond-async` (RFC 7240): whether a caller would rather have his answer later.
//!
//! Preferences are no conditions: what is not known, or makes no sense, is passed over (§2). `wait` is, too.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Where preferences stand.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Where it is said which of them had an effect (§3).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preference.
pub(crate) const RESPOND_ASYNC: &str = "respond-async";

/// Takes `respond-async` out of a header and tells whether it was there. Other preferences are the service's and stay as they are.
pub(crate) fn take_respond_async(headers: &mut HeaderMap) -> bool {
    let mut found = false;
    let mut left = Vec::new();
    for value in headers.get_all(PREFER) {
        let (asked, others): (Vec<_>, Vec<_>) =
            members(value.as_bytes()).partition(|member| is_respond_async(member));
        if asked.is_empty() {
            left.push(value.clone());
        } else {
            found = true;
            // Parts of a value are a value.
            let others = HeaderValue::from_bytes(&others.join(&b", "[..]));
            left.extend(others.ok().filter(|value| !value.is_empty()));
        }
    }
    if found {
        headers.remove(PREFER);
        for value in left {
            headers.append(PREFER, value);
        }
    }
    found
}

/// The members of a list, without blanks around them and without empty ones (RFC 9110 §5.6.1). A comma in quotes is none.
fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let members = list.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    members
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Without a value, which an empty one is as well (§2). Parameters have no meaning here.
fn is_respond_async(member: &[u8]) -> bool {
    let preference = member.split(|byte| *byte == b';').next();
    let mut parts = preference
        .unwrap_or_default()
        .splitn(2, |byte| *byte == b'=');
    let name = parts.next().unwrap_or_default().trim_ascii();
    let value = parts.next().unwrap_or_default().trim_ascii();
    name.eq_ignore_ascii_case(RESPOND_ASYNC.as_bytes()) && [&b""[..], b"\"\""].contains(&value)
}

/// Nothing is left that would be found again, what stays stays in its order, and a header without the preference is not touched.
#[cfg(any(test, fuzzing))]
pub fn preferences(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(PREFER, value);
        }
    }
    let joined = |headers: &HeaderMap| -> Vec<Vec<u8>> {
        let values = headers.get_all(PREFER).iter();
        let all = values.flat_map(|value| members(value.as_bytes()));
        all.map(<[u8]>::to_vec).collect()
    };
    let before = headers.clone();
    if !take_respond_async(&mut headers) {
        assert_eq!(headers, before);
        return;
    }
    let mut kept = joined(&before);
    kept.retain(|member| !is_respond_async(member));
    assert_eq!(joined(&headers), kept);
    assert!(!take_respond_async(&mut headers));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(values: &[&'static str]) -> (bool, Vec<String>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_static(value));
        }
        let found = take_respond_async(&mut headers);
        let rest = headers.get_all(PREFER).iter();
        let rest = rest.map(|value| value.to_str().unwrap().to_owned());
        (found, rest.collect())
    }

    #[test]
    fn the_preference_is_found_wherever_it_stands_and_others_stay() {
        for (values, rest) in [
            (&["respond-async"][..], &[][..]),
            (&["Respond-Async"], &[]),
            (&["respond-async=\"\""], &[]),
            (&["respond-async ; foo=bar"], &[]),
            (&["respond-async, wait=10"], &["wait=10"]),
            (
                &["wait=10 , respond-async,, x=\"a, b\""],
                &["wait=10, x=\"a, b\""],
            ),
            (
                &["return=minimal", "handling=lenient, respond-async"],
                &["return=minimal", "handling=lenient"],
            ),
            (&["respond-async, respond-async"], &[]),
        ] {
            let (found, left) = taken(values);
            assert!(found, "{values:?}");
            assert_eq!(left, rest, "{values:?}");
        }
    }

    #[test]
    fn what_is_something_else_is_passed_over() {
        for values in [
            &[][..],
            &[""],
            &["wait=10"],
            &["respond-async=1"],
            &["respond-asynchronously"],
            &["respond async"],
            &["\"respond-async\""],
            &["x=\"respond-async\""],
            &["x=\"a, respond-async"],
            &["x=\"\\\", respond-async, \\\"\""],
            &["x; respond-async"],
            &[";;;="],
        ] {
            let (found, left) = taken(values);
            assert!(!found, "{values:?}");
            assert_eq!(left, values, "{values:?}");
        }
    }
}
