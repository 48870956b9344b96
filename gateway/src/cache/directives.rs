//! `Cache-Control` of requests and responses (RFC 9111 §5.2).
//!
//! What cannot be understood is read in the way that keeps less: a number that is none is 0 (§4.2.1 encourages to treat the response as
//! stale), of two that differ the smaller one counts, and a list of fields that is none means the whole response.

use http::{HeaderMap, HeaderName, header};

/// What a `Cache-Control` says. Numbers are seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_store: bool,
    /// Without a list of fields.
    pub(crate) no_cache: bool,
    /// Without a list of fields.
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u32>,
    pub(crate) s_maxage: Option<u32>,
    pub(crate) min_fresh: Option<u32>,
    pub(crate) stale_while_revalidate: Option<u32>,
    pub(crate) stale_if_error: Option<u32>,
    /// Fields that `private` and `no-cache` list: they are not kept.
    pub(crate) hidden: Vec<HeaderName>,
}

/// Largest number of seconds (RFC 9111 §1.2.2): more means that much.
const SECONDS_MAX: u32 = 1 << 31;

// === impl Directives ===

impl Directives {
    /// Of a response.
    pub(crate) fn of_response(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            directives.read(line.as_bytes());
        }
        directives
    }

    /// Of a request; `Pragma: no-cache` counts where there is no `Cache-Control` (RFC 9111 §5.4).
    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let mut directives = Self::of_response(headers);
        if !headers.contains_key(header::CACHE_CONTROL) {
            directives.no_cache = headers
                .get_all(header::PRAGMA)
                .iter()
                .any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
        }
        directives
    }

    fn read(&mut self, mut line: &[u8]) {
        while let Some((name, value, rest)) = next_directive(line) {
            self.add(name, value.as_deref());
            line = rest;
        }
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let least = |slot: &mut Option<u32>| {
            let given = seconds(value.unwrap_or_default());
            *slot = Some(slot.map_or(given, |before| before.min(given)));
        };
        match name.to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= !hide(&mut self.hidden, value),
            b"private" => self.private |= !hide(&mut self.hidden, value),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => least(&mut self.max_age),
            b"s-maxage" => least(&mut self.s_maxage),
            b"min-fresh" => least(&mut self.min_fresh),
            b"stale-while-revalidate" => least(&mut self.stale_while_revalidate),
            b"stale-if-error" => least(&mut self.stale_if_error),
            _ => {}
        }
    }
}

/// Adds the listed fields; false when there is no list or when it is none.
fn hide(hidden: &mut Vec<HeaderName>, list: Option<&[u8]>) -> bool {
    let Some(list) = list else {
        return false;
    };
    let names = list
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .map(HeaderName::from_bytes);
    match names.collect::<Result<Vec<_>, _>>() {
        Ok(names) if !names.is_empty() => {
            hidden.extend(names);
            true
        }
        _ => false,
    }
}

fn seconds(digits: &[u8]) -> u32 {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let text = std::str::from_utf8(digits).unwrap_or_default();
    // Digits only, so the one failure is a number that is too large.
    text.parse()
        .map_or(SECONDS_MAX, |n: u32| n.min(SECONDS_MAX))
}

/// The next `name [ "=" ( token / quoted-string ) ]`, and what follows it.
#[expect(
    clippy::type_complexity,
    reason = "name, value and rest of one parser step"
)]
fn next_directive(line: &[u8]) -> Option<(&[u8], Option<Vec<u8>>, &[u8])> {
    let start = line
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
    let line = &line[start..];
    let end = line
        .iter()
        .position(|byte| matches!(byte, b'=' | b',' | b' ' | b'\t'))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else {
        return Some((name, None, after_comma(rest)));
    };
    let value = value.trim_ascii_start();
    match value.strip_prefix(b"\"") {
        Some(quoted) => {
            let (text, rest) = unquote(quoted);
            Some((name, Some(text), after_comma(rest)))
        }
        None => {
            let end = value.iter().position(|byte| *byte == b',');
            let (text, rest) = value.split_at(end.unwrap_or(value.len()));
            Some((name, Some(text.trim_ascii_end().to_vec()), rest))
        }
    }
}

/// A quoted string without its first quote (RFC 9110 §5.6.4), and what follows. One that does not end goes on to the end.
fn unquote(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return (text, &quoted[at + 1..]),
            b'\\' => text.extend(bytes.next().map(|(_, escaped)| *escaped)),
            byte => text.push(*byte),
        }
    }
    (text, &[])
}

fn after_comma(rest: &[u8]) -> &[u8] {
    let comma = rest.iter().position(|byte| *byte == b',');
    comma.map_or(&[], |comma| &rest[comma + 1..])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn response(line: &str) -> Directives {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_bytes(line.as_bytes()).unwrap(),
        );
        Directives::of_response(&headers)
    }

    #[test]
    fn directives_are_read_without_regard_to_case_order_and_blanks() {
        for line in [
            "max-age=60, public, no-store",
            "No-Store,PUBLIC ,\tMax-Age=\"60\"",
            " , ,public,,max-age = 60 ,no-store,",
            "x=\"a, private=1, \\\" no-cache\", no-store, public, max-age=60, foo=bar",
        ] {
            let expected = Directives {
                max_age: Some(60),
                public: true,
                no_store: true,
                ..Directives::default()
            };
            assert_eq!(response(line), expected, "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_keeps_less() {
        for (line, seconds) in [
            ("max-age=abc", 0),
            ("max-age=-1", 0),
            ("max-age=+1", 0),
            ("max-age=1.5", 0),
            ("max-age", 0),
            ("max-age=", 0),
            ("max-age=60, max-age=30", 30),
            ("max-age=99999999999999999999", SECONDS_MAX),
            ("max-age=4294967295", SECONDS_MAX),
        ] {
            assert_eq!(response(line).max_age, Some(seconds), "{line}");
        }
        for line in ["private=\"\"", "private=\"a b\"", "private=", "private"] {
            assert!(response(line).private, "{line}");
        }
        let listed = response("private=\"x-a, X-B\", no-cache=set-cookie");
        assert!(!listed.private && !listed.no_cache);
        assert_eq!(listed.hidden, ["x-a", "x-b", "set-cookie"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            Directives::default().read(&line);
        }

        #[test]
        fn a_directive_is_found_whatever_stands_before_it(
            before in "[a-z]{1,6}(=([a-z0-9]{1,6}|\"[a-z, =]{0,8}\"))?", seconds in 0u32..SECONDS_MAX,
        ) {
            prop_assume!(!before.starts_with("max-age"));
            let line = format!("{before}, max-age={seconds}");
            prop_assert_eq!(response(&line).max_age, Some(seconds));
        }
    }
}
