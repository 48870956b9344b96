//! The two ways of a request, the short one of plain requests and Pingora's: what clients and services see is the same. Every other test
//! here holds for both, too; `scripts/test` runs them once more with the short way off.

use std::path::Path;

use serde_json::json;

use crate::{
    files,
    harness::{Backend, Behaviour, Connection, Message, Rig, request, steady_service, with},
};

const COUNTER: &str = "gateway_relayed_requests_total";

async fn rig(relay: bool, behaviour: Behaviour) -> (Rig, Backend) {
    let rig = Rig::configured(|config| config.relay = relay).await;
    let backend = Backend::behaving("b", behaviour).await;
    rig.put(steady_service("hold", &[&backend])).await;
    (rig, backend)
}

async fn serving(folder: &Path, relay: bool) -> Rig {
    let routes = vec![files::route(folder)];
    Rig::configured(|config| {
        config.file_routes = routes;
        config.relay = relay;
    })
    .await
}

async fn relayed(rig: &Rig) -> f64 {
    rig.metric(COUNTER).await.unwrap()
}

#[tokio::test]
async fn plain_requests_take_the_short_way_unless_it_is_off() {
    for (relay, expected) in [(true, 3.0), (false, 0.0)] {
        let (rig, _backend) = rig(relay, Behaviour::Name).await;
        for (method, body) in [("GET", ""), ("POST", "content"), ("DELETE", "")] {
            let answer = rig.send(method, "/hold/", &[], body).await;
            assert_eq!((answer.status(), answer.text().as_str()), (200, "b"));
        }
        assert_eq!(relayed(&rig).await, expected);
    }
}

/// What needs more than moving bytes takes Pingora's way, and none of it is lost by having been looked at before.
#[tokio::test]
async fn requests_that_are_not_plain_are_left_alone() {
    let (rig, backend) = rig(true, Behaviour::Name).await;
    for text in [
        "GET /hold/ HTTP/1.0\r\n\r\n",
        "GET http://gateway.test/hold/ HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "GET /hold/ HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
        "GET /hold/ HTTP/1.1\r\nHost: a\r\nConnection: x-a\r\nX-A: 1\r\n\r\n",
        "GET /hold/ HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\n\r\n",
        "GET /hold/ HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
        "GET /hold/ HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
        "POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "POST /hold/ HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nContent-Length: 1\r\n\r\na",
    ] {
        let before = backend.hits();
        let mut client = Connection::open(rig.address()).await.unwrap();
        client.send(text).await.unwrap();
        assert_eq!(client.response().await.unwrap().text(), "b", "{text}");
        assert_eq!(backend.hits(), before + 1, "{text}");
    }
    for (method, target) in [("GET", "/nowhere/"), ("OPTIONS", "*")] {
        rig.send(method, target, &[], "").await;
    }
    assert_eq!(relayed(&rig).await, 0.0);
}

#[tokio::test]
async fn content_that_comes_later_is_waited_for_on_the_other_way() {
    let (rig, backend) = rig(true, Behaviour::Echo).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    let whole = request("POST", "/hold/", &[], "0123456789");
    let (first, second) = whole.split_at(whole.len() - 5);
    client.send(first).await.unwrap();
    crate::harness::eventually("the head is at the service", async || {
        rig.endpoints("hold")[0].in_flight() == 1
    })
    .await;
    client.send(second).await.unwrap();
    assert_eq!(
        client.response().await.unwrap().json()["body"],
        "0123456789"
    );
    assert_eq!((relayed(&rig).await, backend.hits()), (0.0, 1));
}

/// Requests in one piece, each followed by the next: those that are plain and those that are not, in turn.
#[tokio::test]
async fn pipelined_requests_may_take_different_ways() {
    let (rig, _backend) = rig(true, Behaviour::Echo).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    let mut all = String::new();
    for number in 0..12 {
        let te: &[(&str, &str)] = match number % 3 {
            2 => &[("te", "trailers")],
            _ => &[],
        };
        all += &request(
            "PUT",
            &format!("/hold/{number}"),
            te,
            &"x".repeat(number * 100),
        );
    }
    client.send(all).await.unwrap();
    for number in 0..12 {
        let echo = client.response().await.unwrap().json();
        assert_eq!(echo["target"], format!("/{number}"));
        assert_eq!(echo["body"].as_str().unwrap().len(), number * 100);
    }
    assert_eq!(relayed(&rig).await, 8.0);
}

