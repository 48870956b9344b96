//! Changes of the catalog while clients are there: nobody notices one that does not concern them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use crate::harness::{Backend, Connection, Rig, eventually, instance, request, service, with};

/// Clients on kept connections; counts what they got until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(rig: &Rig, target: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let clients = (0..4)
            .map(|_| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                let address = rig.address();
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    let mut client = Connection::open(address).await.unwrap();
                    while !stop.load(Ordering::SeqCst) {
                        client.send(request("GET", target, &[], "")).await.unwrap();
                        match client.response().await {
                            Ok(answer) if answer.status() == 200 => {}
                            other => {
                                failures.push(format!("{other:?}"));
                                client = Connection::open(address).await.unwrap();
                            }
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    failures
                })
            })
            .collect();
        Self {
            stop,
            answered,
            clients,
        }
    }

    async fn goes_on(&self) {
        let more = self.answered.load(Ordering::SeqCst) + 8;
        eventually("requests are answered", async || {
            self.answered.load(Ordering::SeqCst) >= more
        })
        .await;
    }

    async fn failures(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        failures
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_changes_of_instances_under_load_cost_no_request() {
    let rig = Rig::start().await;
    let mut backends = Vec::new();
    for name in ["a", "b", "c", "d"] {
        backends.push(Backend::start(name).await);
    }
    rig.put(service("hold", &backends.iter().collect::<Vec<_>>()))
        .await;
    let load = Load::start(&rig, "/hold/");
    load.goes_on().await;
    // A fixed sequence that looks random: multiplicative congruence modulo a prime (Lehmer, 1949).
    let mut draw = 42_u64;
    for _ in 0..500 {
        draw = draw * 48_271 % 2_147_483_647;
        let chosen: Vec<Value> = backends
            .iter()
            .enumerate()
            .filter(|(place, _)| draw >> place & 1 == 1 || draw % 4 == *place as u64)
            .map(|(place, backend)| instance(backend, 1 + (draw >> (8 + 2 * place)) as u16 % 4))
            .collect();
        let balance = if draw & 64 == 0 {
            "round_robin"
        } else {
            "least_request"
        };
        let changed = with(service("hold", &[]), "instances", json!(chosen));
        rig.apply(with(changed, "policy/balance", json!(balance)))
            .await;
    }
    load.goes_on().await;
    assert_eq!(load.failures().await, [""; 0]);
    assert!(backends.iter().all(|backend| backend.hits() > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_every_instance_one_after_the_other_costs_no_request() {
    let rig = Rig::start().await;
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for name in ["a", "b", "c"] {
        old.push(Backend::start(name).await);
        new.push(Backend::start(&format!("{name}-new")).await);
    }
    rig.put(service("hold", &old.iter().collect::<Vec<_>>()))
        .await;
    let load = Load::start(&rig, "/hold/");
    for done in 1..=3 {
        let mixed: Vec<_> = new[..done].iter().chain(&old[done..]).collect();
        rig.apply(service("hold", &mixed)).await;
        // Out of the catalog first, then down: what a service does that deregisters before it stops.
        let leaving = &old[done - 1];
        eventually("it has finished what it had", async || {
            let seen = leaving.hits();
            load.goes_on().await;
            leaving.hits() == seen
        })
        .await;
        leaving.refuse().await;
        load.goes_on().await;
    }
    assert_eq!(load.failures().await, [""; 0]);
}

#[tokio::test]
async fn a_deleted_service_is_gone_from_routes_and_metrics() {
    let rig = Rig::without_file_routes().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    assert_eq!(rig.get("/hold/").await.status(), 200);
    rig.delete("hold").await;
    assert_eq!(rig.get("/hold/").await.status(), 404);
    eventually("no series names it", async || {
        !rig.admin("/metrics").await.text().contains("hold")
    })
    .await;
    rig.put(service("hold", &[&backend])).await;
    assert_eq!(rig.get("/hold/").await.status(), 200);
    let series = r#"gateway_requests_total{method="GET",route="hold:/hold/",status_class="2xx"}"#;
    assert_eq!(rig.metric(series).await, Some(1.0));
}

#[tokio::test]
async fn a_deleted_service_of_an_operators_route_is_a_503() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(with(
        service("service-api", &[&backend]),
        "routes",
        json!([]),
    ))
    .await;
    assert_eq!(rig.get("/api/").await.status(), 200);
    rig.delete("service-api").await;
    let answer = rig.get("/api/").await;
    assert_eq!(
        (answer.status(), answer.header("retry-after")),
        (503, Some("2"))
    );
}

#[tokio::test]
async fn a_refused_entry_keeps_its_last_good_state_and_is_named() {
    let rig = Rig::start().await;
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    rig.put(service("hold", &[&a])).await;
    let bad = with(service("hold", &[&b]), "policy/balance", json!("magic"));
    rig.catalog.put(bad);
    rig.put(service("other", &[&b])).await;
    assert_eq!(rig.get("/hold/").await.text(), "a");
    assert_eq!(rig.get("/other/").await.text(), "b");
    assert_eq!(rig.metric("gateway_config_rejected_total").await, Some(1.0));
    let ready = rig.admin("/readyz?verbose").await;
    assert_eq!(ready.status(), 200);
    assert!(
        ready.text().contains("hold") && ready.text().contains("magic"),
        "{}",
        ready.text()
    );
    // The same as part of a snapshot.
    rig.catalog.hang_up();
    eventually("it is back", async || {
        rig.metric("gateway_config_rejected_total").await == Some(2.0)
    })
    .await;
    assert_eq!(rig.get("/hold/").await.text(), "a");
    rig.put(service("hold", &[&b])).await;
    assert_eq!(rig.get("/hold/").await.text(), "b");
    let ready = rig.admin("/readyz?verbose").await;
    assert!(!ready.text().contains("magic"), "{}", ready.text());
}

#[tokio::test]
async fn an_instance_may_be_a_host_name() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let named = json!([{"id": "b", "address": format!("localhost:{}", backend.address().port())}]);
    // A name may also have addresses on which nobody listens; they are checked and left out.
    rig.apply(with(service("hold", &[]), "instances", named))
        .await;
    eventually("the name is resolved", async || {
        rig.health("hold", &backend) == Some(gateway::upstream::Health::Healthy)
    })
    .await;
    assert_eq!(rig.get("/hold/").await.text(), "b");
}

#[tokio::test]
async fn reloaded_routes_of_the_operator_take_effect() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    assert_eq!(rig.get("/metrics").await.status(), 200);
    rig.gateway.reload(Ok(Vec::new())).await;
    eventually("the built-in route is gone", async || {
        rig.get("/metrics").await.status() == 404
    })
    .await;
    // Twice in one breath: the second says nothing new.
    rig.gateway
        .reload(Ok(gateway::config::default_routes()))
        .await;
    rig.gateway
        .reload(Ok(gateway::config::default_routes()))
        .await;
    eventually("the built-in route is back", async || {
        rig.get("/metrics").await.status() == 200
    })
    .await;
    assert_eq!(rig.get("/hold/").await.status(), 200);
}
