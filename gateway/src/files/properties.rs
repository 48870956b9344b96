//! What must hold of the readers of requests for files, whatever the fields are.

use http::{HeaderMap, HeaderValue, header};

use super::{
    encoding::{Accepted, Encoding},
    name,
    range::{Wanted, wanted},
};

fn with(name: header::HeaderName, value: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_bytes(value).ok()?);
    Some(headers)
}

/// A part lies within the file. The first byte is the length of the file, the rest the field.
pub fn ranges(data: &[u8]) {
    let Some((length, field)) = data.split_first() else {
        return;
    };
    let Some(headers) = with(header::RANGE, field) else {
        return;
    };
    let length = u64::from(*length);
    match wanted(&headers, length) {
        Wanted::Part { first, last } => assert!(first <= last && last < length),
        Wanted::Whole => {}
        Wanted::Nothing => assert!(field.contains(&b'-')),
    }
}

/// Only codings that the client names, or takes all of, are used; one with weight 0 never is.
pub fn accept_encoding(data: &[u8]) {
    let Some(headers) = with(header::ACCEPT_ENCODING, data) else {
        return;
    };
    let field = data.to_ascii_lowercase();
    let names = |token: &str| {
        let mut windows = field.windows(token.len());
        windows.any(|window| window == token.as_bytes())
    };
    let accepted = Accepted::read(&headers);
    let codings = accepted.in_order(&Encoding::ALL);
    for coding in &codings {
        assert!(names(coding.token()) || names("*"));
    }
    assert_eq!(accepted.best(&Encoding::ALL), codings.first().copied());
}

/// No name leads out of its folder.
pub fn file_names(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else {
        return;
    };
    for name in name::parse(path).unwrap_or_default() {
        assert!(!name.is_empty() && name != "." && name != "..");
        assert!(!name.contains(['/', '\\', '\0']));
        assert!(!name.starts_with('.') || name == ".well-known");
    }
}
