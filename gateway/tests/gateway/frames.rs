//! Frames of HTTP/2 that break a rule, each with the section of RFC 9113 that says so, and floods of frames that break none.

use std::net::SocketAddr;

use crate::harness::{
    Backend, Rig,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Outcome, PADDED,
        PING, PRIORITY, PUSH_PROMISE, REQUEST, RST_STREAM, SETTINGS, WINDOW_UPDATE, fields, frame,
        only, open, request, setting,
    },
    service,
};

async fn rig() -> (Rig, Backend, SocketAddr) {
    let rig = Rig::configured(|config| config.h2c_listen = Some("127.0.0.1:0".parse().unwrap()));
    let rig = rig.await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    let address = rig.gateway.h2c_address().unwrap();
    (rig, backend, address)
}

async fn still_serves(address: SocketAddr) {
    let mut frames = Frames::open(address, &[]).await;
    frames.send(&request(1, END_STREAM, &[])).await;
    assert_eq!(frames.outcome().await, Outcome::Answer(200));
}

#[tokio::test]
async fn a_frame_that_breaks_a_rule_ends_its_connection() {
    let (_rig, backend, address) = rig().await;
    let largest = [0x7f, 0xff, 0xff, 0xff];
    let window = frame(WINDOW_UPDATE, 0, 0, &largest);
    let begun = frame(HEADERS, END_STREAM, 1, &fields(&REQUEST));
    let settings = |content: &[u8]| frame(SETTINGS, 0, 0, content);
    for (section, bytes) in [
        (
            "4.2 larger than allowed",
            [open(1), frame(DATA, 0, 1, &[0; 16_385])].concat(),
        ),
        (
            "4.3 fields that are none",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 5]),
        ),
        (
            "5.1 DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"x"),
        ),
        (
            "5.1 RST_STREAM on an idle stream",
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        ),
        (
            "5.1 WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        ),
        ("5.1.1 a stream of the server", request(2, END_STREAM, &[])),
        ("5.1.1 a stream below the last", [open(5), open(3)].concat()),
        (
            "5.5 an unknown frame between fields",
            [begun.clone(), frame(0xee, 0, 1, b"")].concat(),
        ),
        ("6.1 DATA on no stream", frame(DATA, 0, 0, b"x")),
        (
            "6.1 more padding than frame",
            [open(1), frame(DATA, PADDED, 1, &[9, 0])].concat(),
        ),
        ("6.2 HEADERS on no stream", request(0, END_STREAM, &[])),
        (
            "6.3 PRIORITY that is too short",
            [open(1), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
        ),
        (
            "6.4 RST_STREAM on no stream",
            frame(RST_STREAM, 0, 0, &[0; 4]),
        ),
        (
            "6.4 RST_STREAM that is too short",
            [open(1), frame(RST_STREAM, 0, 1, &[0])].concat(),
        ),
        ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, &[])),
        ("6.5 SETTINGS that are too short", settings(&[0; 5])),
        (
            "6.5 an acknowledgement with content",
            frame(SETTINGS, ACK, 0, &[0; 6]),
        ),
        ("6.5.2 ENABLE_PUSH", settings(&setting(2, 2))),
        ("6.5.2 INITIAL_WINDOW_SIZE", settings(&setting(4, 1 << 31))),
        ("6.5.2 MAX_FRAME_SIZE", settings(&setting(5, 100))),
        (
            "6.6 a promise of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
        ),
        ("6.7 PING on a stream", frame(PING, 0, 1, &[0; 8])),
        ("6.7 PING that is too short", frame(PING, 0, 0, &[0])),
        ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8])),
        (
            "6.9 WINDOW_UPDATE of nothing",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        (
            "6.9 WINDOW_UPDATE that is too short",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        ),
        (
            "6.9.1 a window above 2^31-1",
            [window.clone(), window].concat(),
        ),
        (
            "6.10 CONTINUATION of nothing",
            [open(1), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
        ),
        (
            "6.10 DATA between fields",
            [begun, frame(DATA, END_STREAM, 1, b"x")].concat(),
        ),
    ] {
        let mut frames = Frames::open(address, &[]).await;
        frames.send(&bytes).await;
        assert_eq!(frames.outcome().await, Outcome::End, "{section}");
    }
    assert_eq!(backend.hits(), 0);
    still_serves(address).await;
}

