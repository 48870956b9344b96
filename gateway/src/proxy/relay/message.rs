//! A plain request, read for the decisions about it and written for the service.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use memchr::memchr;
use pingora_error::Result;
use pingora_http::RequestHeader;

use super::lines::Lines;
use crate::{
    downstream::Whole,
    proxy::{Context, forward},
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
    head: Bytes,
}

// === impl Message ===

impl Message {
    /// Reads a head that has been checked. None when it has something that the library for headers does not take.
    pub(super) fn read(whole: &Whole) -> Option<Self> {
        let head = whole.head();
        let (line, lines) = split_line(&head)?;
        let mut parts = line.split(|byte| *byte == b' ');
        let (method, target) = (parts.next()?, parts.next()?);
        let mut header = RequestHeader::build_no_case(method, target, Some(FIELDS)).ok()?;
        for (name, value) in fields(lines) {
            let name = HeaderName::from_bytes(name).ok()?;
            let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).ok()?;
            header.append_header(name, value).ok()?;
        }
        Some(Self { header, head })
    }

    /// The request for the service, head and content.
    ///
    /// # Errors
    /// What the gateway adds cannot be added.
    pub(super) fn for_service(&self, ctx: &Context, content: &[u8]) -> Result<Vec<u8>> {
        let (_, received) = split_line(&self.head).unwrap_or_default();
        let mut lines = Lines::with_capacity(FIELDS);
        fields(received)
            .filter(|(name, _)| !name.eq_ignore_ascii_case(b"connection"))
            .for_each(|(name, value)| lines.push(name, value));
        forward::prepare_request(&self.header, &mut lines, ctx)?;
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
