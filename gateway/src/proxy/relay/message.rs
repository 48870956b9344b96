//! A plain request, read for the decisions about it and written for the service.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use memchr::memchr;
use pingora_error::{ErrorType, OrErr as _, Result};
use pingora_http::RequestHeader;

use super::lines::Lines;
use crate::{
    downstream::Whole,
    proxy::{Context, fields::Fields as _, forward},
};

/// Fields of a request, mostly.
const FIELDS: usize = 16;
/// Room for what is added to a request line.
const VERSION: &[u8] = b" HTTP/1.1\r\n";

/// A request.
#[derive(Debug)]
pub(super) struct Message {
    /// As the code for both ways wants it.
    pub(super) header: RequestHeader,
    /// As it came; none from HTTP/2.
    received: Option<Whole>,
}

// === impl Message ===

impl Message {
    /// A request that has come whole.
    pub(super) fn received(header: RequestHeader, whole: Whole) -> Self {
        Self {
            header,
            received: Some(whole),
        }
    }

    /// A request of HTTP/2 without content.
    pub(super) fn of(header: RequestHeader) -> Self {
        Self {
            header,
            received: None,
        }
    }

    /// All of its content.
    pub(super) fn content(&self) -> &[u8] {
        self.received.as_ref().map_or(&[], Whole::content)
    }

    /// The request for the service, head and content.
    ///
    /// # Errors
    /// What the gateway adds cannot be added.
    pub(super) fn for_service(&self, ctx: &Context) -> Result<Vec<u8>> {
        let head = self.received.as_ref().map(Whole::head);
        let mut lines = Lines::with_capacity(FIELDS);
        match &head {
            Some(head) => {
                let (_, received) = split_line(head).unwrap_or_default();
                fields(received)
                    .filter(|(name, _)| !name.eq_ignore_ascii_case(b"connection"))
                    .for_each(|(name, value)| lines.push(name, value));
            }
            None => self.push_fields(&mut lines)?,
        }
        forward::prepare_request(&self.header, &mut lines, ctx)?;
        let content = self.content();
        let method = self.header.method.as_str().as_bytes();
        let target = match &ctx.upstream_target {
            Some(target) => target.as_bytes(),
            None => self.header.raw_path(),
        };
        let length = method.len() + target.len() + VERSION.len() + lines.length() + content.len();
        let mut out = Vec::with_capacity(length + b" \r\n".len());
        out.extend_from_slice(method);
        out.push(b' ');
        out.extend_from_slice(target);
        out.extend_from_slice(VERSION);
        lines.write(&mut out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(content);
        Ok(out)
    }

    /// The fields of a request of HTTP/2: the authority becomes `Host` (RFC 9113 §8.3.1), and what the client takes of HTTP/2 is nothing
    /// for the service.
    fn push_fields<'a>(&'a self, lines: &mut Lines<'a>) -> Result<()> {
        for (name, value) in &self.header.headers {
            if *name != header::TE {
                lines.push(name.as_str().as_bytes(), value.as_bytes());
            }
        }
        if let Some(authority) = self.header.uri.authority() {
            let host = HeaderValue::from_str(authority.as_str());
            let host = host.or_err(ErrorType::InvalidHTTPHeader, "the authority")?;
            lines.set(header::HOST, host)?;
        }
        Ok(())
    }
}

/// Reads a head that has been checked. None when it has something that the library for headers does not take.
pub(super) fn read(head: &Bytes) -> Option<RequestHeader> {
    let (line, lines) = split_line(head)?;
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target) = (parts.next()?, parts.next()?);
    let mut header = RequestHeader::build_no_case(method, target, Some(FIELDS)).ok()?;
    for (name, value) in fields(lines) {
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).ok()?;
        header.append_header(name, value).ok()?;
    }
    Some(header)
}

/// The first line, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    Some((bytes[..end].strip_suffix(b"\r")?, &bytes[end + 1..]))
}

/// Names and values up to the empty line.
fn fields(mut lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (line, rest) = split_line(lines)?;
        lines = rest;
        let colon = memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}
