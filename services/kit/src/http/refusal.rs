//! Requests that hyper itself refuses, because they are no HTTP: made to look like every other error of ours.
//!
//! hyper answers a request that it cannot parse with a bare status, closes the connection, and has no hook for it. So what it
//! writes is looked at on the way to the socket: a bare refusal that is the last thing before the shutdown is replaced by one with
//! a problem in it. Only the last thing: the bytes of a body can look like anything, and a connection that goes on must get
//! just what hyper counted.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::RequestId;
use crate::problem::Problem;

/// Longest bare refusal: a status line and the three fields below.
const BARE_BYTES_MAX: usize = 160;
/// All the fields a bare refusal has. Every answer of a service has an `x-request-id`, too.
const BARE_FIELDS: [&str; 3] = ["connection", "content-length", "date"];

/// What hyper refuses, and what we say about it.
pub(super) fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::URI_TOO_LONG => {
            Problem::new(status, "uri-too-long", "The request's target is too long")
                .detail("send a shorter path and query")
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::new(
            status,
            "header-too-large",
            "The request's header is too large",
        )
        .detail("send fewer and shorter header fields"),
        _ => Problem::bad_request(
            "the request line or a header field is not valid HTTP/1.1 (RFC 9112); percent-encode what a target may not contain",
        ),
    }
}

/// A stream to a client that explains refusals. `F` is told of each and gives its id.
pub(super) struct Explained<T, F> {
    inner: T,
    refused: F,
    /// A bare refusal that is not sent yet, as it will be sent.
    held: Bytes,
    is_explained: bool,
}

/// A bare refusal at the end of what is written.
struct Bare {
    start: usize,
    status: StatusCode,
}

// === impl Explained ===

impl<T, F: FnMut(&Problem) -> RequestId> Explained<T, F> {
    pub(super) fn new(inner: T, refused: F) -> Self {
        Self {
            inner,
            refused,
            held: Bytes::new(),
            is_explained: false,
        }
    }

    fn explain(&mut self) {
        if let Some(bare) = find(&self.held) {
            let problem = problem(bare.status);
            let id = (self.refused)(&problem);
            self.held = explained(&self.held, problem, &id);
        }
        self.is_explained = true;
    }
}

impl<T: AsyncWrite + Unpin, F> Explained<T, F> {
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(context, &self.held))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin, F: Unpin> AsyncRead for Explained<T, F> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(context, buffer)
    }
}

impl<T, F> AsyncWrite for Explained<T, F>
where
    T: AsyncWrite + Unpin,
    F: FnMut(&Problem) -> RequestId + Unpin,
{
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // It was not the last thing.
        ready!(this.poll_held(context))?;
        match find(bytes) {
            Some(Bare { start: 0, .. }) => {
                this.held = Bytes::copy_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Some(Bare { start, .. }) => {
                Pin::new(&mut this.inner).poll_write(context, &bytes[..start])
            }
            None => Pin::new(&mut this.inner).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal is a header without a body, which is one piece.
        if let [piece] = pieces {
            return self.poll_write(context, piece);
        }
        let this = self.get_mut();
        ready!(this.poll_held(context))?;
        Pin::new(&mut this.inner).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_explained {
            this.explain();
        }
        ready!(this.poll_held(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

fn find(bytes: &[u8]) -> Option<Bare> {
    // Nearly everything that is written ends otherwise, so this is all that it costs.
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(BARE_BYTES_MAX);
    let tail = &bytes[from..];
    let start = tail.windows(7).rposition(|window| window == b"HTTP/1.")?;
    let text = std::str::from_utf8(&tail[start..]).ok()?;
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?;
    let status: StatusCode = status.parse().ok()?;
    let is_bare = lines.all(|line| {
        let name = line.split(':').next().unwrap_or_default();
        BARE_FIELDS.contains(&name)
    });
    (status.is_client_error() && is_bare).then_some(Bare {
        start: from + start,
        status,
    })
}

/// The bare answer with a body.
fn explained(bare: &[u8], problem: Problem, id: &RequestId) -> Bytes {
    let body = problem.instance(id.as_str()).to_json();
    let mut answer = Vec::with_capacity(bare.len() + body.len() + BARE_BYTES_MAX);
    for line in bare.split_inclusive(|byte| *byte == b'\n') {
        let is_replaced = line.starts_with(b"content-length") || line.starts_with(b"connection");
        if !is_replaced && line != b"\r\n" {
            answer.extend_from_slice(line);
        }
    }
    // Writing to memory does not fail.
    let _ = write!(
        answer,
        "content-type: {}\r\ncontent-length: {}\r\nconnection: close\r\nx-request-id: {id}\r\n\r\n",
        Problem::CONTENT_TYPE,
        body.len()
    );
    answer.extend_from_slice(&body);
    answer.into()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Tue, 24 Nov 2026 04:12:12 GMT\r\n\r\n";

    async fn written(pieces: &[&[u8]]) -> (String, usize) {
        let mut sent = Vec::new();
        let mut count = 0;
        let mut stream = Explained::new(&mut sent, |_: &Problem| {
            count += 1;
            RequestId::random()
        });
        for piece in pieces {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream.shutdown().await.unwrap();
        (String::from_utf8(sent).unwrap(), count)
    }

    #[tokio::test]
    async fn a_bare_refusal_at_the_end_gets_a_problem() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".as_slice();
        for pieces in [&[BARE][..], &[answer, BARE], &[&[answer, BARE].concat()]] {
            let (text, count) = written(pieces).await;
            assert_eq!(count, 1, "{text}");
            let (_, refusal) = text.split_once("HTTP/1.1 400 Bad Request\r\n").unwrap();
            let (header, body) = refusal.split_once("\r\n\r\n").unwrap();
            assert!(header.contains("date: Tue, 24 Nov"), "{header}");
            assert!(!header.contains("content-length: 0"), "{header}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["type"], "urn:problem:bad-request");
            assert!(header.contains(body["instance"].as_str().unwrap()));
        }
    }

    #[tokio::test]
    async fn whatever_only_looks_like_one_passes_unchanged() {
        let ours = b"HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n";
        let good = b"HTTP/1.1 204 No Content\r\ndate: x\r\n\r\n";
        for pieces in [
            &[ours.as_slice()][..],
            &[good.as_slice()],
            &[BARE, b"more"],
            &[b"\r\n\r\n"],
        ] {
            let (text, count) = written(pieces).await;
            assert_eq!((text.as_bytes(), count), (pieces.concat().as_slice(), 0));
        }
    }
}
