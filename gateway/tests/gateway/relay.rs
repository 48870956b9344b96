//! The two ways of a request, the short one of plain requests and Pingora's: what clients and services see is the same. Every other test
//! here holds for both, too; `scripts/test` runs them once more with the short way off.

use crate::harness::{Backend, Behaviour, Connection, Message, Rig, request, steady_service};

const COUNTER: &str = "gateway_relayed_requests_total";

async fn rig(relay: bool, behaviour: Behaviour) -> (Rig, Backend) {
    let rig = Rig::configured(|config| config.relay = relay).await;
    let backend = Backend::behaving("b", behaviour).await;
    rig.put(steady_service("hold", &[&backend])).await;
    (rig, backend)
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
    for (method, target) in [("GET", "/nowhere/"), ("OPTIONS", "*"), ("GET", "/static/x")] {
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
    !matches!(name, "date" | "x-request-id" | "forwarded")
}

/// First line, fields in alphabetical order, content.
type Comparable = (String, Vec<(String, String)>, Vec<u8>);

/// What can be compared of a message.
fn comparable(message: &Message) -> Comparable {
    let mut fields: Vec<_> = (message.headers.iter())
        .filter(|(name, _)| is_comparable(name))
        .cloned()
        .collect();
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
                let mut seen = Vec::new();
                for (rig, backend) in &ways {
                    backend.behave(behaviour.clone());
                    seen.push(ask(rig, &text, method == "HEAD").await);
                }
                let [short, long] = &seen[..] else {
                    unreachable!()
                };
                for (short, long) in short.iter().zip(long) {
                    assert_eq!(
                        short.as_ref().map(comparable),
                        long.as_ref().map(comparable),
                        "{method} {behaviour:?}"
                    );
                }
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
