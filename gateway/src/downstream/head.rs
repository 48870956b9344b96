//! The head of an HTTP/1 request, checked byte by byte before anything acts on it.
//!
//! One pass over what has come, line by line, that goes on where it stopped: a head that trickles in costs no more than one that
//! comes at once. RFC 9112 leaves it to the recipient how lenient it is with line ends and blanks; here it is not, because every
//! leniency is a chance for the service behind to read another request than the gateway did.

use memchr::{memchr, memchr2};

use super::{
    Limits,
    manner::{Manner, is_of_the_hop},
};
use crate::{error::GatewayError, route::RequestHost};

/// Empty lines that may come before a request line; RFC 9112 §2.2 wants at least one to be ignored.
const EMPTY_LINES_MAX: usize = 4;
/// Fields of a request. Pingora's parser has room for 256.
const FIELDS_MAX: usize = 128;
/// Bytes of a method.
const METHOD_BYTES_MAX: usize = 32;
/// ` HTTP/1.1` and CRLF, and the blank before the target.
const VERSION_BYTES: usize = 12;
/// Digits of a length that surely fit 64 bits.
const LENGTH_DIGITS_MAX: usize = 18;

/// What a complete head says about its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes before it that are no part of it: empty lines.
    pub(super) skip: usize,
    /// Its own bytes, the empty line at its end included.
    pub(super) length: usize,
    /// What follows it.
    pub(super) content: Content,
    /// How little is asked of the gateway besides the answer.
    pub(super) manner: Manner,
}

/// How the content of a request is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// So many bytes, mostly none.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Whatever comes: the client asks for a tunnel.
    Tunnel,
}

/// Reads a head as it comes.
#[derive(Debug, Default)]
pub(super) struct HeadParser {
    line_start: usize,
    searched: usize,
    empty_lines: usize,
    fields: usize,
    method: Option<Span>,
    /// Where an absolute-form target has its authority.
    authority: Option<Span>,
    host: Option<Span>,
    is_http_10: bool,
    length: Option<u64>,
    is_chunked: bool,
    is_upgrade: bool,
    /// Something about it needs more than the short way.
    is_special: bool,
    closes: bool,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

/// Characters of a token (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~", true, false);
/// Characters of a field's value: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5).
const VALUE: [bool; 256] = table(b"\t ", true, true);

const fn table(others: &[u8], alphanumeric: bool, visible: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let plain = (byte as u8).is_ascii_alphanumeric();
        let shown = byte > 0x20 && byte != 0x7f;
        table[byte] = (alphanumeric && plain) || (visible && shown);
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        table[others[other] as usize] = true;
        other += 1;
    }
    table
}

fn malformed<T>(why: &'static str) -> Result<T, GatewayError> {
    Err(GatewayError::Malformed(why))
}

/// Whether bytes are a token.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Whether bytes may stand in a field's value.
pub(super) fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| VALUE[usize::from(*byte)])
}

/// Name and value of a field line; no blank stands before the colon (RFC 9112 §5.1), and a line that begins with one continues
/// the line before, which is obsolete (§5.2).
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), GatewayError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return malformed("a header line begins with a blank");
    }
    let Some(colon) = memchr(b':', line) else {
        return malformed("a header line has no colon");
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return malformed("the name of a header is not valid");
    }
    if !is_field_value(value) {
        return malformed("the value of a header has a character that is not allowed");
    }
    Ok((name, value.trim_ascii()))
}

/// Whether a head that has come whole is one that the gateway takes.
///
/// # Errors
/// Why it is not.
pub(crate) fn check_head(head: &[u8], limits: &Limits) -> Result<(), GatewayError> {
    match HeadParser::default().advance(head, limits)? {
        Some(_) => Ok(()),
        None => malformed("it has no end"),
    }
}

