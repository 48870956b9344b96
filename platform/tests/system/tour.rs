//! What the README shows.

use std::time::Duration;

use http::{Request, StatusCode};
use serde_json::{Value, json};
use service_kit::{client::Client, http::body};

use crate::support::{backend::Backend, eventually, stack::Stack, strict::Strict};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_come_through_the_gateway_from_both_instances() {
    let stack = Stack::start(2).await;
    let mut client = Strict::new(stack.gateway_address());
    let one = client.get("/api/name").await.unwrap();
    let name: Value = serde_json::from_str(&one.body).unwrap();
    assert!(name["name"].as_str().unwrap().contains(' '), "{name}");
    assert_eq!((one.status, one.field("via")), (200, Some("1.1 gateway")));
    assert!(one.field("x-request-id").is_some());

    let five: Value =
        serde_json::from_str(&client.get("/api/names/5").await.unwrap().body).unwrap();
    assert_eq!(five["names"].as_array().unwrap().len(), 5);

    let mut instances = std::collections::BTreeSet::new();
    for _ in 0..100 {
        instances.insert(
            client
                .get("/api/name")
                .await
                .unwrap()
                .field("x-instance")
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(instances.len(), 2, "{instances:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_and_the_metrics_are_behind_the_same_entrance() {
    let stack = Stack::start(1).await;
    let mut client = Strict::new(stack.gateway_address());
    let services: Value =
        serde_json::from_str(&client.get("/services").await.unwrap().body).unwrap();
    let names: Vec<_> = services["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| &service["name"])
        .collect();
    assert_eq!(names, ["service-api", "service-catalog"]);
    assert_eq!(services["services"][0]["id"], 1);
    let metrics = client.get("/metrics").await.unwrap().body;
    assert!(metrics.contains("gateway_catalog_connected 1"), "{metrics}");
    assert!(
        metrics.contains(
            r#"gateway_requests_total{method="GET",route="catalog",status_class="2xx"} 1"#
        )
    );
    // Not a prefix of /api/, so it is the catalog that does not know it.
    let other = client.get("/apiary").await.unwrap();
    assert_eq!(
        (other.status, other.field("content-type")),
        (404, Some("application/problem+json"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_service_with_its_own_host_and_route_is_reached_at_once() {
    let stack = Stack::start(1).await;
    let backend = Backend::start("hello").await;
    let registry = stack.registry();
    let route = json!({"host": "*.example.org", "path_prefix": "/hello/", "strip_prefix": true});
    registry
        .put_service("hello", json!({"routes": [route]}))
        .await;

    // Known, but nobody there yet: not a 404.
    let mut client = Strict::with_host(stack.gateway_address(), "shop.example.org");
    eventually("the route is known", || async {
        let mut client = Strict::with_host(stack.gateway_address(), "shop.example.org");
        client.get("/hello/").await.unwrap().status == 503
    })
    .await;
    assert!(
        client
            .get("/hello/")
            .await
            .unwrap()
            .field("retry-after")
            .is_some()
    );

    registry
        .put_instance(
            "hello",
            "a",
            json!({"address": backend.address.to_string()}),
        )
        .await;
    stack.until_healthy("hello", 1).await;
    let answer = client.get("/hello/you?x=1").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    // Another host does not take this route.
    let elsewhere = Strict::with_host(stack.gateway_address(), "example.net")
        .get("/hello/you")
        .await
        .unwrap();
    assert_eq!(elsewhere.status, 404);

    let deleted = registry
        .send(http::Method::DELETE, "/services/hello", None)
        .await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    eventually("the route is gone", || async {
        let mut client = Strict::with_host(stack.gateway_address(), "shop.example.org");
        client.get("/hello/").await.unwrap().status == 404
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_through_the_gateway_needs_the_token() {
    let stack = Stack::start(1).await;
    let through = crate::support::registry::Registry::new(stack.gateway_address(), &stack.token);
    for (token, expected) in [
        ("", StatusCode::UNAUTHORIZED),
        ("wrong", StatusCode::FORBIDDEN),
    ] {
        let answer = through
            .with_token(token)
            .send(http::Method::POST, "/services", Some(&json!({"name": "x"})))
            .await;
        assert_eq!(answer.status(), expected);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let created = through
        .send(http::Method::POST, "/services", Some(&json!({"name": "x"})))
        .await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let again = through
        .send(http::Method::POST, "/services", Some(&json!({"name": "x"})))
        .await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_passes_calls_on_to_services() {
    let stack = Stack::start(2).await;
    let mut client = Strict::new(stack.gateway_address());
    let answer = client.get("/services/call/1/name").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let name: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(name["name"].as_str().unwrap().contains(' '), "{name}");
    let five = client
        .get("/services/call/service-api/names/5?seed=1")
        .await
        .unwrap();
    let again = client
        .get("/services/call/service-api/names/5?seed=1")
        .await
        .unwrap();
    assert_eq!((five.status, &five.body), (200, &again.body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_later_through_the_gateway() {
    let stack = Stack::start(1).await;
    let gateway = stack.gateway_address();
    let request = Request::get(format!(
        "http://{gateway}/services/call/service-api/names/2?seed=42"
    ));
    let request = request.header("prefer", "respond-async");
    let request = request.body(body::empty()).unwrap();
    let client = Client::new();
    let accepted = client.fetch(request, Duration::from_secs(20), 1 << 20);
    let accepted = accepted.await.unwrap();
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    assert_eq!(accepted.headers()["preference-applied"], "respond-async");
    let location = accepted.headers()["location"].to_str().unwrap();
    let mut client = Strict::new(gateway);
    let report = loop {
        let answer = client.get(location).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let report: Value = serde_json::from_str(&answer.body).unwrap();
        if report["status"] != "pending" {
            break report;
        }
    };
    let direct = client
        .get("/services/call/service-api/names/2?seed=42")
        .await;
    assert_eq!(report["answer"]["status"], 200);
    assert_eq!(report["answer"]["text"], direct.unwrap().body);
}
