//! What clients are told when a service fails, and how long they wait for it.

use std::io::ErrorKind;

use serde_json::{Value, json};

use crate::harness::{
    Backend, Behaviour, Connection, Message, Rig, eventually, request, steady_service, with,
};

async fn rig_with(behaviour: Behaviour, timeouts: Value) -> (Rig, Backend) {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", behaviour).await;
    let service = with(
        steady_service("hold", &[&backend]),
        "policy/timeouts",
        timeouts,
    );
    rig.put(service).await;
    (rig, backend)
}

fn told(answer: &Message, status: u16, kind: &str, proxy_status: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem = answer.json();
    assert!(
        problem["type"].as_str().unwrap().ends_with(kind),
        "{problem}"
    );
    assert_eq!(problem["instance"].as_str(), answer.header("x-request-id"));
    let expected = format!("gateway; error={proxy_status}");
    assert_eq!(answer.header("proxy-status"), Some(expected.as_str()));
}

#[tokio::test]
async fn garbage_from_a_service_is_a_502() {
    for garbage in [
        "\0\0\0\0 garbage\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ] {
        let (rig, _backend) = rig_with(Behaviour::Raw(garbage), json!({})).await;
        let answer = rig.get("/hold/").await;
        told(&answer, 502, "bad-gateway", "http_response_incomplete");
    }
}

#[tokio::test]
async fn a_service_that_dies_before_it_answers_is_a_502() {
    let (rig, _backend) = rig_with(Behaviour::Close, json!({})).await;
    let answer = rig.get("/hold/").await;
    told(&answer, 502, "bad-gateway", "http_response_incomplete");
}

#[tokio::test]
async fn a_service_that_refuses_connections_is_a_502() {
    let (rig, backend) = rig_with(Behaviour::Name, json!({})).await;
    backend.refuse().await;
    let answer = rig.send("POST", "/hold/", &[], "x").await;
    told(&answer, 502, "bad-gateway", "connection_refused");
}

#[tokio::test]
async fn a_silent_service_is_a_504_after_the_read_timeout() {
    let (rig, backend) = rig_with(Behaviour::Silent, json!({"read": "100ms"})).await;
    let answer = rig.send("POST", "/hold/", &[], "x").await;
    told(&answer, 504, "gateway-timeout", "http_response_timeout");
    assert_eq!(backend.hits(), 1);
    let reason = r#"gateway_rejected_total{reason="upstream_timeout"}"#;
    assert_eq!(rig.metric(reason).await, Some(1.0));
}

#[tokio::test]
async fn attempts_together_stay_within_the_total_time() {
    let rig = Rig::start().await;
    let mut backends = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        backends.push(Backend::behaving(name, Behaviour::Silent).await);
    }
    let service = steady_service("hold", &backends.iter().collect::<Vec<_>>());
    let service = with(service, "policy/retry", json!({"attempts": 10}));
    let timeouts = json!({"read": "100ms", "total": "250ms", "connect": "100ms"});
    rig.put(with(service, "policy/timeouts", timeouts)).await;
    let answer = rig.get("/hold/").await;
    told(&answer, 504, "gateway-timeout", "http_response_timeout");
    // 100 ms, 100 ms and what was left.
    let attempts = backends.iter().map(Backend::hits).sum::<usize>();
    assert!((1..=3).contains(&attempts), "{attempts}");
    let reason = r#"gateway_rejected_total{reason="deadline_exceeded"}"#;
    assert_eq!(rig.metric(reason).await, Some(1.0));
}

#[tokio::test]
async fn an_answer_that_outlasts_the_total_time_is_cut() {
    let timeouts = json!({"total": "300ms", "read": "300ms", "connect": "100ms"});
    let (rig, backend) = rig_with(Behaviour::Trickle, timeouts).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    let error = client.response().await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
        ),
        "{error}"
    );
    assert_eq!(backend.hits(), 1);
    eventually("nothing is in flight", async || {
        rig.endpoints("hold")[0].in_flight() == 0
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let (rig, backend) = rig_with(Behaviour::Truncate, json!({})).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    let error = client.response().await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
        ),
        "{error}"
    );
    // Something of the answer was passed on, so nobody else may be asked.
    assert_eq!(backend.hits(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_is_not_an_endpoints_failure() {
    let (rig, backend) = rig_with(Behaviour::Silent, json!({})).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    eventually("the request is there", async || backend.hits() == 1).await;
    drop(client);
    eventually("nothing is in flight", async || {
        rig.endpoints("hold")[0].in_flight() == 0
    })
    .await;
    let series = r#"gateway_requests_total{method="GET",route="hold:/hold/",status_class="4xx"}"#;
    eventually("it is counted as the client's", async || {
        rig.metric(series).await == Some(1.0)
    })
    .await;
    let reason = r#"gateway_rejected_total{reason="client_gone"}"#;
    assert_eq!(rig.metric(reason).await, Some(1.0));
    assert_eq!(
        rig.endpoints("hold")[0].health(),
        gateway::upstream::Health::Healthy
    );
}
