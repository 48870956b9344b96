//! Snapshots grow out of each other: whatever the steps were, the result is what the final state says, and nothing that did not
//! change is built again or forgotten.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use catalog_api::{Deleted, Revision, Service, ServiceId, ServiceName};
use gateway::{
    config::default_routes,
    metrics::GatewayMetrics,
    snapshot::{Change, HostAddresses, Materials, Outside, Snapshot},
    upstream::{Endpoint, Endpoints, Health, NoEndpoint, Tried},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use service_kit::metrics::Metrics;

fn materials() -> Materials {
    let mut hosts = HostAddresses::default();
    hosts.learn("named.test".to_owned(), vec!["127.0.0.9".parse().unwrap()]);
    Materials {
        endpoints: Endpoints::new(None),
        hosts,
        file_routes: default_routes(),
        metrics: GatewayMetrics::new(Metrics::new("gateway", "0")),
    }
}

/// A service with these fields changed.
fn service(id: u64, revision: u64, changes: Value) -> Arc<Service> {
    let mut document = json!({
        "id": id,
        "name": format!("s{id}"),
        "revision": revision,
        "created_at": "2026-01-31T12:00:00Z",
        "updated_at": "2026-01-31T12:00:00Z",
    });
    for (key, value) in changes.as_object().unwrap() {
        document[key] = value.clone();
    }
    Arc::new(serde_json::from_value(document).unwrap())
}

fn instance(port: u16, weight: u16) -> Value {
    json!({"id": format!("i{port}"), "address": format!("127.0.0.1:{port}"), "weight": weight})
}

fn name(id: u64) -> ServiceName {
    format!("s{id}").parse().unwrap()
}

fn deleted(id: u64, revision: u64) -> Change {
    Change::Delete(Deleted {
        id: ServiceId(id),
        name: name(id),
        revision: Revision(revision),
    })
}

fn replace(revision: u64, services: &BTreeMap<u64, Arc<Service>>, keep: &[u64]) -> Change {
    Change::Replace {
        revision: Revision(revision),
        services: services.values().cloned().collect(),
        keep: keep.iter().map(|id| ServiceId(*id)).collect(),
    }
}

fn endpoint(snapshot: &Snapshot, id: u64, place: usize) -> Arc<Endpoint> {
    let pool = snapshot.pool(&name(id)).unwrap();
    Arc::clone(&pool.members()[place].endpoint)
}

/// Everything a request could notice, as text.
fn visible(snapshot: &Snapshot) -> Vec<String> {
    let services = snapshot.services().map(|service| format!("{service:?}"));
    let pools = snapshot.pools().map(|pool| {
        let members: Vec<_> = pool
            .members()
            .iter()
            .map(|member| {
                (
                    member.instance.as_str(),
                    member.weight,
                    member.status,
                    member.endpoint.key(),
                )
            })
            .collect();
        format!(
            "{} {} {:?} {members:?}",
            pool.id(),
            pool.service(),
            pool.policy()
        )
    });
    let routes = snapshot.routes().all().iter().map(|route| {
        let condition = (
            route.host(),
            route.path(),
            route.path_change(),
            route.methods(),
            route.headers(),
        );
        format!(
            "{} {condition:?} {:?} {:?}",
            route.name(),
            route.target(),
            route.owner()
        )
    });
    let revision = format!("{}", snapshot.revision());
    services
        .chain(pools)
        .chain(routes)
        .chain([revision])
        .collect()
}

fn with_file_routes() -> Outside {
    Outside {
        file_routes: true,
        ..Outside::default()
    }
}

fn from_scratch(revision: u64, services: &BTreeMap<u64, Arc<Service>>) -> Snapshot {
    let whole = replace(revision, services, &[]);
    Snapshot::default().next(vec![whole], &with_file_routes(), &mut materials())
}

// === the property ===

#[derive(Clone, Debug)]
enum Step {
    Put(u64, Value),
    Delete(u64),
    /// Everything, but without what is refused; a refused one keeps its state.
    Replace {
        gone: u64,
        refused: u64,
        back: bool,
    },
}

fn any_fields() -> impl Strategy<Value = Value> {
    let instances = prop::collection::btree_map(1u16..6, 1u16..4, 0..4);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), 0u8..3);
    (instances, flags).prop_map(|(instances, (round_robin, http, named, routes))| {
        let mut list: Vec<_> = instances
            .into_iter()
            .map(|(port, weight)| instance(port, weight))
            .collect();
        if named {
            list.push(json!({"id": "named", "address": "named.test:80"}));
        }
        let routes: Vec<_> = (0..routes)
            .map(|n| json!({"path_prefix": format!("/r{n}"), "methods": ["GET"]}))
            .collect();
        let balance = if round_robin {
            "round_robin"
        } else {
            "least_request"
        };
        let health = if http {
            json!({"path": "/h"})
        } else {
            json!({})
        };
        json!({
            "instances": list,
            "routes": routes,
            "policy": {"balance": balance, "health": health},
        })
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1u64..6, any_fields()).prop_map(|(id, fields)| Step::Put(id, fields)),
        2 => (1u64..6).prop_map(Step::Delete),
        1 => (1u64..6, 1u64..6, any::<bool>())
            .prop_map(|(gone, refused, back)| Step::Replace { gone, refused, back }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_way_to_a_state_ends_in_that_state(
        batches in prop::collection::vec(prop::collection::vec(any_step(), 1..5), 1..12),
    ) {
        let mut materials = materials();
        // Built from nothing, so that it has the operator's routes from the start.
        let mut live = from_scratch(0, &BTreeMap::new());
        let mut model = BTreeMap::new();
        let mut revision = 10;
        for batch in batches {
            let mut changes = Vec::new();
            for step in batch {
                match step {
                    Step::Put(id, fields) => {
                        revision += 1;
                        let service = service(id, revision, fields);
                        model.insert(id, Arc::clone(&service));
                        changes.push(Change::Put(service));
                    }
                    Step::Delete(id) => {
                        revision += 1;
                        model.remove(&id);
                        changes.push(deleted(id, revision));
                    }
                    Step::Replace { gone, refused, back } => {
                        revision = if back { revision.saturating_sub(3) } else { revision + 5 };
                        model.remove(&gone);
                        let understood: BTreeMap<_, _> = model
                            .iter()
                            .filter(|(id, _)| **id != refused)
                            .map(|(id, service)| (*id, Arc::clone(service)))
                            .collect();
                        // A refused one that does not exist has no last good state.
                        changes.push(replace(revision, &understood, if gone == refused { &[] } else { std::slice::from_ref(&refused) }));
                    }
                }
            }
            live = live.next(changes, &Outside::default(), &mut materials);
            prop_assert_eq!(visible(&live), visible(&from_scratch(revision, &model)));
        }
    }
}

// === what survives ===

fn two_services() -> (Snapshot, Materials) {
    let mut materials = materials();
    let services = BTreeMap::from([
        (
            1,
            service(1, 1, json!({"instances": [instance(1, 1), instance(2, 1)]})),
        ),
        (
            2,
            service(
                2,
                1,
                json!({"instances": [instance(3, 1)], "routes": [{"path_prefix": "/two"}]}),
            ),
        ),
    ]);
    let first = Snapshot::default().next(
        vec![replace(1, &services, &[])],
        &with_file_routes(),
        &mut materials,
    );
    (first, materials)
}

#[test]
fn health_and_load_survive_a_thousand_edits_of_others() {
    let (mut snapshot, mut materials) = two_services();
    let known = endpoint(&snapshot, 1, 0);
    known.observe(true);
    known.observe(false);
    known.observe(false);
    let _request = known.enter();
    let pool = Arc::clone(snapshot.pool(&name(1)).unwrap());
    let table = std::ptr::from_ref(snapshot.routes());
    for n in 0..1_000 {
        let fields = json!({
            "instances": [instance(3 + n % 7, 1 + n % 3)],
            "routes": [{"path_prefix": "/two"}],
            "tags": [format!("t{n}")],
        });
        let edit = Change::Put(service(2, 2 + u64::from(n), fields));
        snapshot = snapshot.next(vec![edit], &Outside::default(), &mut materials);
    }
    assert_eq!(snapshot.revision(), Revision(1_001));
    assert!(Arc::ptr_eq(snapshot.pool(&name(1)).unwrap(), &pool));
    assert!(std::ptr::eq(snapshot.routes(), table));
    let after = endpoint(&snapshot, 1, 0);
    assert!(Arc::ptr_eq(&after, &known));
    assert_eq!((after.health(), after.in_flight()), (Health::Unhealthy, 1));
}

#[test]
fn a_change_of_weight_or_policy_keeps_what_is_known() {
    let (mut snapshot, mut materials) = two_services();
    let known = endpoint(&snapshot, 1, 0);
    known.observe(true);
    for (revision, fields) in [
        (2, json!({"instances": [instance(1, 9), instance(2, 1)]})),
        (
            3,
            json!({"instances": [instance(1, 9)], "policy": {"balance": "round_robin"}}),
        ),
        (
            4,
            json!({"instances": [instance(1, 9)], "policy": {"health": {"interval": "5s", "unhealthy_after": 7}}}),
        ),
    ] {
        let edit = Change::Put(service(1, revision, fields));
        snapshot = snapshot.next(vec![edit], &Outside::default(), &mut materials);
        let after = endpoint(&snapshot, 1, 0);
        assert!(Arc::ptr_eq(&after, &known), "revision {revision}");
        assert_eq!(after.health(), Health::Healthy);
    }
    assert_eq!(known.check().unhealthy_after, 7);
    assert_eq!(snapshot.pool(&name(1)).unwrap().members()[0].weight, 9);
}

#[test]
fn another_question_is_another_endpoint() {
    let (snapshot, mut materials) = two_services();
    let known = endpoint(&snapshot, 1, 0);
    known.observe(true);
    let fields = json!({"instances": [instance(1, 1)], "policy": {"health": {"path": "/other"}}});
    let edit = Change::Put(service(1, 2, fields));
    let next = snapshot.next(vec![edit], &Outside::default(), &mut materials);
    let after = endpoint(&next, 1, 0);
    assert!(!Arc::ptr_eq(&after, &known));
    assert_eq!(after.health(), Health::Unknown);
}

#[test]
fn another_question_has_the_load_of_the_same_address() {
    let (snapshot, mut materials) = two_services();
    let known = endpoint(&snapshot, 1, 0);
    let request = known.enter();
    let fields = json!({"instances": [instance(1, 1)], "policy": {"health": {"path": "/other"}}});
    let edit = Change::Put(service(1, 2, fields));
    let next = snapshot.next(vec![edit], &Outside::default(), &mut materials);
    let after = endpoint(&next, 1, 0);
    let _another = after.enter();
    assert_eq!((known.in_flight(), after.in_flight()), (2, 2));
    drop(request);
    assert_eq!(after.in_flight(), 1);
}

#[test]
fn whoever_picks_late_gets_nobody_that_drains() {
    let (first, mut materials) = two_services();
    let old = Arc::clone(first.pool(&name(1)).unwrap());
    endpoint(&first, 1, 0).observe(true);
    let picks = |wanted: &str| {
        for _ in 0..20 {
            let picked = old.pick(&Tried::default()).unwrap();
            assert_eq!(picked.endpoint().address().to_string(), wanted);
        }
    };
    picks("127.0.0.1:1");
    let draining = |mut instance: Value| {
        instance["status"] = "draining".into();
        instance
    };
    // A new one is there, and the only one that was healthy drains.
    let instances = [draining(instance(1, 1)), instance(2, 1)];
    let edit = Change::Put(service(1, 2, json!({ "instances": instances })));
    let next = first.next(vec![edit], &Outside::default(), &mut materials);
    picks("127.0.0.1:2");
    assert_eq!(endpoint(&next, 1, 0).load().draining(), Default::default());
    // When everybody drains, one of those is better than nobody; but new requests get none.
    let instances = [draining(instance(1, 1)), draining(instance(2, 1))];
    let edit = Change::Put(service(1, 3, json!({ "instances": instances })));
    let last = next.next(vec![edit], &Outside::default(), &mut materials);
    picks("127.0.0.1:1");
    let pool = last.pool(&name(1)).unwrap();
    assert_eq!(pool.pick(&Tried::default()).unwrap_err(), NoEndpoint::Empty);
    // Another instance at the same address goes on getting requests.
    let mut twin = instance(1, 1);
    twin["id"] = "twin".into();
    let instances = [draining(instance(1, 1)), twin];
    let edit = Change::Put(service(1, 4, json!({ "instances": instances })));
    let shared = last.next(vec![edit], &Outside::default(), &mut materials);
    assert!(!endpoint(&shared, 1, 0).load().is_leaving());
}

#[test]
fn a_catalog_restored_from_a_backup_is_the_catalog() {
    let (snapshot, mut materials) = two_services();
    let newer = Change::Put(service(3, 500, json!({})));
    let snapshot = snapshot.next(vec![newer], &Outside::default(), &mut materials);
    let old = BTreeMap::from([(1, service(1, 1, json!({"instances": [instance(1, 1)]})))]);
    let known = endpoint(&snapshot, 1, 0);
    let restored = snapshot.next(
        vec![replace(4, &old, &[])],
        &Outside::default(),
        &mut materials,
    );
    assert_eq!(restored.revision(), Revision(4));
    assert_eq!(restored.services().len(), 1);
    assert!(Arc::ptr_eq(&endpoint(&restored, 1, 0), &known));
}

#[test]
fn a_refused_entry_keeps_its_last_good_state() {
    let (snapshot, mut materials) = two_services();
    let pool = Arc::clone(snapshot.pool(&name(2)).unwrap());
    let understood = BTreeMap::from([(1, service(1, 9, json!({})))]);
    let whole = replace(9, &understood, &[2, 77]);
    let next = snapshot.next(vec![whole], &Outside::default(), &mut materials);
    assert!(Arc::ptr_eq(next.pool(&name(2)).unwrap(), &pool));
    assert_eq!(next.services().len(), 2);
    assert!(next.pool(&name(1)).unwrap().members().is_empty());
}

#[test]
fn a_service_created_again_under_its_old_name_gets_its_own_pool() {
    let (snapshot, mut materials) = two_services();
    let again = service(8, 3, json!({"name": "s1", "instances": [instance(1, 1)]}));
    // Told in the wrong order, as a stream that merges changes may do.
    let again = vec![Change::Put(again)];
    let both = snapshot.next(again, &Outside::default(), &mut materials);
    let next = both.next(vec![deleted(1, 2)], &Outside::default(), &mut materials);
    assert_eq!(next.pool(&name(1)).unwrap().id(), ServiceId(8));
    let (other, mut materials) = two_services();
    let second = vec![Change::Put(service(8, 3, json!({"name": "s1"})))];
    let twice = other.next(second, &Outside::default(), &mut materials);
    let first_again = twice.next(vec![deleted(8, 4)], &Outside::default(), &mut materials);
    let pool = first_again.pool(&name(1)).unwrap();
    assert_eq!((pool.id(), pool.members().len()), (ServiceId(1), 2));
}

#[test]
fn an_address_that_became_known_brings_its_instances() {
    let mut materials = materials();
    let fields = json!({"instances": [{"id": "a", "address": "late.test:80"}]});
    let put = Change::Put(service(1, 1, fields));
    let first = Snapshot::default().next(vec![put], &Outside::default(), &mut materials);
    assert!(first.pool(&name(1)).unwrap().members().is_empty());
    let addresses = ["127.0.0.2", "127.0.0.3"].map(|text| text.parse().unwrap());
    materials
        .hosts
        .learn("late.test".to_owned(), addresses.to_vec());
    let resolved = Outside {
        hosts: BTreeSet::from(["late.test".to_owned()]),
        ..Outside::default()
    };
    let next = first.next(Vec::new(), &resolved, &mut materials);
    let members = next.pool(&name(1)).unwrap().members();
    let found: Vec<_> = members
        .iter()
        .map(|member| member.endpoint.address().to_string())
        .collect();
    assert_eq!(found, ["127.0.0.2:80", "127.0.0.3:80"]);
}