/// Fields that tell of the moment, or of the way itself.
fn is_comparable(name: &str) -> bool {
    // Pingora replaces the date of an answer.
    !matches!(name, "date" | "age" | "x-request-id" | "forwarded")
}

/// First line, fields in alphabetical order, content.
type Comparable = (String, Vec<(String, String)>, Vec<u8>);

/// What can be compared of a message.
fn comparable(message: &Message) -> Comparable {
    let mut fields: Vec<_> = (message.headers.iter())
        .filter(|(name, _)| is_comparable(name))
        .cloned()
        .collect();
    // Seconds go by between the two.
    for (name, value) in &mut fields {
        if let ("cache-status", Some(at)) = (name.as_str(), value.find("ttl=")) {
            value.truncate(at);
        }
    }
    fields.sort();
    let line = message.first_line.replace("HTTP/1.0", "HTTP/1.1");
    (line, fields, message.body.clone())
}

/// Asks twice on one connection, so that it is seen whether the connection goes on.
async fn ask(rig: &Rig, text: &str, is_head: bool) -> Vec<Option<Message>> {
    let mut client = Connection::open(rig.address()).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        // A connection that is over shows in the answer.
        let _ = client.send(text).await;
        let answer = match is_head {
            true => client.response_head().await,
            false => client.response().await,
        };
        answers.push(answer.ok());
    }
    answers
}

/// Asks both ways the same, and compares all that a client can see.
async fn assert_alike(ways: [&Rig; 2], text: &str, is_head: bool) {
    let mut seen = Vec::new();
    for rig in ways {
        let answers = ask(rig, text, is_head).await;
        let comparable = |answer: &Option<Message>| answer.as_ref().map(comparable);
        seen.push(answers.iter().map(comparable).collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1], "{text}");
}

#[tokio::test]
async fn both_ways_pass_on_the_same() {
    const ANSWERS: [&str; 14] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: Kept\r\n\r\nok",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 299 Very Odd Reason\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVia: 1.1 other\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        "nothing like it\r\n\r\n",
    ];
    let ways = [
        rig(true, Behaviour::Name).await,
        rig(false, Behaviour::Name).await,
    ];
    for answer in ANSWERS {
        for behaviour in [Behaviour::RawOpen(answer), Behaviour::Raw(answer)] {
            // An answer that is too short on an open connection would be waited for.
            if answer.contains("Length: 9\r") && matches!(behaviour, Behaviour::RawOpen(_)) {
                continue;
            }
            for method in ["GET", "HEAD", "POST"] {
                // What follows the head of an answer to HEAD would be the beginning of the next one.
                if method == "HEAD" && !answer.ends_with("\r\n\r\n") {
                    continue;
                }
                let text = request(
                    method,
                    "/hold/a?b=c",
                    &[("Cookie", "a=b"), ("X-Request-Id", "one")],
                    "",
                );
                for (_, backend) in &ways {
                    backend.behave(behaviour.clone());
                }
                let rigs = ways.each_ref().map(|(rig, _)| rig);
                assert_alike(rigs, &text, method == "HEAD").await;
            }
        }
    }
    let [short, long] = ways.each_ref().map(|(_, backend)| backend.received());
    assert_eq!(short.len(), long.len());
    for (short, long) in short.iter().zip(&long) {
        let of_request = |message| {
            let (line, mut fields, body) = comparable(message);
            // The listeners have different ports.
            fields.retain(|(name, _)| name != "x-forwarded-for");
            (line, fields, body)
        };
        assert_eq!(of_request(short), of_request(long));
    }
}

