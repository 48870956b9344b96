//! What callers of gRPC understand: an error is a status in the trailers of a 200, anything else is an error of the transport to them
//! (PROTOCOL-HTTP2.md of gRPC).

use std::fmt::Write as _;

use http::{StatusCode, Version, header};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use service_kit::problem::Problem;

use super::Context;

const CONTENT_TYPE: &str = "application/grpc";

/// Whether a request is a call of gRPC. Without HTTP/2 there are none.
pub(super) fn is_call(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_2
        && request
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| is_grpc(value.as_bytes()))
}

/// Whether a content type is one of gRPC, such as `application/grpc+proto`.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type
        .get(..CONTENT_TYPE.len())
        .filter(|start| start.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()))
        .map(|_| &content_type[CONTENT_TYPE.len()..]);
    matches!(rest, Some([] | [b'+' | b';' | b' ', ..]))
}

/// Answers a call with an error of the gateway, in a head that is also the end ("Trailers-Only").
pub(super) async fn fail(session: &mut Session, ctx: &Context, problem: &Problem) -> Result<()> {
    let mut response = ResponseHeader::build(StatusCode::OK, Some(problem.headers().len() + 4))?;
    response.insert_header(header::CONTENT_TYPE, CONTENT_TYPE)?;
    response.insert_header("grpc-status", code(problem.status()))?;
    response.insert_header("grpc-message", escaped(&problem.to_string()))?;
    for (name, value) in problem.headers() {
        response.insert_header(name, value)?;
    }
    if let Some(id) = &ctx.request_id {
        response.insert_header("x-request-id", id.header())?;
    }
    session
        .write_response_header(Box::new(response), true)
        .await
}

/// The mapping of http-grpc-status-mapping.md, with the two codes that say more where the gateway knows more.
fn code(status: StatusCode) -> u16 {
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match status.as_u16() {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 431 => RESOURCE_EXHAUSTED,
        429 | 502 | 503 => UNAVAILABLE,
        _ => INTERNAL,
    }
}

/// Percent-encoding of everything that is not printable ASCII, and of the percent sign.
fn escaped(message: &str) -> String {
    let mut escaped = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            escaped.push(byte.into());
        } else {
            // Writing into a string never fails.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_of_grpc() {
        for yes in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC; a=b",
        ] {
            assert!(is_grpc(yes.as_bytes()), "{yes}");
        }
        for no in [
            "application/grpc-web",
            "application/json",
            "application/grpcx",
            "",
        ] {
            assert!(!is_grpc(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn messages_are_printable() {
        assert_eq!(escaped("a 100% b\u{e4}"), "a 100%25 b%C3%A4");
    }
}
