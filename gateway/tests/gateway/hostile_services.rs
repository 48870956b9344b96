//! Services that answer what is no answer: the client learns of it, and nobody else gets any of it.

use serde_json::json;

use crate::harness::{Backend, Behaviour, Rig, steady_service, with};

/// One attempt per request, so that what is counted is one exchange.
async fn rig(behaviour: Behaviour) -> (Rig, Backend) {
    let rig = Rig::without_file_routes().await;
    let backend = Backend::behaving("b", behaviour).await;
    let service = with(
        steady_service("hold", &[&backend]),
        "policy/retry",
        json!({"attempts": 1}),
    );
    let service = with(service, "policy/timeouts", json!({"read": "500ms"}));
    rig.put(service).await;
    (rig, backend)
}

/// Whatever is wrong with the framing of an answer is a 502, and the connection is not used again.
#[tokio::test]
async fn an_answer_that_could_be_read_in_two_ways_is_a_502() {
    for (rule, answer) in [
        (
            "9112 6.3",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "9110 8.6",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        ),
        ("9110 8.6", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na"),
        (
            "9110 8.6",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\na",
        ),
        (
            "9110 5.5",
            "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 1\r\n\r\na",
        ),
        ("9112 4", "HTTP/1.1 OK\r\nContent-Length: 1\r\n\r\na"),
        ("9112 4", "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\na"),
        ("9112 4", "HTTP/3.0 200 OK\r\nContent-Length: 1\r\n\r\na"),
    ] {
        let (rig, backend) = rig(Behaviour::RawOpen(answer)).await;
        let told = rig.get("/hold/").await;
        assert_eq!(told.status(), 502, "{rule}: {answer:?}");
        backend.behave(Behaviour::Name);
        let next = rig.get("/hold/").await;
        assert_eq!(
            (next.status(), next.text().as_str()),
            (200, "b"),
            "{rule}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_nobodys_answer() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    ] {
        let (rig, backend) = rig(Behaviour::RawOpen(answer)).await;
        let first = rig.get("/hold/").await;
        assert!(
            matches!(first.text().as_str(), "ok" | ""),
            "{}",
            first.text()
        );
        backend.behave(Behaviour::Name);
        for _ in 0..3 {
            assert_eq!(rig.get("/hold/").await.text(), "b", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn chunks_that_are_none_break_off_the_answer() {
    for chunks in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    ] {
        let (rig, backend) = rig(Behaviour::RawOpen(chunks)).await;
        let mut client = crate::harness::Connection::open(rig.address())
            .await
            .unwrap();
        client
            .send(crate::harness::request("GET", "/hold/", &[], ""))
            .await
            .unwrap();
        let answer = client.response().await;
        assert!(
            answer.is_err() || answer.is_ok_and(|answer| answer.status() == 502),
            "{chunks:?}"
        );
        backend.behave(Behaviour::Name);
        assert_eq!(rig.get("/hold/").await.text(), "b");
    }
}

#[tokio::test]
async fn a_header_without_an_end_is_a_502() {
    let (rig, backend) = rig(Behaviour::EndlessHead).await;
    assert_eq!(rig.get("/hold/").await.status(), 502);
    backend.behave(Behaviour::Name);
    assert_eq!(rig.get("/hold/").await.text(), "b");
}

#[tokio::test]
async fn an_answer_nobody_asked_for_is_never_used() {
    // It speaks before it is asked, as a server of another protocol does.
    let (rig, backend) = rig(Behaviour::RawOpen(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
    ))
    .await;
    assert_eq!(rig.get("/hold/").await.text(), "ok");
    backend.behave(Behaviour::Name);
    assert_eq!(rig.get("/hold/").await.text(), "b");
}

/// RFC 9112 §5.1: a proxy removes a blank before the colon of an answer.
#[tokio::test]
async fn a_blank_before_a_colon_is_removed() {
    let odd = "HTTP/1.1 200 OK\r\nContent-Length : 1\r\nX-A\t: 1\r\n\r\na";
    let (rig, _backend) = rig(Behaviour::RawOpen(odd)).await;
    let answer = rig.get("/hold/").await;
    assert_eq!(
        (answer.text().as_str(), answer.header("x-a")),
        ("a", Some("1"))
    );
}