#[tokio::test]
async fn both_ways_answer_the_same_out_of_a_folder() {
    let folder = tempfile::TempDir::new().unwrap();
    let content = "0123456789".repeat(20_000);
    for (name, content) in [("a.txt", &content[..]), ("a.txt.br", "br"), ("e", "")] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let short = serving(folder.path(), true).await;
    let long = serving(folder.path(), false).await;
    let whole = short.get("/f/a.txt").await;
    assert_eq!(whole.text(), content);
    let etag = whole.header("etag").unwrap();
    let mut asked = relayed(&short).await;
    for target in ["/f/a.txt?q", "/f/e", "/f/none", "/f", "/f/", "/f/%2egit"] {
        for method in ["GET", "HEAD", "POST"] {
            for field in [
                ("accept-encoding", "br"),
                ("accept-encoding", "gzip"),
                ("if-none-match", etag),
                ("if-match", "\"other\""),
                ("range", "bytes=70000-150000"),
                ("range", "bytes=999999-"),
            ] {
                let text = request(method, target, &[field, ("X-Request-Id", "one")], "");
                assert_alike([&short, &long], &text, method == "HEAD").await;
                asked += 2.0;
                assert_eq!(relayed(&short).await, asked, "{text}");
            }
        }
    }
    assert_eq!(relayed(&long).await, 0.0);
}

#[tokio::test]
async fn a_client_that_wants_no_more_than_a_file_gets_it_and_the_end() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.txt"), "all of it").unwrap();
    let rig = serving(folder.path(), true).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    let last = request("GET", "/f/a.txt", &[("Connection", "close")], "");
    client.send(last).await.unwrap();
    let answer = client.response().await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.header("connection")),
        ("all of it", Some("close"))
    );
    client.response().await.unwrap_err();
}

#[tokio::test]
async fn both_ways_answer_the_same_out_of_the_cache() {
    let ways = [
        rig(true, Behaviour::Name).await,
        rig(false, Behaviour::Name).await,
    ];
    for (rig, backend) in &ways {
        let service = steady_service("hold", &[backend]);
        rig.put(with(service, "policy/cache", json!({}))).await;
    }
    let [(short, one), (long, other)] = &ways;
    let mut number = 0;
    for fields in [
        "X-Case: Kept\r\nCache-Tag: a b\r\nAge: 5",
        "Vary: Accept-Language\r\nContent-Language: de",
        "Set-Cookie: a=b\r\nCache-Control: no-cache=set-cookie",
    ] {
        for (status, rest) in [
            ("200 OK", "Content-Length: 2\r\n\r\nok"),
            (
                "200 Fine",
                "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            ),
            ("204 No Content", "X-A: 1\r\n\r\n"),
            ("404 Not Found", "Content-Length: 4\r\n\r\nnone"),
        ] {
            let answer: &'static str =
                format!("HTTP/1.1 {status}\r\n{fields}\r\nCache-Control: max-age=600\r\n{rest}")
                    .leak();
            for (_, backend) in &ways {
                backend.behave(Behaviour::RawOpen(answer));
            }
            number += 1;
            for (method, language) in [
                ("GET", "de"),
                ("HEAD", "de"),
                ("GET", "en"),
                ("GET", "en"),
                ("HEAD", "en"),
            ] {
                let own = [("Accept-Language", language), ("X-Request-Id", "one")];
                let text = request(method, &format!("/hold/{number}"), &own, "");
                assert_alike([short, long], &text, method == "HEAD").await;
            }
        }
    }
    // Each asked for each object once, and once more for the other language of those that differ by it.
    assert_eq!((one.hits(), other.hits()), (16, 16));
    assert_eq!(relayed(short).await, f64::from(12 * 10 - 16));
}

/// What a client may want of a kept answer besides all of it is decided on the other way.
#[tokio::test]
async fn wishes_about_a_kept_answer_are_left_to_the_other_way() {
    let (rig, backend) = rig(true, Behaviour::Name).await;
    let service = steady_service("hold", &[&backend]);
    rig.put(with(service, "policy/cache", json!({}))).await;
    backend.behave(Behaviour::RawOpen(
        "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nok",
    ));
    rig.get("/hold/").await;
    for (field, status) in [
        (("if-none-match", "\"a\""), 304),
        (("range", "bytes=0-0"), 206),
        (("cache-control", "max-age=1000"), 200),
        (("pragma", "x"), 200),
    ] {
        assert_eq!(
            rig.send("GET", "/hold/", &[field], "").await.status(),
            status
        );
    }
    assert_eq!((relayed(&rig).await, backend.hits()), (0.0, 1));
    assert_eq!(rig.get("/hold/").await.text(), "ok");
    assert_eq!((relayed(&rig).await, backend.hits()), (1.0, 1));
}

/// The end of the service's connection ends the answer and not the client's connection.
#[tokio::test]
async fn an_answer_without_a_length_leaves_the_connection_open() {
    for head in ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK"] {
        let answer: &'static str = format!("{head}\r\nX-A: 1\r\n\r\nuntil the end").leak();
        let (rig, _backend) = rig(true, Behaviour::Raw(answer)).await;
        let mut client = Connection::open(rig.address()).await.unwrap();
        for _ in 0..3 {
            client
                .send(request("GET", "/hold/", &[], ""))
                .await
                .unwrap();
            assert_eq!(client.response().await.unwrap().text(), "until the end");
        }
        assert_eq!(relayed(&rig).await, 3.0);
    }
}

