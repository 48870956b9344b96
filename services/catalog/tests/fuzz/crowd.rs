//! More watchers than there may be.

use serde_json::json;

use crate::{answer, program::Program, request::Request, wire::Wire};

const WATCHERS_MAX: usize = 1_000;

/// Who comes when every place is taken.
const LATE: usize = 1_000;

#[tokio::test]
async fn thousands_of_watchers_are_bounded_and_told_so() {
    let most = WATCHERS_MAX.to_string();
    let program = Program::start(&[("CATALOG_WATCHERS_MAX", &most)]);
    let document = program.document().await;
    let request = Request::new("GET", "/services/watch");
    let mut watchers = Vec::new();
    for number in 0..WATCHERS_MAX {
        let mut wire = Wire::connect(program.address).await;
        assert!(wire.send(&request.bytes()).await);
        let answer = wire.answer(false).await.map(|answer| answer.status);
        assert_eq!(answer.ok(), Some(200), "{number}");
        watchers.push(wire);
    }
    for _ in 0..LATE {
        let answer = program.send(&request).await;
        assert_eq!(answer.status, 503);
        if let Err(wrong) = answer::check(&document, &request, &answer) {
            panic!("{wrong}");
        }
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("1000 watch streams are open"), "{detail}");
    }
    // Everybody else is served as ever.
    let body = json!({"name": "web"});
    let put = program.write("PUT", "/services/web", &body).await;
    assert_eq!(put.status, 201);
    assert_eq!(program.get("/services/web").await.status, 200);
    // And a place that is given up is free again.
    watchers.truncate(WATCHERS_MAX - 1);
    let mut tries = 0;
    while program.send(&request).await.status != 200 {
        tries += 1;
        assert!(tries < 10_000, "the place stays taken");
        tokio::task::yield_now().await;
    }
}
