//! The head of an answer, as the client gets it.

use http::{HeaderValue, StatusCode, header};
use pingora_core::{protocols::http::date, server::ShutdownWatch};
use pingora_error::Result;

use super::{Relay, lines::Lines};
use crate::proxy::fields::Fields as _;

/// Adds what an answer says about itself and its connection, whoever it comes from.
///
/// # Errors
/// As [`Fields::set`](crate::proxy::fields::Fields::set).
pub(super) fn complete(lines: &mut Lines<'_>, stays_open: bool) -> Result<()> {
    if lines.values(&header::DATE).next().is_none() {
        // RFC 9110 §6.6.1: who receives an answer without a date may add it.
        lines.append(header::DATE, date::get_cached_date())?;
    }
    let word = if stays_open { "keep-alive" } else { "close" };
    lines.set(header::CONNECTION, HeaderValue::from_static(word))
}

/// Status line and fields. An intermediary sends its own version (RFC 9110 §2.5).
pub(super) fn write(status: StatusCode, reason: &str, lines: &Lines<'_>) -> Vec<u8> {
    const VERSION: &[u8] = b"HTTP/1.1 ";
    let length = VERSION.len() + "200 \r\n\r\n".len() + reason.len() + lines.length();
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(VERSION);
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    lines.write(&mut out);
    out.extend_from_slice(b"\r\n");
    out
}

// === impl Relay ===

impl Relay<'_> {
    /// Completes and sends the head of an answer that the gateway has whole. It waits for what follows, or for a flush.
    ///
    /// # Errors
    /// The client is gone, or too slow.
    pub(super) async fn send_head(
        &mut self,
        status: StatusCode,
        reason: &str,
        mut lines: Lines<'_>,
        stopping: &ShutdownWatch,
    ) -> Result<()> {
        self.closes |= *stopping.borrow();
        complete(&mut lines, !self.closes)?;
        self.sent.status = Some(status);
        self.write(&write(status, reason, &lines)).await
    }
}
