//! What must hold of the reader of answers, whatever a service sends.

use http::{HeaderValue, Method, StatusCode, header};

use super::{
    answer::{Framing, Head},
    http1::{complete, write_head},
};
use crate::proxy::fields::Fields as _;

/// A head that is read says the same to the client as to us: what is written has one framing, and is read again as it was.
pub fn answers(data: &[u8]) {
    for method in [Method::GET, Method::HEAD] {
        let Ok(Some((mut head, length))) = Head::read(data, &method) else {
            continue;
        };
        assert!(length <= data.len());
        assert!(head.framing == Framing::None || method != Method::HEAD);
        let framing = head.framing;
        if head.status.is_informational() || complete(&mut head.lines, framing, true).is_err() {
            continue;
        }
        let written = write_head(head.status, head.reason, &head.lines);
        let Ok(Some((again, whole))) = Head::read(&written, &method) else {
            unreachable!("{:?} is no head", String::from_utf8_lossy(&written));
        };
        assert_eq!((again.status, whole), (head.status, written.len()));
        let expected = match head.framing {
            Framing::UntilClose => Framing::Chunked,
            framing => framing,
        };
        assert_eq!(again.framing, expected);
        assert_one_framing(&again);
    }
}

fn assert_one_framing(head: &Head<'_>) {
    let lengths = head.lines.values(&header::CONTENT_LENGTH).count();
    let codings = head.lines.values(&header::TRANSFER_ENCODING).count();
    assert!(lengths == 0 || codings == 0, "two framings");
    assert!(lengths <= 1, "two lengths");
    let keeps = HeaderValue::from_static("keep-alive");
    let mut connection = head.lines.values(&header::CONNECTION);
    assert_eq!(connection.next(), Some(keeps.as_bytes()));
    assert!(connection.next().is_none() && head.status != StatusCode::CONTINUE);
}
