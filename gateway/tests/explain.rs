//! `/explain` against the path that requests take: on 100,000 generated requests over generated route tables, it names the route that
//! they get, or the reason for which they get none, and changes nothing by that.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{net::SocketAddr, sync::Arc};

use catalog_api::{Revision, Service, ServiceName};
use gateway::{
    Limits,
    admin::explain::{Explainer, Explanation, Listener, Question},
    metrics::GatewayMetrics,
    proxy::{Admission, Arrival, Decision, Entrances, RateLimiter},
    route::{NoRoute, RequestView, Route, RouteTable},
    snapshot::{Change, HostAddresses, Materials, Outside, Snapshot},
    upstream::{Endpoints, Pool, Tried},
};
use http::HeaderMap;
use pingora_http::RequestHeader;
use proptest::prelude::*;
use serde_json::{Value, json};
use service_kit::metrics::Metrics;

const TABLES: u32 = 500;
const REQUESTS_PER_TABLE: usize = 200;
/// Asking every route alone takes longer than all the rest.
const NARRATION_EVERY: usize = 10;

/// What requests meet on the way they take: the name of the route or the reason for a refusal, and the pool behind it.
#[derive(Debug)]
struct Met {
    route: Option<String>,
    reason: Option<&'static str>,
    location: Option<String>,
    upstream_target: Option<String>,
    pool: Option<Arc<Pool>>,
    picked: Option<SocketAddr>,
}

fn listener() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 80))
}

fn admission() -> Arc<Admission> {
    Arc::new(Admission {
        entrances: Entrances::new(Vec::new()),
        trusted_proxies: Vec::new(),
        redirect: None,
        target_bytes_max: 64,
    })
}

fn explainer(admission: &Arc<Admission>) -> Explainer {
    Explainer {
        admission: Arc::clone(admission),
        rates: Arc::new(RateLimiter::new()),
        limits: Limits {
            target_bytes_max: admission.target_bytes_max,
            ..Limits::default()
        },
        listeners: vec![Listener {
            name: "clients".to_owned(),
            address: listener(),
            has_tls: false,
        }],
    }
}

/// The phases of the proxy up to the choice of an endpoint.
fn request(admission: &Admission, snapshot: &Snapshot, question: &Question) -> Met {
    let header = header(question);
    let arrival = Arrival {
        header: &header,
        listener: Some(listener()),
        peer: Some(question.client),
        by_tls: false,
    };
    let origin = admission.origin(&arrival);
    let mut met = Met {
        route: None,
        reason: None,
        location: None,
        upstream_target: None,
        pool: None,
        picked: None,
    };
    match admission.decide(&arrival, &origin, snapshot, &mut ()) {
        Ok(Decision::Service(to)) => {
            met.route = Some(to.route.name().to_owned());
            met.upstream_target = to.upstream_target;
            match to.pool.pick_for(&to.affinity, &Tried::default()) {
                Ok(in_flight) => met.picked = Some(in_flight.endpoint().address()),
                Err(_) => met.reason = Some("no_endpoint"),
            }
            met.pool = Some(to.pool);
        }
        Ok(Decision::Redirect(to)) => {
            met.route = to.route.map(|route| route.name().to_owned());
            met.location = Some(to.location);
        }
        Ok(other) => panic!("{other:?}"),
        Err(refused) => {
            met.route = refused.route.map(|route| route.name().to_owned());
            met.reason = Some(refused.error.reason().0);
        }
    }
    met
}

fn header(question: &Question) -> RequestHeader {
    let path = question.path.as_bytes();
    let mut header = RequestHeader::build(question.method.as_str(), path, None).unwrap();
    header.append_header("host", &question.host).unwrap();
    for (name, value) in &question.headers {
        header.append_header(name.clone(), value).unwrap();
    }
    header
}

/// Whether this route, if it were the only one, took the request.
fn alone(route: &Arc<Route>, host: &str, path: &str, question: &Question) -> Result<(), NoRoute> {
    let headers: HeaderMap = header(question).headers.clone();
    let table = RouteTable::new(vec![Arc::clone(route)]);
    let found = table.find(&RequestView {
        host,
        path,
        method: &question.method.parse().unwrap(),
        headers: &headers,
    });
    found.map(drop)
}

