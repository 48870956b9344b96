//! Bytes that are no requests, bodies that do not arrive, bodies that never end.

use std::sync::Arc;

use crate::{
    answer,
    program::Program,
    random::{HUGE_BYTES, Random},
    request::Request,
    wire::{self, Fault, Wire},
};

/// Whole connections of garbage.
const CONNECTIONS: usize = 300;

/// Slow senders at once.
const SLOW: usize = 200;

fn put() -> Request {
    Request::new("PUT", "/services/web")
        .token()
        .header("content-type", "application/json")
}

#[tokio::test]
async fn bytes_that_are_no_request_get_a_problem_or_an_end() {
    let program = Program::start(&[]);
    let document = program.document().await;
    let seed = 7;
    let mut random = Random::new(seed, Vec::new());
    let good = b"GET /services HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    for index in 0..CONNECTIONS {
        let mut bytes = match index % 3 {
            0 => (0..random.below(300))
                .map(|_| random.below(256) as u8)
                .collect(),
            _ => good.to_vec(),
        };
        for _ in 0..index % 3 * 2 {
            let place = random.below(bytes.len());
            bytes[place] = random.below(256) as u8;
        }
        let mut wire = Wire::connect(program.address).await;
        wire.send(&bytes).await;
        wire.finish().await;
        // An answer that is one, or none where nothing could be made out.
        match wire.answer(false).await {
            Ok(answer) if answer.status >= 400 => {
                answer::problem(&document, &answer).unwrap_or_else(|wrong| {
                    panic!("seed {seed}: {wrong}: {}", bytes.escape_ascii())
                });
            }
            Ok(_) | Err(Fault::Dropped { .. }) => {}
            Err(fault) => panic!("seed {seed}: {fault:?}: {}", bytes.escape_ascii()),
        }
    }
    assert_eq!(program.get("/services").await.status, 200);
    program.check_log();
}

#[tokio::test]
async fn ten_mebibytes_are_refused_and_the_refusal_arrives() {
    let program = Program::start(&[]);
    let document = program.document().await;
    let huge = vec![b' '; HUGE_BYTES];
    for (mut request, status) in [
        (put(), 413),
        (Request::new("PUT", "/services/web"), 401),
        (Request::new("PUT", "/services/web").token(), 415),
        (Request::new("POST", "/nowhere"), 404),
        (Request::new("POST", "/services/web"), 405),
    ] {
        for is_chunked in [false, true] {
            request.body = Some(huge.clone());
            request.is_chunked = is_chunked;
            let answer = wire::exchange(program.address, &request).await.unwrap();
            assert_eq!(answer.status, status, "{is_chunked}");
            answer::check(&document, &request, &answer).unwrap();
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_harms_nobody() {
    let program = Program::start(&[]);
    for is_chunked in [false, true] {
        let mut request = put().body(r#"{"name": "web", "description": "half"}"#);
        request.is_chunked = is_chunked;
        let bytes = request.bytes();
        // One byte could be the begin of another protocol, for which more is waited.
        for cut in 2..bytes.len() {
            let mut wire = Wire::connect(program.address).await;
            wire.send(&bytes[..cut]).await;
            wire.finish().await;
            match wire.answer(false).await {
                Ok(answer) => assert_eq!(answer.status, 400, "{cut}"),
                Err(Fault::Dropped { .. }) => {}
                Err(fault) => panic!("{cut}: {fault:?}"),
            }
        }
    }
    // Not even half of it was done.
    assert_eq!(program.get("/services/web").await.status, 404);
    program.check_log();
}

#[tokio::test]
async fn slow_bodies_are_given_up_and_hold_up_nobody() {
    let program = Arc::new(Program::start(&[]));
    let document = program.document().await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut wire = Wire::connect(program.address).await;
        let header = "PUT /services/web HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nauthorization: Bearer fuzz-token\r\ncontent-length: 40\r\n\r\n{\"na";
        assert!(wire.send(header.as_bytes()).await);
        slow.push(wire);
    }
    // While all of them wait, others write and read.
    for number in 0..20 {
        let name = format!("quick-{number}");
        let body = serde_json::json!({"name": name});
        let target = format!("/services/{name}");
        assert_eq!(program.write("PUT", &target, &body).await.status, 201);
        assert_eq!(program.get(&target).await.status, 200);
    }
    for mut wire in slow {
        let answer = wire.answer(false).await.unwrap();
        assert_eq!(answer.status, 408);
        answer::check(&document, &put(), &answer).unwrap();
    }
}
