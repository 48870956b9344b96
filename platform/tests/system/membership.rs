//! Instances that come, go, die and return.

use serde_json::json;

use crate::support::{
    backend::{Backend, Manner},
    eventually,
    load::Load,
    stack::Stack,
};

/// A service on `/hold/` with quick checks and impatient reads.
fn hold() -> serde_json::Value {
    json!({
        "routes": [{"path_prefix": "/hold/"}],
        "policy": {
            "balance": "round_robin",
            "health": {"kind": "http", "path": "/health", "interval": "200ms", "timeout": "300ms", "unhealthy_after": 2},
            "timeouts": {"connect": "500ms", "read": "500ms", "total": "10s"},
        },
    })
}

async fn registered(stack: &Stack, backends: &[Backend]) {
    let registry = stack.registry();
    registry.put_service("hold", hold()).await;
    for backend in backends {
        registry
            .put_instance(
                "hold",
                &backend.name,
                json!({"address": backend.address.to_string()}),
            )
            .await;
    }
    stack.until_healthy("hold", backends.len()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_instance_gets_traffic_without_a_restart() {
    let stack = Stack::start(0).await;
    let backends = Backend::start_many("hold", 2).await;
    registered(&stack, &backends[..1]).await;
    let load = Load::start(stack.gateway_address(), "localhost", "/hold/x", 4);
    load.more(200).await;
    let spec = json!({"address": backends[1].address.to_string()});
    stack.registry().put_instance("hold", "hold-1", spec).await;
    stack.until_healthy("hold", 2).await;
    load.more(200).await;
    let report = load.finish().await;
    report.assert_no_failure();
    assert!(report.bodies["hold-1"] >= 50, "{:?}", report.bodies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_an_instance_under_load_fails_no_request() {
    let stack = Stack::start(0).await;
    let backends = Backend::start_many("hold", 3).await;
    registered(&stack, &backends).await;
    let load = Load::start(stack.gateway_address(), "localhost", "/hold/x", 8);
    load.more(300).await;
    stack.registry().delete_instance("hold", "hold-1").await;
    eventually("the gateway knows", || async {
        stack.endpoints("hold").await.len() == 2
    })
    .await;
    load.more(300).await;
    load.finish().await.assert_no_failure();

    let after = Load::start(stack.gateway_address(), "localhost", "/hold/x", 2);
    after.more(100).await;
    let report = after.finish().await;
    assert!(!report.bodies.contains_key("hold-1"), "{:?}", report.bodies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_refuses_connections_leaves_the_rotation_and_comes_back() {
    let stack = Stack::start(0).await;
    let mut backends = Backend::start_many("hold", 3).await;
    registered(&stack, &backends).await;
    let load = Load::start(stack.gateway_address(), "localhost", "/hold/x", 8);
    load.more(300).await;
    backends[1].die().await;
    load.more(300).await;
    stack.until_healthy("hold", 2).await;
    load.more(300).await;
    backends[1].revive().await;
    stack.until_healthy("hold", 3).await;
    load.more(300).await;
    load.finish().await.assert_no_failure();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_accepts_and_never_answers_leaves_the_rotation_and_comes_back() {
    let stack = Stack::start(0).await;
    let backends = Backend::start_many("hold", 3).await;
    registered(&stack, &backends).await;
    let load = Load::start(stack.gateway_address(), "localhost", "/hold/x", 6);
    load.more(200).await;
    backends[2].behave(Manner::Silent);
    stack.until_healthy("hold", 2).await;
    load.more(200).await;
    backends[2].behave(Manner::Answering);
    stack.until_healthy("hold", 3).await;
    load.more(200).await;
    load.finish().await.assert_no_failure();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_instance_stays_out_through_a_thousand_unrelated_changes() {
    let stack = Stack::start(0).await;
    let mut backends = Backend::start_many("hold", 2).await;
    registered(&stack, &backends).await;
    backends[0].die().await;
    stack.until_healthy("hold", 1).await;
    let registry = stack.registry();
    let answered_by_dead = |endpoints: &[serde_json::Value]| {
        endpoints
            .iter()
            .any(|e| e["instance"] == "hold-0" && e["health"] == "healthy")
    };
    for round in 0..500 {
        registry
            .put_service("other", json!({"version": format!("{round}")}))
            .await;
        // Its own weight counts as unrelated, too: it says nothing about its health.
        let spec = json!({"address": backends[0].address.to_string(), "weight": 1 + round % 7});
        registry.put_instance("hold", "hold-0", spec).await;
        if round % 50 == 0 {
            assert!(!answered_by_dead(&stack.endpoints("hold").await));
        }
    }
    assert!(!answered_by_dead(&stack.endpoints("hold").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_service_registers_itself_and_leaves_without_a_failed_request() {
    let mut stack = Stack::start(2).await;
    let load = Load::start(stack.gateway_address(), "localhost", "/api/name", 4);
    load.more(100).await;
    stack.start_names();
    stack.until_healthy("service-api", 3).await;
    load.more(100).await;
    stack.stop_names(0).await;
    stack.stop_names(0).await;
    assert_eq!(
        stack
            .registry()
            .instance_addresses("service-api")
            .await
            .len(),
        1
    );
    load.more(100).await;
    load.finish().await.assert_no_failure();
}
