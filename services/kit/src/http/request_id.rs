//! Request ids: one name for a request in responses, logs and problem reports.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Header that carries the id, in both directions.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id is not taken over: ids go into every log line.
const LENGTH_MAX: usize = 128;

/// Id of one request. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id when it is a harmless token, so that one id follows a request through all programs; a new UUID
    /// otherwise.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        match headers.get(X_REQUEST_ID) {
            Some(value) if is_sane(value.as_bytes()) => Self(value.clone()),
            _ => Self::random(),
        }
    }

    /// A new UUID.
    pub fn random() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
        // Hexadecimal digits and hyphens are always a header's value.
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none")))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in.
        self.0.to_str().unwrap_or_default()
    }

    /// As the value of a header.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_sane(id: &[u8]) -> bool {
    let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    !id.is_empty() && id.len() <= LENGTH_MAX && id.iter().all(sane)
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sane_ids_are_taken_over_and_others_replaced() {
        let taken = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(id).unwrap());
            RequestId::from_headers(&headers).as_str() == id
        };
        assert!(taken("0af7-A.b_c"));
        assert!(taken(&"a".repeat(LENGTH_MAX)));
        for id in ["", "a b", "<script>", "a\"b", &"a".repeat(LENGTH_MAX + 1)] {
            assert!(!taken(id), "{id:?}");
        }
        assert_ne!(RequestId::random(), RequestId::random());
        assert_eq!(RequestId::random().as_str().len(), 36);
    }
}
