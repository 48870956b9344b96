//! The two ways of a request over HTTP/2: what clients and services see of them is the same.

use std::collections::BTreeMap;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    files,
    harness::{Backend, Behaviour, Http2, Message, Rig, eventually, steady_service, with},
};

/// A gateway, the service behind it, and a client.
struct Way {
    rig: Rig,
    backend: Backend,
    client: Http2,
}

/// Status, fields in the order of names, content; none when the stream broke off.
type Seen = Option<(u16, BTreeMap<String, Vec<String>>, Vec<u8>)>;

// === impl Way ===

impl Way {
    async fn begin(relay: bool, folder: &TempDir) -> Self {
        let routes = vec![files::route(folder.path())];
        let rig = Rig::configured(|config| {
            config.h2c_listen = Some("127.0.0.1:0".parse().unwrap());
            config.file_routes = routes;
            config.relay = relay;
        })
        .await;
        let backend = Backend::start("b").await;
        rig.put(steady_service("hold", &[&backend])).await;
        let client = Http2::open(rig.gateway.h2c_address().unwrap()).await;
        Self {
            rig,
            backend,
            client,
        }
    }

    async fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let url = format!("http://shop.test{path}");
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("x-request-id", "one");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answer = self.client.send(request.body("").unwrap()).await.ok()?;
        let (head, content) = answer.into_parts();
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &head.headers {
            let mut value = value.to_str().unwrap().to_owned();
            // Seconds go by between the two.
            if let Some(at) = value.find("ttl=") {
                value.truncate(at);
            }
            if !matches!(name.as_str(), "age" | "date") {
                fields.entry(name.to_string()).or_default().push(value);
            }
        }
        let content = content.collect().await.ok()?.to_bytes();
        Some((head.status.as_u16(), fields, content.to_vec()))
    }

    async fn relayed(&self) -> f64 {
        let counter = self.rig.metric("gateway_relayed_requests_total").await;
        counter.unwrap()
    }
}

async fn both(folder: &TempDir) -> [Way; 2] {
    [
        Way::begin(true, folder).await,
        Way::begin(false, folder).await,
    ]
}

async fn assert_alike(ways: &mut [Way; 2], method: &str, path: &str, fields: &[(&str, &str)]) {
    let [short, long] = ways;
    let seen = short.ask(method, path, fields).await;
    assert_eq!(
        seen,
        long.ask(method, path, fields).await,
        "{method} {path}"
    );
}

/// What can be compared of a request at a service.
fn comparable(message: &Message) -> (String, BTreeMap<String, Vec<String>>) {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &message.headers {
        // The listeners have different ports, and each request has a trace of its own.
        if !matches!(name.as_str(), "forwarded" | "x-forwarded-for") {
            fields.entry(name.clone()).or_default().push(value.clone());
        }
    }
    (message.first_line.clone(), fields)
}

#[tokio::test]
async fn both_ways_pass_on_the_same() {
    const ANSWERS: [&str; 11] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: Kept\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        "nothing like it\r\n\r\n",
    ];
    let mut ways = both(&TempDir::new().unwrap()).await;
    for answer in ANSWERS {
        for way in &ways {
            way.backend.behave(Behaviour::Raw(answer));
        }
        for method in ["GET", "HEAD"] {
            if method == "HEAD" && !answer.ends_with("\r\n\r\n") {
                continue;
            }
            let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")];
            assert_alike(&mut ways, method, "/hold/x?a=b", &fields).await;
        }
    }
    let [short, long] = &ways;
    let (one, other) = (short.backend.received(), long.backend.received());
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(comparable(one), comparable(other));
    }
    assert!(short.relayed().await > 10.0 && long.relayed().await == 0.0);
}

/// Content of every size around the buffers and windows, in every framing.
#[tokio::test]
async fn long_answers_arrive_whole() {
    let mut way = Way::begin(true, &TempDir::new().unwrap()).await;
    for size in [1, 16_384, 65_535, 65_536, 300_000, 1 << 20] {
        let content: String = (0..size)
            .map(|at| char::from(b'a' + (at % 23) as u8))
            .collect();
        let chunks: String = (content.as_bytes().chunks(7_000))
            .map(|chunk| {
                let data = String::from_utf8_lossy(chunk);
                format!("{:x}\r\n{data}\r\n", chunk.len())
            })
            .collect();
        for answer in [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{content}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n\r\n{content}"),
        ] {
            way.backend.behave(Behaviour::Raw(answer.leak()));
            let (_, _, told) = way.ask("GET", "/hold/", &[]).await.unwrap();
            assert!(told == content.as_bytes(), "{size}");
        }
    }
    assert_eq!(way.relayed().await, 18.0);
}

#[tokio::test]
async fn both_ways_answer_the_same_out_of_a_folder_and_the_cache() {
    let folder = TempDir::new().unwrap();
    let content = "0123456789".repeat(20_000);
    for (name, content) in [("a.txt", &content[..]), ("a.txt.br", "br"), ("e", "")] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let mut ways = both(&folder).await;
    for way in &ways {
        let service = steady_service("hold", &[&way.backend]);
        way.rig.put(with(service, "policy/cache", json!({}))).await;
        way.backend.behave(Behaviour::RawOpen(
            "HTTP/1.1 200 OK\r\nX-A: b\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nok",
        ));
    }
    for path in ["/f/a.txt", "/f/e", "/f/none", "/f", "/hold/", "/hold/x"] {
        for method in ["GET", "HEAD", "GET"] {
            for fields in [
                &[][..],
                &[("accept-encoding", "br")],
                &[("range", "bytes=70000-150000")],
                &[("if-none-match", "*")],
            ] {
                assert_alike(&mut ways, method, path, fields).await;
            }
        }
    }
    let [short, long] = &ways;
    assert_eq!((short.backend.hits(), long.backend.hits()), (2, 2));
    assert!(short.relayed().await > 50.0);
}

#[tokio::test]
async fn requests_that_are_not_plain_take_the_other_way() {
    let mut way = Way::begin(true, &TempDir::new().unwrap()).await;
    for (method, path, fields, status) in [
        ("POST", "/hold/", &[][..], 200),
        ("GET", "/hold/", &[("expect", "100-continue")], 200),
        ("GET", "/nowhere/", &[], 404),
        (
            "GET",
            "/hold/",
            &[("content-type", "application/grpc")],
            200,
        ),
    ] {
        let (answered, ..) = way.ask(method, path, fields).await.unwrap();
        assert_eq!(answered, status, "{method} {path} {fields:?}");
    }
    assert_eq!(way.relayed().await, 0.0);
}

/// Whoever resets a stream takes its request away from the service.
#[tokio::test]
async fn a_client_that_gives_up_is_noticed() {
    let mut way = Way::begin(true, &TempDir::new().unwrap()).await;
    way.backend.behave(Behaviour::Silent);
    let request = Request::builder()
        .method(Method::GET)
        .uri("http://shop.test/hold/")
        .body("")
        .unwrap();
    let asking = way.client.send(request);
    let endpoint = &way.rig.endpoints("hold")[0];
    tokio::select! {
        _ = asking => unreachable!("nobody answers"),
        () = eventually("it is at the service", async || endpoint.in_flight() == 1) => {}
    }
    eventually("it is not any more", async || endpoint.in_flight() == 0).await;
    assert_eq!(way.relayed().await, 1.0);
}
