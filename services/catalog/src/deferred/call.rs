//! A call as it waits: one line of JSON with everything but the body, then the body as it is.

use bytes::Bytes;
use catalog_api::ServiceId;
use http::{HeaderMap, Method, uri::PathAndQuery};
use serde::{Deserialize, Serialize};
use service_kit::http::RequestId;

use super::fields::{self, Fields};
use crate::{auth::Credentials, calls::Head};

/// A call that can be carried out.
pub(super) struct KeptCall {
    pub(super) service: ServiceId,
    pub(super) head: Head,
    pub(super) body: Bytes,
    pub(super) credentials: Credentials,
}

#[derive(Serialize, Deserialize)]
struct Line {
    service: ServiceId,
    method: String,
    target: String,
    /// As an instance gets them: the catalog's token is not among them.
    fields: Fields,
    is_for_a_cache: bool,
    /// The policy may ask for the token when the call is begun; that it was there is all that has to be known.
    has_token: bool,
}

// === impl KeptCall ===

impl KeptCall {
    pub(super) fn write(
        service: ServiceId,
        head: &Head,
        body: &Bytes,
        credentials: Credentials,
    ) -> Bytes {
        let line = Line {
            service,
            method: head.method.to_string(),
            target: head.target.to_string(),
            fields: fields::to_text(&head.headers),
            is_for_a_cache: head.is_for_a_cache,
            has_token: credentials == Credentials::Token,
        };
        // Text, numbers and lists of them can always be written.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(body);
        bytes.into()
    }

    /// None when it is anything else than what [`KeptCall::write`] makes.
    pub(super) fn read(bytes: &Bytes) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line: Line = serde_json::from_slice(&bytes[..end]).ok()?;
        let headers: HeaderMap = fields::to_headers(line.fields)?;
        let method: Method = line.method.parse().ok()?;
        let target: PathAndQuery = line.target.parse().ok()?;
        Some(Self {
            service: line.service,
            head: Head {
                method,
                target,
                // It is one of the fields.
                request_id: RequestId::from_headers(&headers),
                headers,
                is_for_a_cache: line.is_for_a_cache,
            },
            body: bytes.slice(end + 1..),
            credentials: match line.has_token {
                true => Credentials::Token,
                false => Credentials::None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_call_is_read_as_it_was_written() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-request-id", &b"r-1"[..]), ("x", b"\xff"), ("x", b"2")] {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let head = Head {
            method: Method::from_bytes(b"PROPFIND").unwrap(),
            target: "/a%2Fb?x=%ff".parse().unwrap(),
            headers,
            is_for_a_cache: true,
            request_id: RequestId::random(),
        };
        let body = Bytes::from_static(b"one\ntwo\0\xff");
        let bytes = KeptCall::write(ServiceId(7), &head, &body, Credentials::Token);
        let read = KeptCall::read(&bytes).unwrap();
        assert_eq!((read.service, &read.body), (ServiceId(7), &body));
        assert_eq!(read.credentials, Credentials::Token);
        assert_eq!(read.head.method, head.method);
        assert_eq!(read.head.target, head.target);
        assert_eq!(read.head.headers, head.headers);
        assert_eq!(read.head.request_id.as_str(), "r-1");
        assert!(read.head.is_for_a_cache);
        let other = KeptCall::write(ServiceId(7), &head, &body, Credentials::Other);
        let read = KeptCall::read(&other).unwrap();
        assert_eq!(read.credentials, Credentials::None);
    }

    #[test]
    fn anything_else_is_not_read() {
        for bytes in [&b""[..], b"{}\n", b"{}", b"\n\n"] {
            assert!(KeptCall::read(&Bytes::from_static(bytes)).is_none());
        }
    }
}
