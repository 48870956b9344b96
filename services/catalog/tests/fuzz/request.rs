//! A request as bytes, and whether it is one at all.

use http::{HeaderName, HeaderValue, Method, Uri, header};
use serde_json::Value;

use crate::program::TOKEN;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    /// None = no body, which is not the same as an empty one.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) is_chunked: bool,
}

/// A body is sent in chunks of this many bytes.
const CHUNK_BYTES: usize = 1_000;

// === impl Request ===

impl Request {
    pub(crate) fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_owned(),
            headers: Vec::new(),
            body: None,
            is_chunked: false,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_owned()));
        self
    }

    pub(crate) fn token(self) -> Self {
        self.header("authorization", format!("Bearer {TOKEN}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Whether method, target and fields may be in a request. What may not is refused before anybody looks for a route.
    pub(crate) fn is_http(&self) -> bool {
        Method::from_bytes(self.method.as_bytes()).is_ok()
            && self.target.first() == Some(&b'/')
            && Uri::try_from(self.target.as_slice()).is_ok()
            && self.headers.iter().all(|(name, value)| {
                HeaderName::from_bytes(name.as_bytes()).is_ok()
                    && HeaderValue::from_bytes(value).is_ok()
            })
    }

    /// Path as it is sent, without query.
    pub(crate) fn path(&self) -> String {
        let end = self.target.iter().position(|byte| b"?#".contains(byte));
        let path = &self.target[..end.unwrap_or(self.target.len())];
        String::from_utf8_lossy(path).into_owned()
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [
            self.method.as_bytes(),
            b" ",
            &self.target,
            b" HTTP/1.1\r\nhost: fuzz\r\n",
        ]
        .concat();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let Some(body) = &self.body else {
            bytes.extend(b"\r\n");
            return bytes;
        };
        if !self.is_chunked {
            let name = header::CONTENT_LENGTH;
            bytes.extend(format!("{name}: {}\r\n\r\n", body.len()).into_bytes());
            bytes.extend(body);
            return bytes;
        }
        bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
        for chunk in body.chunks(CHUNK_BYTES) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }
}
