//! What is no request, one case per rule of RFC 9110 and RFC 9112, and what looks odd and is one.

use crate::harness::{Backend, Behaviour, Connection, Rig, eventually, service};

struct Case {
    /// The section that says so.
    rule: &'static str,
    what: &'static str,
    bytes: &'static [u8],
}

const fn case(rule: &'static str, what: &'static str, bytes: &'static [u8]) -> Case {
    Case { rule, what, bytes }
}

/// 400, and the connection is closed.
const MALFORMED: &[Case] = &[
    // RFC 9112 §2.2: message parsing.
    case("9112 2.2", "a bare LF after the request line", b"GET /hold/ HTTP/1.1\nHost: a\r\n\r\n"),
    case("9112 2.2", "a bare LF among fields", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: 1\nX-B: 2\r\n\r\n"),
    case("9112 2.2", "a bare LF at the end", b"GET /hold/ HTTP/1.1\r\nHost: a\r\n\n"),
    case("9112 2.2", "a bare CR in a field", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: 1\rX-B: 2\r\n\r\n"),
    case("9112 2.2", "a bare CR in the request line", b"GET /hold/\rx HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 2.2", "a blank before the first field", b"GET /hold/ HTTP/1.1\r\n Host: a\r\n\r\n"),
    case("9112 2.2", "empty lines only", b"\r\n\r\n\r\n\r\n\r\n\r\n"),
    case("9112 2.2", "something that is not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    // RFC 9112 §2.3: the version.
    case("9112 2.3", "no version", b"GET /hold/\r\nHost: a\r\n\r\n"),
    case("9112 2.3", "a version in lower case", b"GET /hold/ http/1.1\r\nHost: a\r\n\r\n"),
    case("9112 2.3", "a version with a longer number", b"GET /hold/ HTTP/1.10\r\nHost: a\r\n\r\n"),
    // RFC 9112 §3: the request line.
    case("9112 3", "two blanks", b"GET  /hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3", "a tab in place of a blank", b"GET\t/hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3", "a blank at the end", b"GET /hold/ HTTP/1.1 \r\nHost: a\r\n\r\n"),
    case("9112 3", "a blank at the beginning", b" GET /hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3", "a blank in the target", b"GET /hold/a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    // RFC 9110 §9.1: the method is a token.
    case("9110 9.1", "a method that is no token", b"GE(T /hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9110 9.1", "an endless method", b"GETGETGETGETGETGETGETGETGETGETGETGET"),
    // RFC 9112 §3.2: the target.
    case("9112 3.2", "a target without a slash", b"GET hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2.2", "a target of another scheme", b"GET ftp://a/hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2.2", "an absolute target without a host", b"GET http:///hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2.3", "an authority with another method", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2.4", "an asterisk with another method", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9110 7.1", "a fragment", b"GET /hold/#x HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2", "a control in the target", b"GET /hold/\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2", "a NUL in the target", b"GET /hold/\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2", "half a character in the target", b"GET /hold/\xc3 HTTP/1.1\r\nHost: a\r\n\r\n"),
    // RFC 9112 §3.2: Host.
    case("9112 3.2", "no Host", b"GET /hold/ HTTP/1.1\r\n\r\n"),
    case("9112 3.2", "no Host beside an absolute target", b"GET http://a/hold/ HTTP/1.1\r\n\r\n"),
    case("9112 3.2", "two Hosts", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    case("9112 3.2", "the same Host twice", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    case("9112 3.2", "a Host with a path", b"GET /hold/ HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    case("9112 3.2", "two names in a Host", b"GET /hold/ HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    case("9112 3.2", "a Host with a blank", b"GET /hold/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
    case("9112 3.2", "a Host with a port that is none", b"GET /hold/ HTTP/1.1\r\nHost: a:x\r\n\r\n"),
    case("9110 4.2.4", "a Host with a user", b"GET /hold/ HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    case("9112 3.2.2", "a Host that is not the target's", b"GET http://a/hold/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    case("9110 4.2.4", "a user in the target", b"GET http://u@a/hold/ HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    // RFC 9112 §5: fields.
    case("9112 5.1", "a blank before the colon", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n"),
    case("9112 5.1", "a tab before the colon of a length", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\nhello"),
    case("9112 5", "no colon", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"),
    case("9112 5", "no name", b"GET /hold/ HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n"),
    case("9110 5.1", "a name that is no token", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX(A): 1\r\n\r\n"),
    case("9110 5.1", "a name that is not ASCII", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-\xc3\xa4: 1\r\n\r\n"),
    case("9112 5.2", "a folded line", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n"),
    case("9112 5.2", "a line folded by a tab", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\t2\r\n\r\n"),
    case("9110 5.5", "a NUL in a field", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: 1\x002\r\n\r\n"),
    case("9110 5.5", "a control in a field", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: 1\x0b2\r\n\r\n"),
    case("9110 5.5", "a DEL in a field", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: 1\x7f2\r\n\r\n"),
    // RFC 9112 §6.1: Transfer-Encoding.
    case("9112 6.1", "length and chunks", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "chunks and length", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "chunks in HTTP/1.0", b"POST /hold/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "chunked twice", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "chunked in two fields", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    case("9112 6.3", "chunked not last", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    case("9112 6.3", "no chunked at all", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    case("9112 6.1", "a coding that looks like chunked", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "chunked with a parameter", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "an empty coding", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "a quoted coding", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    case("9112 6.1", "a vertical tab before chunked", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    // RFC 9110 §8.6 and RFC 9112 §6.3: Content-Length.
    case("9112 6.3", "two lengths", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    case("9112 6.3", "the same length twice", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    case("9112 6.3", "a list of lengths", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx"),
    case("9110 8.6", "a length with a sign", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"),
    case("9110 8.6", "a negative length", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx"),
    case("9110 8.6", "a length in hexadecimal", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx"),
    case("9110 8.6", "no length", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx"),
    case("9110 8.6", "a length beyond 64 bits", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\nx"),
];

/// 400 once the content is read, and nothing after it is taken for a request.
const MALFORMED_CONTENT: &[Case] = &[
    case(
        "9112 7.1",
        "a size that is no number",
        b"x\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1",
        "a size with a sign",
        b"+5\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1",
        "a size with a prefix",
        b"0x5\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1",
        "a size beyond 64 bits",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1",
        "a size followed by a blank",
        b"5 \r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1",
        "a size after a blank",
        b" 5\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1",
        "a size that ends in LF",
        b"5\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1",
        "data that is longer",
        b"5\r\nhello!\r\n0\r\n\r\n",
    ),
    case("9112 7.1", "data that ends in LF", b"5\r\nhello\n0\r\n\r\n"),
    case(
        "9112 7.1.1",
        "an extension with a bare LF",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1.1",
        "an extension with a bare CR",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1.1",
        "an extension with a NUL",
        b"5;\0\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "9112 7.1.2",
        "a trailer without a colon",
        b"5\r\nhello\r\n0\r\nX-A\r\n\r\n",
    ),
    case(
        "9112 7.1.2",
        "a trailer with a blank before the colon",
        b"5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n",
    ),
    case(
        "9112 7.1.2",
        "a trailer that ends in LF",
        b"5\r\nhello\r\n0\r\nX-A: 1\n\r\n",
    ),
];

/// Odd and valid: 200 from the service.
const VALID: &[Case] = &[
    case("9112 2.2", "an empty line before the request", b"\r\nGET /hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2.2", "an absolute target", b"GET http://a/hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 3.2.2", "a scheme in upper case", b"GET HTTP://a/hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9110 7.2", "an empty Host", b"GET /hold/ HTTP/1.1\r\nHost:\r\n\r\n"),
    case("9110 5.1", "names in any case", b"GET /hold/ HTTP/1.1\r\nhOsT: a\r\n\r\n"),
    case("9110 5.1", "every character of a token", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX!#$%&'*+-.^_`|~: 1\r\n\r\n"),
    case("9112 5", "no blank after the colon, and many", b"GET /hold/ HTTP/1.1\r\nHost:a\r\nX-A: \t 1 \t \r\n\r\n"),
    case("9110 5.5", "obs-text in a field", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nX-A: \xe4\r\n\r\n"),
    case("9110 9.1", "a method nobody knows", b"BREW /hold/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("9112 7.1", "upper case, zeros, extensions and trailers among chunks", b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n00A ; x=\"y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"),
    case("9110 7.8", "an upgrade to something else", b"GET /hold/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
];

async fn rig() -> (Rig, Backend) {
    let rig = Rig::without_file_routes().await;
    let backend = Backend::behaving("b", Behaviour::Name).await;
    rig.put(service("hold", &[&backend])).await;
    (rig, backend)
}

async fn open(rig: &Rig) -> Connection {
    Connection::open(rig.address()).await.unwrap()
}

#[tokio::test]
async fn what_is_no_request_is_answered_400_and_the_connection_closed() {
    let (rig, backend) = rig().await;
    for Case { rule, what, bytes } in MALFORMED {
        let mut client = open(&rig).await;
        client.send(bytes).await.unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), 400, "{rule}: {what}");
        assert_eq!(answer.header("connection"), Some("close"), "{rule}: {what}");
        assert!(!answer.body.is_empty(), "{rule}: {what}");
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:problem:bad-request", "{rule}: {what}");
        assert_eq!(problem["instance"], answer.header("x-request-id").unwrap());
        assert!(client.is_closed_by_peer().await, "{rule}: {what}");
    }
    assert_eq!(backend.hits(), 0);
    let counted = rig
        .metric("gateway_rejected_total{reason=\"malformed\"}")
        .await;
    assert_eq!(counted, Some(MALFORMED.len() as f64));
}

#[tokio::test]
async fn it_does_not_matter_in_how_many_pieces_it_comes() {
    let (rig, _backend) = rig().await;
    for Case { rule, what, bytes } in MALFORMED.iter().step_by(7) {
        let mut client = open(&rig).await;
        for byte in *bytes {
            // It may be refused before its end.
            if client.send([*byte]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), 400, "{rule}: {what}");
    }
    for Case { rule, what, bytes } in VALID {
        let mut client = open(&rig).await;
        for byte in *bytes {
            client.send([*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(
            client.response().await.unwrap().status(),
            200,
            "{rule}: {what}"
        );
    }
}

#[tokio::test]
async fn what_only_looks_odd_is_passed_on() {
    let (rig, backend) = rig().await;
    for (index, Case { rule, what, bytes }) in VALID.iter().enumerate() {
        let mut client = open(&rig).await;
        // Twice on one connection: the first one was read to its end and no further.
        for _ in 0..2 {
            client.send(bytes).await.unwrap();
            let answer = client.response().await.unwrap();
            assert_eq!(answer.status(), 200, "{rule}: {what}");
        }
        assert_eq!(backend.hits(), 2 * (index + 1), "{rule}: {what}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_answered_400_and_hide_no_request() {
    let (rig, backend) = rig().await;
    for Case { rule, what, bytes } in MALFORMED_CONTENT {
        let mut client = open(&rig).await;
        let head = b"POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let smuggled = b"GET /hold/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        client
            .send([&head[..], bytes, smuggled].concat())
            .await
            .unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), 400, "{rule}: {what}");
        assert_eq!(answer.header("connection"), Some("close"), "{rule}: {what}");
        assert!(client.is_closed_by_peer().await, "{rule}: {what}");
    }
    let smuggled = backend
        .received()
        .iter()
        .any(|request| request.target() == "/smuggled");
    assert!(!smuggled);
    let counted = rig
        .metric("gateway_rejected_total{reason=\"malformed\"}")
        .await;
    assert_eq!(counted, Some(MALFORMED_CONTENT.len() as f64));
}

#[tokio::test]
async fn what_is_understood_and_not_done_has_a_status_of_its_own() {
    let (rig, backend) = rig().await;
    for (what, bytes, status) in [
        (
            "RFC 9110 §9.3.6",
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            405,
        ),
        (
            "RFC 9110 §15.6.6",
            "GET /hold/ HTTP/2.0\r\nHost: a\r\n\r\n",
            505,
        ),
        ("RFC 9113 §3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (
            "RFC 9112 §6.1",
            "POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
    ] {
        let mut client = open(&rig).await;
        client.send(bytes).await.unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{what}");
        assert!(client.is_closed_by_peer().await, "{what}");
    }
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn options_of_the_gateway_itself_are_answered_by_it() {
    let (rig, backend) = rig().await;
    let mut client = open(&rig).await;
    for _ in 0..2 {
        client
            .send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), 204);
        assert!(answer.header("allow").unwrap().contains("OPTIONS"));
    }
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn a_refusal_of_head_has_no_content() {
    let (rig, _backend) = rig().await;
    let mut client = open(&rig).await;
    client.send("HEAD /hold/ HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = client.response_head().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_ne!(answer.header("content-length"), Some("0"));
    assert_eq!(client.rest().await.unwrap(), b"");
}

/// RFC 9110 §15.2: a client of HTTP/1.0 gets no interim answer.
#[tokio::test]
async fn an_old_client_gets_no_interim_answer() {
    let rig = Rig::without_file_routes().await;
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let backend = Backend::behaving("b", Behaviour::Raw(interim)).await;
    rig.put(service("hold", &[&backend])).await;
    for (version, statuses) in [("1.0", &[200][..]), ("1.1", &[103, 200])] {
        let mut client = open(&rig).await;
        let request = format!("GET /hold/ HTTP/{version}\r\nHost: a\r\n\r\n");
        client.send(request).await.unwrap();
        for status in statuses {
            let answer = client.response_head().await.unwrap();
            assert_eq!(answer.status(), *status, "{version}");
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_on_after_a_refusal_still_gets_the_answer() {
    let (rig, _backend) = rig().await;
    let mut client = open(&rig).await;
    let head = "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n";
    client.send(head).await.unwrap();
    // More than fits into the buffers of both sides, so it is still being sent when the answer is there.
    let mut sent = 0;
    eventually("the content is sent or refused", async || {
        sent += 60_000;
        sent > 600_000 || client.send([b'x'; 60_000]).await.is_err()
    })
    .await;
    assert_eq!(client.response().await.unwrap().status(), 404);
}