/// Whether an `Upgrade` field asks for a WebSocket, the one protocol the gateway switches to.
pub(crate) fn names_websocket(upgrade: &[u8]) -> bool {
    upgrade
        .split(|byte| *byte == b',')
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

// === impl HeadParser ===

impl HeadParser {
    /// Goes on over everything received since the last head. None when more has to come.
    ///
    /// # Errors
    /// Why this is no request that the gateway takes.
    pub(super) fn advance(
        &mut self,
        received: &[u8],
        limits: &Limits,
    ) -> Result<Option<Head>, GatewayError> {
        while let Some(found) = memchr(b'\n', &received[self.searched..]) {
            let end = self.searched + found;
            let Some(line) = received[self.line_start..end].strip_suffix(b"\r") else {
                return malformed("a line ends in LF without CR");
            };
            let start = self.line_start;
            self.searched = end + 1;
            self.line_start = end + 1;
            match (line.is_empty(), self.method) {
                (true, None) => self.skip_empty_line()?,
                (true, Some(method)) => return self.finish(received, method).map(Some),
                (false, None) => self.request_line(line, start, limits)?,
                (false, Some(_)) => self.field_line(line, start)?,
            }
            self.check_size(received, end + 1, limits)?;
        }
        self.searched = received.len();
        self.check_size(received, received.len(), limits)?;
        // What does not begin like a method, such as the hello of TLS, need not be waited for.
        match received.get(self.line_start) {
            Some(byte) if self.method.is_none() && *byte != b'\r' && !TOKEN[usize::from(*byte)] => {
                malformed("the request line is not valid")
            }
            _ => Ok(None),
        }
    }

    /// Method of the request line, as far as one has come.
    pub(super) fn method<'a>(&self, received: &'a [u8]) -> Option<&'a [u8]> {
        self.method
            .map(|method| &received[method.start..method.end])
    }

    fn check_size(
        &self,
        received: &[u8],
        so_far: usize,
        limits: &Limits,
    ) -> Result<(), GatewayError> {
        if self.method.is_none() && so_far > self.line_start {
            let line = &received[self.line_start..so_far];
            let beginning = &line[..line.len().min(METHOD_BYTES_MAX + 1)];
            match memchr(b' ', beginning) {
                Some(blank) if line.len() - blank > limits.target_bytes_max + VERSION_BYTES => {
                    return Err(GatewayError::TargetTooLong(limits.target_bytes_max));
                }
                None if line.len() > METHOD_BYTES_MAX => {
                    return malformed("the method is too long");
                }
                _ => {}
            }
        }
        if so_far > limits.header_bytes_max {
            return Err(GatewayError::HeaderTooLarge(limits.header_bytes_max));
        }
        Ok(())
    }

    fn skip_empty_line(&mut self) -> Result<(), GatewayError> {
        self.empty_lines += 1;
        if self.empty_lines > EMPTY_LINES_MAX {
            return malformed("there are only empty lines");
        }
        Ok(())
    }

    /// `method SP request-target SP HTTP-version` (RFC 9112 §3), with exactly one blank at both places.
    fn request_line(
        &mut self,
        line: &[u8],
        start: usize,
        limits: &Limits,
    ) -> Result<(), GatewayError> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return malformed("the request line is not valid");
        };
        if !is_token(method) {
            return malformed("the method is not valid");
        }
        self.method = Some(Span {
            start,
            end: start + method.len(),
        });
        if target.len() > limits.target_bytes_max {
            return Err(GatewayError::TargetTooLong(limits.target_bytes_max));
        }
        self.is_http_10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(GatewayError::Version);
            }
            _ => return malformed("the version of HTTP is not valid"),
        };
        if method == b"CONNECT" {
            return Err(GatewayError::ConnectMethod);
        }
        self.is_special |= self.is_http_10 || !target.starts_with(b"/");
        let at = start + method.len() + 1;
        self.authority = authority(method, target)?.map(|authority| Span {
            start: at + authority.start,
            end: at + authority.end,
        });
        Ok(())
    }

    fn field_line(&mut self, line: &[u8], start: usize) -> Result<(), GatewayError> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(GatewayError::TooManyFields(FIELDS_MAX));
        }
        let (name, value) = field(line)?;
        // Only names of these lengths matter.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let blanks =
                    line[name.len() + 1..].len() - line[name.len() + 1..].trim_ascii_start().len();
                let from = start + name.len() + 1 + blanks;
                let span = Span {
                    start: from,
                    end: from + value.len(),
                };
                if self.host.replace(span).is_some() {
                    return malformed("it has two Host headers");
                }
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.is_special = true;
                self.is_upgrade |= names_websocket(value);
            }
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(value)?;
                if self.length.replace(length).is_some() {
                    return malformed("it has two Content-Length headers");
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                check_transfer_coding(value)?;
                if std::mem::replace(&mut self.is_chunked, true) {
                    return malformed("it has two Transfer-Encoding headers");
                }
                self.is_special = true;
            }
            _ => self.is_special |= is_of_the_hop(name),
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"close") {
            self.closes = true;
        } else if !value.eq_ignore_ascii_case(b"keep-alive") {
            self.is_special = true;
        }
    }

    fn finish(&self, received: &[u8], method: Span) -> Result<Head, GatewayError> {
        let text = |span: Span| &received[span.start..span.end];
        let host_text = self.host.map(text).unwrap_or_default();
        if host_text.contains(&b'@') {
            return malformed("the Host has a user");
        }
        match (self.authority, self.host) {
            // RFC 9112 §3.2: every request of HTTP/1.1 has a Host, also one with an authority in its target.
            (_, None) if !self.is_http_10 => return malformed("it has no Host"),
            // §3.2.2 would let the target win; a client that says two things is up to something.
            (Some(authority), Some(_)) if text(authority) != host_text => {
                return malformed("the Host is not that of the target");
            }
            _ => {}
        }
        if self.is_chunked && self.length.is_some() {
            return malformed("it has both Transfer-Encoding and Content-Length");
        }
        if self.is_chunked && self.is_http_10 {
            return malformed("HTTP/1.0 has no Transfer-Encoding");
        }
        let content = if self.is_upgrade && !self.is_http_10 {
            Content::Tunnel
        } else if self.is_chunked {
            Content::Chunked
        } else {
            Content::Length(self.length.unwrap_or(0))
        };
        Ok(Head {
            skip: method.start,
            length: self.line_start - method.start,
            content,
            manner: if self.is_special {
                Manner::Special
            } else {
                Manner::Plain {
                    closes: self.closes,
                }
            },
        })
    }
}

