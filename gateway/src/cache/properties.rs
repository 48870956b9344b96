//! What must hold of the reader of `Cache-Control`, whatever the field is.

use http::{HeaderMap, HeaderValue, header};

use super::directives::Directives;

/// Case does not matter, and a directive that comes before others is found whatever they are.
pub fn cache_directives(data: &[u8]) {
    let read = |line: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_bytes(line).ok()?);
        Some(Directives::of_response(&headers))
    };
    let Some(directives) = read(data) else {
        return;
    };
    assert_eq!(read(&data.to_ascii_uppercase()).as_ref(), Some(&directives));
    let first = read(&[b"no-store, max-age=0,", data].concat()).unwrap_or_default();
    let expected = Directives {
        no_store: true,
        max_age: Some(0),
        ..directives
    };
    assert_eq!(first, expected);
}
