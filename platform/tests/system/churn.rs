//! Changes under load.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::support::{backend::Backend, eventually, load::Load, stack::Stack};

const SERVICES: [&str; 3] = ["red", "green", "blue"];
const CHANGES: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_random_registrations_and_removals_fail_no_request_and_end_equal() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let stack = Stack::start(1).await;
    let registry = stack.registry();
    let backends = Backend::start_many("b", 8).await;
    // Which backends each service has; never none, so that every request can be answered.
    let mut members: BTreeMap<&str, BTreeMap<usize, u64>> = BTreeMap::new();
    for service in SERVICES {
        registry
            .put_service(
                service,
                json!({"routes": [{"path_prefix": format!("/{service}/")}]}),
            )
            .await;
        let first = members.entry(service).or_default();
        first.insert(0, 1);
        registry
            .put_instance(
                service,
                "b-0",
                json!({"address": backends[0].address.to_string()}),
            )
            .await;
        stack.until_healthy(service, 1).await;
    }
    let loads: Vec<_> = SERVICES
        .iter()
        .map(|service| {
            Load::start(
                stack.gateway_address(),
                "localhost",
                &format!("/{service}/x"),
                2,
            )
        })
        .collect();

    for _ in 0..CHANGES {
        let service = *SERVICES.choose(&mut random).unwrap();
        let index = random.random_range(0..backends.len());
        let present = members.get_mut(service).unwrap();
        if present.contains_key(&index) && present.len() > 1 && random.random_bool(0.6) {
            present.remove(&index);
            registry
                .delete_instance(service, &format!("b-{index}"))
                .await;
        } else {
            let weight = random.random_range(1..=5);
            present.insert(index, weight);
            let spec = json!({"address": backends[index].address.to_string(), "weight": weight});
            registry
                .put_instance(service, &format!("b-{index}"), spec)
                .await;
        }
    }

    for service in SERVICES {
        let wanted: BTreeMap<String, u64> = members[service]
            .iter()
            .map(|(index, weight)| (backends[*index].address.to_string(), *weight))
            .collect();
        eventually("gateway, catalog and model agree", || async {
            let from_gateway = weights(&stack.endpoints(service).await);
            let from_catalog = weights(
                registry.get(&format!("/services/{service}")).await["instances"]
                    .as_array()
                    .unwrap(),
            );
            from_gateway == wanted && from_catalog == wanted
        })
        .await;
    }
    let catalog_revision = registry.get("/services").await["revision"].clone();
    eventually("the gateway is at the newest revision", || async {
        let table: Value = serde_json::from_str(&stack.admin("/routes").await.1).unwrap();
        table["revision"] == catalog_revision
    })
    .await;
    for load in loads {
        load.finish().await.assert_no_failure();
    }
}

fn weights(endpoints: &[Value]) -> BTreeMap<String, u64> {
    endpoints
        .iter()
        .map(|endpoint| {
            (
                endpoint["address"].as_str().unwrap().to_owned(),
                endpoint["weight"].as_u64().unwrap(),
            )
        })
        .collect()
}
