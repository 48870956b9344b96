//! One script over the platform scaled out: two catalogs, two gateways and three name services as processes on PostgreSQL and Redis, and
//! everything that can fail does so in turn, under load. After each fault the whole must be as good as before, without anybody's help.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::{task::block_in_place, time::Instant};

use crate::support::{
    backend::Backend,
    eventually,
    fleet::{Fleet, Replica, field},
    load::Load,
    strict::Strict,
};

const NAMES: &str = "service-api";

/// Requests of each gateway that have to go well after a fault.
const REQUESTS: usize = 300;

/// Longer than the lease of the name services.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(3);

fn load(gateway: &Replica) -> Load {
    Load::start(gateway.address, "localhost", "/api/name", 4)
}

async fn more(loads: &[Load]) {
    for load in loads {
        load.more(REQUESTS).await;
    }
}

/// A service that was published is reached through both gateways at once: nothing is polled.
async fn is_reached(fleet: &Fleet, name: &str) {
    for gateway in &fleet.gateways {
        let path = format!("/{name}/");
        let answer = Strict::new(gateway.address).get(&path).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "backend"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_requests_go_on_and_the_rest_heals_itself() {
    let mut fleet = block_in_place(|| Fleet::start(3));
    let backend = Backend::start("backend").await;
    fleet.until_healthy(NAMES, 3).await;
    let [first, second] = &fleet.gateways;
    let loads = [load(first), load(second)];
    more(&loads).await;
    fleet.catalogs[0].publish("before", backend.address).await;
    is_reached(&fleet, "before").await;

    a_name_service_is_killed(&mut fleet, &loads).await;
    a_catalog_is_killed(&mut fleet, &loads, &backend).await;
    the_database_is_killed(&mut fleet, &loads, &backend).await;
    redis_is_killed(&mut fleet, &loads, &backend).await;
    let [stays, of_the_killed] = loads;
    of_the_killed.finish().await.assert_no_failure();
    a_gateway_is_killed(&mut fleet, &stays, &backend).await;
    let loads = [stays, load(&fleet.gateways[1])];
    everything_is_replaced(&mut fleet, &loads).await;
    fleet.catalogs[1].publish("after", backend.address).await;
    is_reached(&fleet, "after").await;
    for load in loads {
        load.finish().await.assert_no_failure();
    }
}

#[expect(clippy::print_stdout, reason = "measured, and asserted by nobody")]
async fn a_name_service_is_killed(fleet: &mut Fleet, loads: &[Load]) {
    fleet.names.remove(1).kill();
    let killed = Instant::now();
    fleet.until_out_of_rotation(NAMES, 2).await;
    println!("out of rotation after {:?}", killed.elapsed());
    more(loads).await;
    // And out of the catalog, which both gateways hear.
    fleet.until_healthy(NAMES, 2).await;
    block_in_place(|| fleet.start_names());
    fleet.until_healthy(NAMES, 3).await;
}

async fn a_catalog_is_killed(fleet: &mut Fleet, loads: &[Load], backend: &Backend) {
    fleet.catalogs[0].kill();
    more(loads).await;
    // The gateway that followed it follows the other one, so a write waits for both of them there.
    fleet.until_connected().await;
    fleet.catalogs[1]
        .publish("meanwhile", backend.address)
        .await;
    is_reached(fleet, "meanwhile").await;
    // Name services renew at the other one: nobody is lost while their leases would have run out.
    let begun = Instant::now();
    while begun.elapsed() < LONGER_THAN_A_LEASE {
        let addresses = fleet.catalogs[1].registry().instance_addresses(NAMES).await;
        assert_eq!(addresses.len(), 3);
    }
    block_in_place(|| fleet.catalogs[0].start());
    converged(fleet).await;
    more(loads).await;
}

async fn the_database_is_killed(fleet: &mut Fleet, loads: &[Load], backend: &Backend) {
    block_in_place(|| fleet.database.kill());
    let begun = Instant::now();
    for catalog in &fleet.catalogs {
        let registry = catalog.registry();
        eventually("the catalog says that it is stale", || async {
            let report = registry.text("/readyz?verbose").await;
            report.contains("stale since")
        })
        .await;
        let spec = json!({"name": "refused"});
        let write = registry.send(Method::PUT, "/services/refused", Some(&spec));
        let answer = write.await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!field(&answer, "retry-after").is_empty());
    }
    // Longer than a lease: nobody is called dead by somebody who cannot know.
    while begun.elapsed() < LONGER_THAN_A_LEASE {
        for catalog in &fleet.catalogs {
            let addresses = catalog.registry().instance_addresses(NAMES).await;
            assert_eq!(addresses.len(), 3);
        }
        more(loads).await;
    }
    block_in_place(|| fleet.database.restart());
    for catalog in &fleet.catalogs {
        let registry = catalog.registry();
        eventually("the catalog writes again", || async {
            let spec = json!({"name": "accepted"});
            let write = registry.send(Method::PUT, "/services/accepted", Some(&spec));
            write.await.status().is_success()
        })
        .await;
        // It can write a moment before it notices that it could not.
        eventually("the catalog says that it is up to date", || async {
            let report = registry.text("/readyz?verbose").await;
            !report.contains("stale since")
        })
        .await;
    }
    converged(fleet).await;
    fleet.until_healthy(NAMES, 3).await;
    fleet.catalogs[0].publish("again", backend.address).await;
    is_reached(fleet, "again").await;
}

async fn redis_is_killed(fleet: &mut Fleet, loads: &[Load], backend: &Backend) {
    call(fleet, "before").await;
    for catalog in &fleet.catalogs {
        shows(catalog, "shared", &["/before-0", "/before-1"]).await;
    }
    block_in_place(|| fleet.redis.kill());
    call(fleet, "during").await;
    for (index, catalog) in fleet.catalogs.iter().enumerate() {
        // Each shows what it knows itself, and says so.
        shows(catalog, "process", &[&format!("/during-{index}")]).await;
        let registry = catalog.registry();
        let ready = registry.send(Method::GET, "/readyz?verbose", None).await;
        assert_eq!(ready.status(), StatusCode::OK);
        let report = String::from_utf8_lossy(ready.body());
        assert!(report.contains("Redis is away"), "{report}");
    }
    more(loads).await;
    let [catalog, _] = &fleet.catalogs;
    catalog.publish("without-redis", backend.address).await;
    is_reached(fleet, "without-redis").await;
    block_in_place(|| fleet.redis.restart());
    for catalog in &fleet.catalogs {
        // Nothing of what happened meanwhile is missing. What was before is gone with Redis.
        shows(catalog, "shared", &["/during-0", "/during-1"]).await;
        let registry = catalog.registry();
        eventually("the catalog says that Redis is back", || async {
            let report = registry.text("/readyz?verbose").await;
            !report.contains("Redis is away")
        })
        .await;
    }
    call(fleet, "after").await;
    for catalog in &fleet.catalogs {
        shows(catalog, "shared", &["/after-0", "/after-1"]).await;
    }
    more(loads).await;
}

/// A call through each catalog, under a name of its own.
async fn call(fleet: &Fleet, mark: &str) {
    for (index, catalog) in fleet.catalogs.iter().enumerate() {
        let path = format!("/services/call/before/{mark}-{index}");
        assert_eq!(catalog.registry().text(&path).await, "backend");
    }
}

/// Waits until a catalog has the calls of these names in its log, which is its own or the one of all.
async fn shows(catalog: &Replica, scope: &str, endpoints: &[&str]) {
    let registry = catalog.registry();
    eventually(&format!("{endpoints:?} is in the log, {scope}"), || async {
        let log = registry.get("/services/logs").await;
        let calls = log["calls"].as_array().unwrap();
        let has = |endpoint: &&str| calls.iter().any(|call| call["endpoint"] == **endpoint);
        log["scope"] == scope && endpoints.iter().all(has)
    })
    .await;
}

async fn a_gateway_is_killed(fleet: &mut Fleet, other: &Load, backend: &Backend) {
    fleet.gateways[1].kill();
    // It takes its stream with it, so nobody waits for it.
    let catalog = &fleet.catalogs[1];
    catalog.publish("without", backend.address).await;
    other.more(REQUESTS).await;
    block_in_place(|| fleet.gateways[1].start());
    fleet.until_healthy(NAMES, 3).await;
    fleet.until_connected().await;
    is_reached(fleet, "without").await;
    let catalog = &fleet.catalogs[1];
    catalog.publish("with", backend.address).await;
    is_reached(fleet, "with").await;
}

/// One after the other, as an upgrade does.
async fn everything_is_replaced(fleet: &mut Fleet, loads: &[Load]) {
    for _ in 0..3 {
        block_in_place(|| fleet.start_names());
        fleet.until_healthy(NAMES, 4).await;
        block_in_place(|| fleet.names.remove(0).stop());
        fleet.until_healthy(NAMES, 3).await;
        more(loads).await;
    }
    for index in 0..2 {
        block_in_place(|| fleet.catalogs[index].stop());
        more(loads).await;
        block_in_place(|| fleet.catalogs[index].start());
        fleet.until_connected().await;
        converged(fleet).await;
    }
}

/// Both catalogs have one view.
async fn converged(fleet: &Fleet) {
    let [one, other] = fleet.catalogs.each_ref().map(Replica::registry);
    eventually("both catalogs are one", || async {
        one.get("/services").await == other.get("/services").await
    })
    .await;
}
