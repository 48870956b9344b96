//! Whatever is written: a watcher that only folds events ends with what `GET /services` answers.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{Harness, Watch};

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

#[derive(Clone, Debug)]
enum Step {
    Put(usize, u8),
    Delete(usize),
    PutInstance(usize, u8, u16),
    DeleteInstance(usize, u8),
    /// The watcher loses its connection and resumes.
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..NAMES.len();
    let step = prop_oneof![
        3 => (name.clone(), 0..3u8).prop_map(|(n, v)| Step::Put(n, v)),
        2 => name.clone().prop_map(Step::Delete),
        4 => (name.clone(), 0..3u8, 1..4u16).prop_map(|(n, i, p)| Step::PutInstance(n, i, p)),
        2 => (name, 0..3u8).prop_map(|(n, i)| Step::DeleteInstance(n, i)),
        1 => Just(Step::Reconnect),
    ];
    proptest::collection::vec(step, 1..40)
}

#[derive(Default)]
struct Folded {
    revision: u64,
    services: BTreeMap<u64, Value>,
}

impl Folded {
    async fn fold(&mut self, watch: &mut Watch) {
        let (kind, id, data) = watch.next().await;
        assert!(
            id > self.revision || kind == "snapshot",
            "{kind} {id} after {}",
            self.revision
        );
        self.revision = id;
        match kind.as_str() {
            "snapshot" => {
                let services = data["services"].as_array().unwrap().iter();
                self.services = services
                    .map(|s| (s["id"].as_u64().unwrap(), s.clone()))
                    .collect();
            }
            "service" => {
                self.services.insert(data["id"].as_u64().unwrap(), data);
            }
            "deleted" => {
                // It may never have been heard of: created and deleted while this watcher was away.
                self.services.remove(&data["id"].as_u64().unwrap());
            }
            other => panic!("{other}"),
        }
    }
}

async fn write(catalog: &Harness, step: &Step) {
    match *step {
        Step::Put(n, version) => {
            let body = json!({"name": NAMES[n], "version": version.to_string()});
            catalog.put(&format!("/services/{}", NAMES[n]), body).await;
        }
        Step::Delete(n) => {
            catalog.delete(&format!("/services/{}", NAMES[n])).await;
        }
        Step::PutInstance(n, instance, port) => {
            let path = format!("/services/{}/instances/i-{instance}", NAMES[n]);
            catalog
                .put(
                    &path,
                    json!({"address": format!("127.0.0.1:{port}"), "ttl": "60s"}),
                )
                .await;
        }
        Step::DeleteInstance(n, instance) => {
            catalog
                .delete(&format!("/services/{}/instances/i-{instance}", NAMES[n]))
                .await;
        }
        Step::Reconnect => {}
    }
}

async fn converges(catalog: &Harness, steps: &[Step]) {
    let mut folded = Folded::default();
    let mut watch = catalog.watch("").await;
    folded.fold(&mut watch).await;
    for step in steps {
        write(catalog, step).await;
        if matches!(step, Step::Reconnect) {
            watch = catalog.watch(&format!("?since={}", folded.revision)).await;
        }
    }
    let answer = catalog.get("/services").await.json();
    while folded.revision < answer["revision"].as_u64().unwrap() {
        folded.fold(&mut watch).await;
    }
    let services: Vec<_> = folded.services.into_values().collect();
    assert_eq!(json!(services), answer["services"]);
    let again = catalog.get("/services").await.json();
    assert_eq!(again, answer);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn folded_events_equal_the_list(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let catalog = Harness::start().await;
            converges(&catalog, &steps).await;
            assert!(catalog.stop().await.0.finished);
        });
    }
}
