//! The endpoints for those who run a program.

use service_kit::http::Limits;

use crate::server::Server;
use crate::wire::get;

#[tokio::test]
async fn readiness_follows_its_conditions_and_says_why_on_request() {
    let server = Server::start(Limits::default()).await;
    let snapshot = server.readiness.condition("snapshot");
    server.readiness.detail("store").fail("connection refused");

    let answer = get(server.address, "/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, r#"{"status":"starting"}"#);
    assert_eq!(answer.header("retry-after"), "1");
    let answer = get(server.address, "/readyz?verbose").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["conditions"][0]["reason"], "starting");
    assert_eq!(
        answer.json()["conditions"][1]["reason"],
        "connection refused"
    );
    assert_eq!(answer.json()["conditions"][1]["gates"], false);

    snapshot.pass();
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    server.readiness.begin_shutdown();
    let answer = get(server.address, "/readyz").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, r#"{"status":"stopping"}"#)
    );
    // Stopping is no reason to be killed.
    assert_eq!(get(server.address, "/livez").await.status, 200);
}

#[tokio::test]
async fn health_is_what_the_application_says() {
    let server = Server::start(Limits::default()).await;
    let answer = get(server.address, "/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["status"], "ok");
}

#[tokio::test]
async fn metrics_count_by_pattern_and_never_by_path() {
    let server = Server::start(Limits::default()).await;
    get(server.address, "/names/5").await;
    get(server.address, "/names/6").await;
    get(server.address, "/invented/by/the/caller").await;
    let answer = get(server.address, "/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    for line in [
        r#"example_requests_total{endpoint="/names/{count}",method="GET",status="200"} 2"#,
        r#"example_requests_total{endpoint="unmatched",method="GET",status="404"} 1"#,
        r#"example_request_duration_seconds_count{endpoint="/names/{count}"} 2"#,
        r#"build_info{program="example",version="1"} 1"#,
    ] {
        assert!(
            answer.body.contains(line),
            "{line} is missing in\n{}",
            answer.body
        );
    }
    assert!(!answer.body.contains("invented"));
}