/// Every route before the one taken has a condition that fails, and the one taken has none.
fn assert_narration(snapshot: &Snapshot, told: &Explanation<'_>, question: &Question) {
    let Some(looked_up) = &told.looked_up else {
        assert!(told.routes.is_empty());
        return;
    };
    let (host, path) = (looked_up.host.as_str(), looked_up.path.as_str());
    let all = snapshot.routes().all();
    if told.route.is_none() {
        assert_eq!(told.routes.len(), all.len());
    }
    for (tried, route) in told.routes.iter().zip(all) {
        assert_eq!(tried.name, route.name());
        let expected = match tried.failed {
            None => Ok(()),
            Some("method") => Err(NoRoute::MethodNotAllowed(route.methods())),
            Some(_) => Err(NoRoute::NotFound),
        };
        assert_eq!(alone(route, host, path, question), expected, "{tried:?}");
    }
    let taken = told.routes.iter().filter(|tried| tried.failed.is_none());
    assert_eq!(taken.count(), usize::from(told.route.is_some()));
}

fn assert_agreement(told: &Explanation<'_>, met: &Met) {
    let route = told.route.as_ref().map(|route| route.name);
    assert_eq!(route, met.route.as_deref(), "{told:?}");
    assert_eq!(told.reason, met.reason, "{told:?}");
    assert_eq!(told.location, met.location, "{told:?}");
    assert_eq!(told.outcome == "refused", met.reason.is_some(), "{told:?}");
    assert_eq!(told.problem.is_some(), met.reason.is_some(), "{told:?}");
    if met.upstream_target.is_some() {
        assert_eq!(told.upstream_target, met.upstream_target);
    }
    let pick = told.pick.as_ref().map(|pick| pick.address);
    assert_eq!(pick.is_some(), met.picked.is_some(), "{told:?}");
    let Some(pool) = &met.pool else {
        return;
    };
    if pool.policy().balance.as_str() == "round_robin" {
        assert_eq!(pick, met.picked, "{told:?}");
    }
    for member in pool.members() {
        let address = member.endpoint.address();
        if pick == Some(address) || met.picked == Some(address) {
            assert!(pool.standing(member).gets_requests(), "{told:?}");
        }
    }
}

// === generated catalogs and requests, from alphabets small enough for collisions ===

fn any_host() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..4)
        .prop_map(|labels| labels.join("."))
}

fn any_route() -> impl Strategy<Value = Value> {
    let host = prop_oneof![
        3 => Just(Value::Null),
        1 => any_host().prop_map(Value::from),
        1 => any_host().prop_map(|host| format!("*.{host}").into()),
    ];
    let path = prop::collection::vec(prop::sample::select(vec!["x", "y"]), 0..3)
        .prop_map(|segments| format!("/{}", segments.join("/")));
    let kind = prop::sample::select(vec!["prefix", "stripped", "whole", "redirect"]);
    let methods =
        prop::collection::btree_set(prop::sample::select(vec!["GET", "POST", "DELETE"]), 0..3);
    let headers = prop::collection::btree_map("x-[pq]", "[12]", 0..2);
    (host, path, kind, methods, headers).prop_map(|(host, path, kind, methods, headers)| {
        let mut route = json!({"host": host, "methods": methods, "headers": headers});
        route[if kind == "whole" {
            "path"
        } else {
            "path_prefix"
        }] = path.into();
        match kind {
            "stripped" => route["strip_prefix"] = true.into(),
            "redirect" => route["redirect"] = json!({"to": "/elsewhere/"}),
            _ => {}
        }
        route
    })
}

