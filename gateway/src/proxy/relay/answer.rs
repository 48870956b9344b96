//! The head of a service's answer: what it says about the message, and how it is written for the client.

use std::mem::MaybeUninit;

use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora_error::{Error, ErrorType, Result};

use super::lines::Lines;
use crate::proxy::fields::Fields;

/// Fields of an answer; Pingora's own way takes as many.
const FIELDS_MAX: usize = 256;
/// Bytes of a head; Pingora's own way takes as many.
const HEAD_BYTES_MAX: usize = 1_048_575;

/// How the content of an answer is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none, whatever the fields say.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Up to the end of the connection.
    UntilClose,
}

/// A head that has been read.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) framing: Framing,
    /// Whether the service takes another request on the connection.
    pub(super) stays_open: bool,
    pub(super) lines: Lines<'a>,
    pub(super) reason: &'a str,
}

fn invalid<T>(why: &'static str) -> Result<T> {
    Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_up())
}

// === impl Head ===

impl<'a> Head<'a> {
    /// Reads a head, and answers how many bytes it has; none when more has to come.
    ///
    /// # Errors
    /// It is no head of an answer, or cannot be understood in one way only.
    pub(super) fn read(received: &'a [u8], method: &Method) -> Result<Option<(Self, usize)>> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        // As lenient as Pingora's own way.
        config.allow_spaces_after_header_name_in_responses(true);
        config.allow_obsolete_multiline_headers_in_responses(true);
        let parsed =
            config.parse_response_with_uninit_headers(&mut response, received, &mut fields);
        match parsed {
            Ok(httparse::Status::Complete(length)) => {
                Ok(Some((Self::of(&response, method)?, length)))
            }
            Ok(httparse::Status::Partial) if received.len() > HEAD_BYTES_MAX => {
                invalid("the head of the answer is too long")
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(error) => Err(Error::because(
                ErrorType::InvalidHTTPHeader,
                "the head of the answer",
                error,
            )
            .into_up()),
        }
    }

    fn of(response: &httparse::Response<'_, 'a>, method: &Method) -> Result<Self> {
        let status = response
            .code
            .and_then(|code| StatusCode::from_u16(code).ok());
        let Some(status) = status else {
            return invalid("the status of the answer");
        };
        let version = match response.version {
            Some(1) => Version::HTTP_11,
            _ => Version::HTTP_10,
        };
        let mut lines = Lines::with_capacity(response.headers.len());
        let mut folded = Vec::new();
        for field in response.headers.iter() {
            if field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
                folded.push(field);
            } else {
                lines.push(field.name.as_bytes(), field.value);
            }
        }
        for field in folded {
            let (name, value) = unfolded(field)?;
            lines.append(name, value)?;
        }
        let framing = framing(&mut lines, status, method)?;
        Ok(Self {
            stays_open: stays_open(&lines, version) && framing != Framing::UntilClose,
            status,
            version,
            framing,
            lines,
            reason: response.reason.unwrap_or_default(),
        })
    }
}

/// A field whose value goes on over lines, which is obsolete, in one line (RFC 9112 §5.2).
fn unfolded(field: &httparse::Header<'_>) -> Result<(HeaderName, HeaderValue)> {
    let value: Vec<u8> = field
        .value
        .iter()
        .map(|byte| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                *byte
            }
        })
        .collect();
    match (field.name.parse(), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => invalid("a field of the answer"),
    }
}

/// How the content is framed (RFC 9112 §6.3). Takes out what contradicts it, so that nobody behind reads another message.
fn framing(lines: &mut Lines<'_>, status: StatusCode, method: &Method) -> Result<Framing> {
    let codings: Vec<&[u8]> = lines
        .values(&header::TRANSFER_ENCODING)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_chunked = codings
        .last()
        .map(|last| last.eq_ignore_ascii_case(b"chunked"));
    // RFC 9112 §6.3: the coding counts, whatever the length says.
    let length = if is_chunked.is_some() {
        lines.remove(&header::CONTENT_LENGTH);
        None
    } else {
        content_length(lines)?
    };
    let has_none = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(match (has_none, is_chunked, length) {
        (true, ..) => Framing::None,
        (false, Some(true), _) => Framing::Chunked,
        (false, Some(false), _) => return invalid("the last transfer coding is not chunked"),
        (false, None, Some(length)) => Framing::Length(length),
        (false, None, None) => Framing::UntilClose,
    })
}

/// The length that all `Content-Length` agree on, which then becomes one.
fn content_length(lines: &mut Lines<'_>) -> Result<Option<u64>> {
    let mut lengths = lines
        .values(&header::CONTENT_LENGTH)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    let mut is_single = true;
    for other in lengths {
        is_single = false;
        if other != first {
            return invalid("the answer has two lengths");
        }
    }
    let digits = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(first)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok());
    let Some(length) = length else {
        return invalid("the length of the answer");
    };
    if !is_single {
        lines.set(header::CONTENT_LENGTH, HeaderValue::from(length))?;
    }
    Ok(Some(length))
}

/// Whether the service says that the connection goes on (RFC 9112 §9.3).
fn stays_open(lines: &Lines<'_>, version: Version) -> bool {
    let mut keeps = version == Version::HTTP_11;
    let options = lines
        .values(&header::CONNECTION)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    for option in options {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keeps |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    // RFC 9112 §6.1: a transfer coding in HTTP/1.0 is to be distrusted.
    let has_coding = lines.values(&header::TRANSFER_ENCODING).next().is_some();
    keeps && !(version == Version::HTTP_10 && has_coding)
}
