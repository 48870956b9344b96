//! Instances that leave slowly, with real gateways: the drain is over when the last request is, and its answer says how many there were.

use http::Method;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, block_in_place};

use crate::support::{
    backend::{Backend, Manner},
    eventually,
    fleet::Fleet,
    registry::Registry,
    stack::Stack,
    strict::Strict,
};

/// Longer than any test waits.
const LONG: &str = "10m";

/// A service on `/hold/` whose health does not depend on its answers.
fn hold() -> Value {
    json!({
        "routes": [{"path_prefix": "/hold/"}],
        "policy": {"health": {"kind": "tcp", "interval": "200ms"}},
    })
}

async fn registered(registry: &Registry, backend: &Backend) {
    registry.put_service("hold", hold()).await;
    let spec = json!({"address": backend.address.to_string()});
    registry.put_instance("hold", &backend.name, spec).await;
}

/// A request that waits until its backend answers.
fn held(gateway: std::net::SocketAddr) -> JoinHandle<String> {
    tokio::spawn(async move {
        let answer = Strict::new(gateway).get("/hold/").await.unwrap();
        assert_eq!(answer.status, 200);
        answer.body
    })
}

/// Waits until so many requests are with the endpoints of the service at a gateway.
async fn in_flight(operator: &Registry, count: u64) {
    eventually("the requests are with the instance", || async {
        let table = operator.get("/routes").await;
        let services = table["services"].as_array().unwrap().iter();
        let mut found = services.filter(|entry| entry["name"] == "hold");
        found
            .next()
            .is_some_and(|entry| entry["in_flight"] == count)
    })
    .await;
}

/// A fleet whose first gateway has a request with the instance.
async fn with_a_request() -> (Fleet, Backend, JoinHandle<String>) {
    let fleet = block_in_place(|| Fleet::start(0));
    let backend = Backend::start("a").await;
    registered(&fleet.catalogs[0].registry(), &backend).await;
    fleet.until_healthy("hold", 1).await;
    backend.behave(Manner::Silent);
    let request = held(fleet.gateways[0].address);
    in_flight(&fleet.gateways[0].operator(), 1).await;
    (fleet, backend, request)
}

/// Waits until a gateway knows that the instance drains: what ends before that is nothing to count.
async fn knows(operator: &Registry) {
    eventually("the gateway knows", || async {
        operator.text("/routes").await.contains("draining")
    })
    .await;
}

async fn everybody_knows(fleet: &Fleet) {
    for gateway in &fleet.gateways {
        knows(&gateway.operator()).await;
    }
}

async fn drains(registry: &Registry) {
    eventually("it drains", || async {
        let service = registry.get("/services/hold").await;
        service["instances"][0]["status"] == "draining"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_over_with_its_last_request() {
    let stack = Stack::start(0).await;
    let (registry, operator) = (stack.registry(), stack.operator());
    let backend = Backend::start("a").await;
    registered(&registry, &backend).await;
    stack.until_healthy("hold", 1).await;
    backend.behave(Manner::Silent);
    let requests = [held(stack.gateway_address()), held(stack.gateway_address())];
    in_flight(&operator, 2).await;
    let draining = async { registry.drain("hold", "a", LONG).await };
    let releasing = async {
        drains(&registry).await;
        knows(&operator).await;
        // Another question of the health check is another endpoint, but the requests are with the same process.
        let mut changed = hold();
        changed["policy"]["health"] = json!({"kind": "http", "path": "/other"});
        registry.put_service("hold", changed).await;
        in_flight(&operator, 2).await;
        assert_eq!(registry.instance_addresses("hold").await.len(), 1);
        backend.behave(Manner::Answering);
    };
    let (report, ()) = tokio::join!(draining, releasing);
    assert_eq!(report["outcome"], "finished", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(2), &json!(0))
    );
    assert!(registry.instance_addresses("hold").await.is_empty());
    for request in requests {
        assert_eq!(request.await.unwrap(), "a");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_when_the_time_is_over_is_said() {
    let stack = Stack::start(0).await;
    let registry = stack.registry();
    let backend = Backend::start("a").await;
    registered(&registry, &backend).await;
    stack.until_healthy("hold", 1).await;
    backend.behave(Manner::Silent);
    let request = held(stack.gateway_address());
    in_flight(&stack.operator(), 1).await;
    let report = registry.drain("hold", "a", "1s").await;
    assert_eq!(report["outcome"], "time_over", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(report["unknown"], json!([]));
    // It is not the catalog that cuts it.
    backend.behave(Manner::Answering);
    assert_eq!(request.await.unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gateway_of_every_catalog_is_waited_for() {
    let fleet = block_in_place(|| Fleet::start(0));
    let registries = fleet.catalogs.each_ref().map(|catalog| catalog.registry());
    let backend = Backend::start("a").await;
    registered(&registries[0], &backend).await;
    fleet.until_healthy("hold", 1).await;
    backend.behave(Manner::Silent);
    let gateways = fleet.gateways.each_ref();
    let requests = gateways.map(|gateway| held(gateway.address));
    for gateway in gateways {
        in_flight(&gateway.operator(), 1).await;
    }
    // The catalogs pass calls on, too.
    let caller = registries[1].clone();
    let called = tokio::spawn(async move {
        let answer = caller.send(Method::GET, "/services/call/hold/", None).await;
        answer.status()
    });
    eventually("the call is there", || async { backend.waiting() == 3 }).await;
    let releasing = async {
        drains(&registries[1]).await;
        everybody_knows(&fleet).await;
        backend.behave(Manner::Answering);
    };
    let (report, ()) = tokio::join!(registries[0].drain("hold", "a", LONG), releasing);
    assert_eq!(report["outcome"], "finished", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(called.await.unwrap(), 200);
    for request in requests {
        assert_eq!(request.await.unwrap(), "a");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dies_leaves_its_requests_unknown() {
    let (mut fleet, _backend, request) = with_a_request().await;
    let registry = fleet.catalogs[0].registry();
    let draining = tokio::spawn({
        let registry = registry.clone();
        // Longer than a catalog that has just started waits for gateways to come back.
        async move { registry.drain("hold", "a", "9s").await }
    });
    drains(&registry).await;
    everybody_knows(&fleet).await;
    block_in_place(|| fleet.gateways[0].kill());
    request.abort();
    let report = draining.await.unwrap();
    assert_eq!(report["outcome"], "time_over", "{report}");
    assert_eq!(report["unknown_count"], 1, "{report}");
    assert!(report["seconds"].as_f64().unwrap() >= 9.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_says_that_it_has_finished() {
    let (mut fleet, backend, request) = with_a_request().await;
    let registry = fleet.catalogs[0].registry();
    let draining = tokio::spawn({
        let registry = registry.clone();
        async move { registry.drain("hold", "a", LONG).await }
    });
    everybody_knows(&fleet).await;
    let releasing = async {
        eventually("the gateway stops", || async {
            let stopped = fleet.gateways[0].is_accepting().await;
            !stopped
        })
        .await;
        backend.behave(Manner::Answering);
    };
    fleet.gateways[0].terminate();
    releasing.await;
    block_in_place(|| fleet.gateways[0].until_ended());
    assert_eq!(request.await.unwrap(), "a");
    let report = draining.await.unwrap();
    assert_eq!(report["outcome"], "finished", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(1), &json!(0))
    );
}
