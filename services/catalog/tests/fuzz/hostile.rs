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
    words::{CONDITIONS, CONTENT_TYPES, FIELDS, METHODS, QUERIES, SEGMENTS, TOKENS},
};

const SEED: u64 = 20_261_124;
const REQUESTS: usize = 4_000;

/// Senders at once, each with requests of its own.
const SENDERS: usize = 8;

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
            "{call}" if random.percent(60) => target.extend(random.call().bytes()),
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
    mut random: Random,
    count: usize,
    program: Arc<Program>,
    document: Arc<Document>,
) {
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
    let mut calls = Vec::new();
    for name in ["web", "service-api", "service-catalog"] {
        let target = format!("/services/call/{name}/x");
        let call = Request::new("POST", target).header("prefer", "respond-async");
        let answer = program.send(&call).await;
        assert_eq!(answer.status, 202);
        calls.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    let seed = number("FUZZ_SEED", SEED);
    let count = number("FUZZ_REQUESTS", REQUESTS as u64) as usize / SENDERS;
    let senders: Vec<_> = (0..SENDERS as u64)
        .map(|sender| {
            let (program, document) = (Arc::clone(&program), Arc::clone(&document));
            let random = Random::new(seed.wrapping_add(sender), addresses.clone());
            let random = random.with_calls(calls.clone());
            tokio::spawn(send_all(seed, random, count, program, document))
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    // Whatever was to be answered later is answered, or was forgotten with its queue full.
    program.is_idle().await;
    // It is as well as before.
    assert_eq!(program.get("/readyz").await.status, 200);
    assert_eq!(program.get("/services").await.status, 200);
    program.check_log();
}