#[tokio::test]
async fn a_request_that_is_malformed_reaches_nobody() {
    let (_rig, backend, address) = rig().await;
    let [method, scheme, path, authority] = REQUEST;
    let with = |field| request(1, END_STREAM, &[field]);
    for (section, bytes) in [
        (
            "8.1 fields after the fields",
            [
                open(1),
                frame(HEADERS, END_HEADERS, 1, &fields(&[("x", "y")])),
            ]
            .concat(),
        ),
        (
            "8.1.1 a length that is not the content's",
            [
                request(1, 0, &[("content-length", "5")]),
                frame(DATA, END_STREAM, 1, b"x"),
            ]
            .concat(),
        ),
        ("8.2.1 a name in upper case", with(("X-Up", "y"))),
        ("8.2.1 a space in a name", with(("x y", "z"))),
        ("8.2.1 a line end in a value", with(("x", "a\r\nb"))),
        ("8.2.1 a NUL in a value", with(("x", "a\0b"))),
        ("8.2.2 connection", with(("connection", "close"))),
        (
            "8.2.2 proxy-connection",
            with(("proxy-connection", "close")),
        ),
        ("8.2.2 keep-alive", with(("keep-alive", "timeout=5"))),
        (
            "8.2.2 transfer-encoding",
            with(("transfer-encoding", "chunked")),
        ),
        ("8.2.2 upgrade", with(("upgrade", "websocket"))),
        ("8.2.2 te", with(("te", "gzip"))),
        ("8.3 a pseudo-header nobody knows", with((":x", "y"))),
        ("8.3 one of answers", with((":status", "200"))),
        ("8.3 one twice", with((":path", "/other"))),
        (
            "8.3 one after a field",
            only(&[method, scheme, ("x", "y"), path, authority]),
        ),
        ("8.3.1 no method", only(&[scheme, path, authority])),
        ("8.3.1 no scheme", only(&[method, path, authority])),
        ("8.3.1 no path", only(&[method, scheme, authority])),
        (
            "8.3.1 an empty path",
            only(&[method, scheme, (":path", ""), authority]),
        ),
        ("8.3.1 no authority", only(&[method, scheme, path])),
        ("8.3.1 two authorities", with(("host", "b.test"))),
    ] {
        let mut frames = Frames::open(address, &[]).await;
        frames.send(&bytes).await;
        let outcome = frames.outcome().await;
        let is_refused = matches!(
            outcome,
            Outcome::Reset | Outcome::End | Outcome::Answer(400)
        );
        assert!(is_refused, "{section}: {outcome:?}");
    }
    // Those that were refused by their content may have been on their way; none has arrived whole.
    let whole = backend.received();
    assert!(whole.iter().all(|message| message.text().is_empty()));
    still_serves(address).await;
}

#[tokio::test]
async fn what_is_unknown_is_passed_over_and_questions_are_answered() {
    let (_rig, _backend, address) = rig().await;
    for bytes in [
        frame(0xee, 0, 0, b"unknown"),
        frame(SETTINGS, 0, 0, &setting(0xff, 1)),
        frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 16]),
    ] {
        let mut frames = Frames::open(address, &[]).await;
        frames
            .send(&[bytes, request(1, END_STREAM, &[])].concat())
            .await;
        assert_eq!(frames.outcome().await, Outcome::Answer(200));
    }
    let mut frames = Frames::open(address, &[]).await;
    assert_eq!(frames.next().await.unwrap().0, SETTINGS);
    frames.send(&frame(PING, 0, 0, b"12345678")).await;
    let (mut acknowledged, mut answered) = (false, false);
    while !(acknowledged && answered) {
        let (kind, flags, _, content) = frames.next().await.unwrap();
        acknowledged |= kind == SETTINGS && flags == ACK;
        answered |= kind == PING && flags == ACK && content == b"12345678";
    }
}

#[tokio::test]
async fn a_client_gets_no_more_than_its_window_takes() {
    let (_rig, _backend, address) = rig().await;
    // INITIAL_WINDOW_SIZE (§6.5.2) of nothing; the answer is the one byte of the backend's name.
    let mut frames = Frames::open(address, &setting(4, 0)).await;
    frames.send(&request(1, END_STREAM, &[])).await;
    assert_eq!(frames.outcome().await, Outcome::Answer(200));
    frames.send(&frame(PING, 0, 0, b"no data?")).await;
    loop {
        match frames.next().await.unwrap() {
            (PING, ACK, ..) => break,
            (DATA, _, _, content) => assert!(content.is_empty(), "it has no right to send"),
            _ => {}
        }
    }
    frames
        .send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]))
        .await;
    loop {
        if let (DATA, _, 1, content) = frames.next().await.unwrap() {
            assert_eq!(content, b"b");
            break;
        }
    }
}

#[tokio::test]
async fn floods_end_their_connection_and_nothing_else() {
    let (_rig, _backend, address) = rig().await;
    let begun = frame(HEADERS, END_STREAM, 1, &fields(&REQUEST));
    let long = "v".repeat(1000);
    let more = frame(CONTINUATION, 0, 1, &fields(&[("x", &long)]));
    let nothing = frame(DATA, 0, 1, b"").repeat(100);
    for (name, first, again, count) in [
        ("fields without an end (CVE-2024-27316)", begun, more, 5_000),
        (
            "content without content (CVE-2019-9518)",
            open(1),
            nothing,
            1_000,
        ),
    ] {
        let mut frames = Frames::open(address, &[]).await;
        frames.send(&first).await;
        for _ in 0..count {
            if !frames.send(&again).await {
                break;
            }
        }
        assert_eq!(frames.outcome().await, Outcome::End, "{name}");
    }
    // Streams that are opened and reset at once (CVE-2023-44487) are in `http2.rs`.
    still_serves(address).await;
}