/// Checks the form of a target (RFC 9112 §3.2) and finds the authority of one in absolute form.
fn authority(method: &[u8], target: &[u8]) -> Result<Option<Span>, GatewayError> {
    // No fragment is ever sent (RFC 9110 §7.1), and a blank, a control or half a character has no place in any form.
    let odd = |byte: &u8| *byte <= b' ' || *byte == 0x7f || *byte == b'#';
    if target.iter().any(odd) || std::str::from_utf8(target).is_err() {
        return malformed("the request target has a character that is not allowed");
    }
    match target {
        [b'/', ..] => Ok(None),
        b"*" if method == b"OPTIONS" => Ok(None),
        _ => {
            let scheme = ["http://", "https://"].into_iter().find(|scheme| {
                target
                    .get(..scheme.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
            });
            let Some(scheme) = scheme else {
                return malformed("the request target is neither a path nor a URL of HTTP");
            };
            let rest = &target[scheme.len()..];
            let end = memchr2(b'/', b'?', rest).unwrap_or(rest.len());
            let host = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            if host.is_empty() || RequestHost::parse(host).is_none() {
                return malformed("the request target has no valid host");
            }
            Ok(Some(Span {
                start: scheme.len(),
                end: scheme.len() + end,
            }))
        }
    }
}

/// `1*DIGIT` (RFC 9110 §8.6). A list of equal lengths, which a recipient may take, is refused.
fn content_length(value: &[u8]) -> Result<u64, GatewayError> {
    let digits = !value.is_empty()
        && value.len() <= LENGTH_DIGITS_MAX
        && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or(GatewayError::Malformed("the Content-Length is not valid"))
}

/// `chunked` alone is taken. RFC 9112 §6.1: another coding is 501; §6.3: a request whose last coding is not chunked is 400.
fn check_transfer_coding(value: &[u8]) -> Result<(), GatewayError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value
        .split(|byte| *byte == b',')
        .map(|coding| coding.trim_ascii());
    let last = codings.next_back().unwrap_or_default();
    let others_are_names = codings
        .clone()
        .all(|coding| is_token(coding) && !coding.eq_ignore_ascii_case(b"chunked"));
    if last.eq_ignore_ascii_case(b"chunked") && others_are_names {
        return Err(GatewayError::TransferCoding);
    }
    malformed("the Transfer-Encoding is not valid")
}