/// A service, and for each of its instances whether it passes its checks; none = not probed yet.
fn any_service() -> impl Strategy<Value = (Value, Vec<Option<bool>>)> {
    let routes = prop::collection::vec(any_route(), 0..6);
    let status = prop::sample::select(vec!["passing", "draining"]);
    let instances = prop::collection::vec((1u16..5, status, any::<Option<bool>>()), 0..4);
    let balance = prop::sample::select(vec!["round_robin", "least_request", "random"]);
    (routes, instances, balance).prop_map(|(routes, instances, balance)| {
        let health = instances.iter().map(|(_, _, health)| *health).collect();
        let instances: Vec<_> = (1..)
            .zip(&instances)
            .map(|(port, (weight, status, _))| {
                json!({"id": format!("i{port}"), "address": format!("127.0.0.1:{port}"), "weight": weight, "status": status})
            })
            .collect();
        let service =
            json!({"routes": routes, "instances": instances, "policy": {"balance": balance}});
        (service, health)
    })
}

fn any_question() -> impl Strategy<Value = Question> {
    let host = prop_oneof![
        8 => any_host(),
        2 => any_host().prop_map(|host| format!("{}:80", host.to_uppercase())),
        1 => Just(String::new()),
        1 => Just("a:99999".to_owned()),
    ];
    let path = prop_oneof![
        8 => prop::collection::vec(prop::sample::select(vec!["x", "y", "z"]), 0..4)
            .prop_map(|segments| format!("/{}", segments.join("/"))),
        1 => "/[xy]/[.]{1,2}/[xy%]{0,4}",
        1 => "/x[?]a=[a-z]{0,4}",
        1 => "/x{40,90}",
    ];
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "DELETE", "BREW"]);
    let headers = prop::collection::vec(("x-[pq]", "[12]"), 0..3);
    (host, path, method, headers).prop_map(|(host, path, method, headers)| Question {
        method: method.to_owned(),
        host,
        path,
        headers,
        ..Question::default()
    })
}

fn snapshot(services: Vec<(Value, Vec<Option<bool>>)>) -> Snapshot {
    let mut materials = Materials {
        endpoints: Endpoints::new(None),
        hosts: HostAddresses::default(),
        file_routes: Vec::new(),
        metrics: GatewayMetrics::new(Metrics::new("gateway", "0")),
    };
    let mut health = Vec::new();
    let documents = (1..).zip(services).map(|(id, (mut document, checks))| {
        let name = format!("s{id}");
        health.push((name.clone(), checks));
        document["id"] = json!(id);
        document["name"] = json!(name);
        document["revision"] = json!(1);
        document["created_at"] = json!("2026-01-31T12:00:00Z");
        document["updated_at"] = json!("2026-01-31T12:00:00Z");
        serde_json::from_value::<Service>(document)
            .map(Arc::new)
            .unwrap()
    });
    let whole = Change::Replace {
        revision: Revision(7),
        services: documents.collect(),
        keep: Default::default(),
    };
    let snapshot = Snapshot::default().next(vec![whole], &Outside::default(), &mut materials);
    for (name, checks) in health {
        let name: ServiceName = name.parse().unwrap();
        let members = snapshot.pool(&name).unwrap().members();
        for (member, check) in members.iter().zip(checks) {
            check.map(|passes| member.endpoint.observe(passes));
        }
    }
    snapshot
}

fn in_flight(snapshot: &Snapshot) -> u64 {
    let members = snapshot.pools().flat_map(|pool| pool.members());
    members.map(|member| member.endpoint.in_flight()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: TABLES, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn explain_tells_what_requests_meet(
        services in prop::collection::vec(any_service(), 0..5),
        questions in prop::collection::vec(any_question(), REQUESTS_PER_TABLE),
    ) {
        let snapshot = snapshot(services);
        let admission = admission();
        let explainer = explainer(&admission);
        for (number, question) in questions.iter().enumerate() {
            let told = explainer.explain(&snapshot, question).unwrap();
            prop_assert_eq!(told.revision, 7);
            prop_assert_eq!(in_flight(&snapshot), 0);
            let met = request(&admission, &snapshot, question);
            assert_agreement(&told, &met);
            if number % NARRATION_EVERY == 0 {
                assert_narration(&snapshot, &told, question);
            }
        }
    }
}