#[tokio::test]
async fn interim_answers_come_before_the_answer() {
    let answers = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for relay in [true, false] {
        let (rig, _backend) = rig(relay, Behaviour::RawOpen(answers)).await;
        let mut client = Connection::open(rig.address()).await.unwrap();
        client
            .send(request("GET", "/hold/", &[], ""))
            .await
            .unwrap();
        let hints = client.response_head().await.unwrap();
        assert_eq!((hints.status(), hints.header("link")), (103, Some("</a>")));
        assert_eq!(client.response_head().await.unwrap().status(), 102);
        assert_eq!(client.response().await.unwrap().text(), "ok");
    }
}

/// RFC 9110 §8.6: equal lengths may be taken for one, and then one is sent.
#[tokio::test]
async fn a_length_that_is_said_twice_becomes_one() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let (rig, _backend) = rig(true, Behaviour::RawOpen(answer)).await;
        let told = rig.get("/hold/").await;
        assert_eq!(
            (told.text().as_str(), told.header("content-length")),
            ("ok", Some("2"))
        );
    }
}

#[tokio::test]
async fn a_value_over_several_lines_becomes_one_line() {
    let folded = "HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok";
    let (rig, _backend) = rig(true, Behaviour::RawOpen(folded)).await;
    let answer = rig.get("/hold/").await;
    let value = answer.header("x-a").unwrap().split_whitespace();
    assert_eq!(value.collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn a_date_of_the_service_is_kept_and_a_missing_one_added() {
    let dated =
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
    let (rig, backend) = rig(true, Behaviour::RawOpen(dated)).await;
    let date = async || rig.get("/hold/").await.header("date").unwrap().to_owned();
    assert_eq!(date().await, "Thu, 01 Jan 1970 00:00:00 GMT");
    backend.behave(Behaviour::Name);
    assert_ne!(date().await, "Thu, 01 Jan 1970 00:00:00 GMT");
}

/// Content of every size around the buffers, in every framing.
#[tokio::test]
async fn long_answers_arrive_whole() {
    let ways = [
        rig(true, Behaviour::Name).await,
        rig(false, Behaviour::Name).await,
    ];
    for size in [1, 16_000, 16_384, 16_385, 65_536, 100_000, 1 << 20] {
        let content: String = (0..size)
            .map(|at| char::from(b'a' + (at % 23) as u8))
            .collect();
        let chunks: String = (content.as_bytes().chunks(7_000))
            .map(|chunk| {
                format!(
                    "{:x}\r\n{}\r\n",
                    chunk.len(),
                    String::from_utf8_lossy(chunk)
                )
            })
            .collect();
        for answer in [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{content}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n\r\n{content}"),
        ] {
            let answer: &'static str = answer.leak();
            for (rig, backend) in &ways {
                backend.behave(Behaviour::Raw(answer));
                let told = rig.get("/hold/").await;
                assert!(told.body == content.as_bytes(), "{size}: {}", &answer[..40]);
            }
        }
    }
}
