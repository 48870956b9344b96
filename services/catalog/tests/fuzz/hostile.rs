//! Thousands of requests, each an operation of the description with something wrong about it, or nothing.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{env, sync::Arc};

use serde_json::json;

use crate::{
    answer,
    document::{Document, Operation},
    program::{self, Program, TOKEN},
    random::Random,
    request::Request,
    wire,
};

const SEED: u64 = 20_261_124;
const REQUESTS: usize = 4_000;

/// Senders at once, each with requests of its own.
const SENDERS: usize = 8;

/// Where in a path a parameter could be, as it is sent.
const SEGMENTS: &[&[u8]] = &[
    b"1",
    b"2",
    b"3",
    b"web",
    b"service-api",
    b"service-catalog",
    b"other",
    b"a",
    b"b",
    b"0",
    b"99",
    b"-1",
    b"-0",
    b"01",
    b"1e3",
    b"0x1",
    b"1.0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"340282366920938463463374607431768211456",
    b"99999999999999999999999999999999999999999999999999",
    b"nobody",
    b"WEB",
    b"watch",
    b"health",
    b"call",
    b"logs",
    b"stats",
    b"services",
    b"null",
    b"undefined",
    b"*",
    b"..",
    b".",
    b"%2e%2e",
    b"..%2f..%2fetc%2fpasswd",
    b"a%2Fb",
    b"%2F",
    b"a/b",
    b"",
    b"//",
    b"a;b=c",
    b"a?x=1",
    b"a#b",
    b"@",
    b"a:b",
    b"%00",
    b"a%00b",
    b"%ff%fe",
    b"%c3%28",
    b"%",
    b"%2",
    b"%zz",
    b"%0d%0aset-cookie:%20a=b",
    b"%F0%9F%92%A9",
    b"%E2%80%AE",
    b"%20",
    b"+",
    b"\xd0\xaf",
    b"\xff",
    b"a b",
    b"a\tb",
    b"<script>",
    b"\"",
    b"{id}",
    b"{",
    b"|",
    b"\\",
    b"^",
    b"`",
];

const QUERIES: &[&str] = &[
    "",
    "=",
    "&&&",
    "?",
    "x=1",
    "name",
    "name=",
    "name=web",
    "name=*",
    "name=web*",
    "name=%ff",
    "name=%00",
    "wait=applied",
    "wait=%00",
    "tag=demo&tag=demo",
    "limit=0",
    "limit=1",
    "limit=1000",
    "limit=1001",
    "limit=-1",
    "limit=99999999999999999999",
    "limit=1.5",
    "limit=%31",
    "cursor=after-1",
    "cursor=after-ffffffffffffffff",
    "cursor=after-fffffffffffffffff",
    "cursor=1",
    "cursor=",
    "status=passing",
    "status=PASSING",
    "status=5xx",
    "status=9xx",
    "status=200",
    "status=99",
    "status=1000",
    "since=15m",
    "since=0",
    "since=-1",
    "since=18446744073709551615",
    "since=99999999999999999999",
    "since=2026-11-24T00:00:00Z",
    "since=9999-99-99T99:99:99Z",
    "since=%2B292277026596-01-01T00:00:00Z",
    "since=99999999999999999999d",
    "service=web",
    "service=1",
    "service=nobody",
    "service=",
    "service=%c3%28",
    "drain=30s",
    "drain=0s",
    "drain=11m",
    "drain=-1s",
    "drain=99999999999999999999h",
    "drain",
    "verbose",
    "verbose=1",
    "verbose&verbose",
    "wait=applied",
    "wait=",
];

const CONDITIONS: &[&[u8]] = &[
    b"*",
    b"\"0\"",
    b"\"1\"",
    b"W/\"1\"",
    b"\"18446744073709551615\"",
    b"\"18446744073709551616\"",
    b"\"-1\"",
    b"\"x\"",
    b"1",
    b"",
    b"\"",
    b"\"\"",
    b"*, \"1\"",
    b"\"1\",",
    b",",
    b"\xff",
    b"\"\xff\"",
    b"\"1\" \"2\"",
];

const FIELDS: &[(&str, &[u8])] = &[
    ("prefer", b"respond-async"),
    ("prefer", b"respond-async, wait=10"),
    ("prefer", b"wait=99999999999999999999"),
    ("prefer", b";;;="),
    ("last-event-id", b"0"),
    ("last-event-id", b"18446744073709551616"),
    ("last-event-id", b"\xff"),
    (
        "x-catalog-receiver",
        b"gw-1/0123456789abcdef0123456789abcdef",
    ),
    ("x-catalog-receiver", b"gw-1/1"),
    ("x-catalog-receiver", b"\xff/\xff"),
    ("accept", b"text/html"),
    ("accept", b"*/*;q=2"),
    ("accept", b""),
    ("accept-encoding", b"br;q=1.0, zstd, \x00"),
    ("x-request-id", b"<script>"),
    ("x-request-id", b"kept-1"),
    ("expect", b"100-continue"),
    ("expect", b"200-ok"),
    ("range", b"bytes=0-1"),
    ("range", b"bytes=9-1"),
    ("if-modified-since", b"yesterday"),
    ("connection", b"close"),
    ("connection", b"authorization, content-type"),
    ("upgrade", b"websocket"),
    ("content-encoding", b"gzip"),
    ("x-http-method-override", b"DELETE"),
    ("forwarded", b"for=127.0.0.1;host=\"a"),
    ("cookie", b"a=b; c"),
    ("x", b"\x01"),
    ("bad field", b"a"),
];

const CONTENT_TYPES: &[&[u8]] = &[
    b"application/json",
    b"application/json; charset=utf-8",
    b"application/json; charset=latin-1",
    b"APPLICATION/JSON",
    b"application/merge-patch+json",
    b"text/json",
    b"text/plain",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=a",
    b"application/xml",
    b"json",
    b"",
    b";",
    b"\xff",
];

const TOKENS: &[&[u8]] = &[
    b"Bearer wrong",
    b"Bearer ",
    b"Bearer",
    b"bearer fuzz-token",
    b"Bearer  fuzz-token",
    b"Bearer fuzz-token x",
    b"Basic ZnV6ei10b2tlbg==",
    b"fuzz-token",
    b"\xff",
    b"",
    b"Bearer \xff",
    b"Bearer fuzz-tokenfuzz-tokenfuzz-tokenfuzz-tokenfuzz-tokenfuzz-token",
];

const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE",
    "QUERY", "get", "PUTT", "G\0T", "GÉT",
];

/// One request of an operation.
fn request(random: &mut Random, document: &Document, operation: &Operation) -> Request {
    let method = match random.percent(94) {
        true => operation.method.clone(),
        false => random.of(METHODS).to_owned(),
    };
    let mut request = Request::new(&method, target(random, operation));
    if random.percent(90) {
        request = request.header("authorization", format!("Bearer {TOKEN}"));
    } else if random.percent(70) {
        request = request.header("authorization", random.of(TOKENS));
    }
    for (name, percent) in [("if-match", 15), ("if-none-match", 10)] {
        if random.percent(percent) {
            request = request.header(name, random.of(CONDITIONS));
        }
    }
    while random.percent(25) {
        let (name, value) = random.of(FIELDS);
        request = request.header(name, value);
    }
    let body = &operation.value["requestBody"]["content"]["application/json"];
    if !body.is_null() {
        request = request.body(random.body(&document.value, &body["schema"], &body["example"]));
    } else if !operation.value["requestBody"].is_null() || random.percent(5) {
        request = request.body(vec![b'x'; random.of(&[0, 1, 5_000, 300_000])]);
    }
    if request.body.is_some() {
        let kinds = if random.percent(85) {
            &CONTENT_TYPES[..2]
        } else {
            CONTENT_TYPES
        };
        request = request.header("content-type", random.of(kinds));
        request.is_chunked = random.percent(20);
    }
    request
}

fn target(random: &mut Random, operation: &Operation) -> Vec<u8> {
    let mut target = Vec::new();
    for segment in operation.path.split('/').skip(1) {
        target.push(b'/');
        match segment {
            _ if !segment.starts_with('{') => target.extend(segment.as_bytes()),
            "{file}" if random.percent(50) => target.extend(b"index.html"),
            // Mostly something that is there, or the rest of the request would not be looked at.
            "{id}" if random.percent(60) => target.extend(random.of(&SEGMENTS[..6])),
            "{instance}" if random.percent(60) => target.extend(b"a"),
            _ if random.percent(3) => {
                target.extend("a".repeat(random.of(&[64, 129, 8_000, 70_000])).bytes())
            }
            _ => target.extend(random.of(SEGMENTS)),
        }
    }
    let has_query = operation.value["parameters"]
        .as_array()
        .is_some_and(|all| all.iter().any(|parameter| parameter["in"] == "query"));
    if random.percent(if has_query { 70 } else { 10 }) {
        let count = random.of(&[1, 1, 1, 2, 3, 70]);
        let parts: Vec<&str> = (0..count).map(|_| random.of(QUERIES)).collect();
        target.push(b'?');
        target.extend(parts.join("&").bytes());
    }
    target
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// What a failure shows of a request.
fn shown(request: &Request) -> String {
    let bytes = request.bytes();
    let start = &bytes[..bytes.len().min(2_000)];
    format!("{}… ({} bytes)", start.escape_ascii(), bytes.len())
}

async fn send_all(
    seed: u64,
    count: usize,
    program: Arc<Program>,
    document: Arc<Document>,
    addresses: Vec<String>,
) {
    let mut random = Random::new(seed, addresses);
    for index in 0..count {
        let operation = random.of(&document.operations);
        let request = request(&mut random, &document, &operation);
        let wrong = match wire::exchange(program.address, &request).await {
            Ok(answer) => match answer::check(&document, &request, &answer) {
                Ok(()) => continue,
                Err(wrong) => format!("{wrong}\n{answer:?}"),
            },
            Err(fault) => format!("{fault:?}"),
        };
        panic!(
            "seed {seed}, request {index} of {} {}: {wrong}\n{}",
            operation.method,
            operation.path,
            shown(&request)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_that_is_described() {
    let program = Arc::new(Program::start(&[]));
    let document = program.document().await;
    let called = program::backend().await.to_string();
    let mut addresses = vec![called.clone(), called.clone(), program.address.to_string()];
    // A port on which nobody listens.
    addresses.push("127.0.0.1:1".to_owned());
    for name in ["web", "service-api"] {
        let target = format!("/services/{name}");
        let put = program.write("PUT", &target, &json!({"name": name})).await;
        assert!(put.status < 300);
        let target = format!("{target}/instances/a");
        let body = json!({"address": called.clone()});
        let put = program.write("PUT", &target, &body).await;
        assert_eq!(put.status, 201);
    }
    let seed = number("FUZZ_SEED", SEED);
    let count = number("FUZZ_REQUESTS", REQUESTS as u64) as usize / SENDERS;
    let senders: Vec<_> = (0..SENDERS as u64)
        .map(|sender| {
            let (program, document) = (Arc::clone(&program), Arc::clone(&document));
            let addresses = addresses.clone();
            tokio::spawn(send_all(
                seed.wrapping_add(sender),
                count,
                program,
                document,
                addresses,
            ))
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    // It is as well as before.
    assert_eq!(program.get("/readyz").await.status, 200);
    assert_eq!(program.get("/services").await.status, 200);
    program.check_log();
}
