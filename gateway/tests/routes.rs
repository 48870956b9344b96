//! The route table against a naive reading of the contract: all routes are tried, the best that fits wins.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::BTreeSet, sync::Arc};

use catalog_api::{HostPattern, Method, PathMatch, RouteSpec, ServiceId};
use gateway::{
    metrics::{GatewayMetrics, RouteMetrics},
    route::{NoRoute, Owner, RequestView, Route, RouteTable, Target},
};
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::json;
use service_kit::metrics::Metrics;

/// What is declared, besides the name, which is the position in the list.
#[derive(Clone, Debug)]
struct Declared {
    spec: RouteSpec,
    owner: Owner,
}

/// A request, as data.
#[derive(Clone, Debug)]
struct Asked {
    host: String,
    path: String,
    method: http::Method,
    headers: Vec<(String, String)>,
}

/// The outcome, in terms of positions and method names.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Route(usize),
    NotFound,
    MethodNotAllowed(BTreeSet<String>),
}

// === the naive oracle ===

fn fits_host(spec: &RouteSpec, host: &str) -> bool {
    match &spec.host {
        None => true,
        Some(HostPattern::Exact(name)) => name == host,
        Some(HostPattern::Wildcard(suffix)) => host.ends_with(&format!(".{suffix}")),
    }
}

fn fits_path(spec: &RouteSpec, path: &str) -> bool {
    match &spec.path {
        PathMatch::Exact(whole) => path == whole.as_str(),
        PathMatch::Prefix(prefix) => {
            path.starts_with(prefix.as_str()) || format!("{path}/") == prefix.as_str()
        }
    }
}

fn fits_headers(spec: &RouteSpec, asked: &Asked) -> bool {
    spec.headers.iter().all(|(name, value)| {
        asked
            .headers
            .iter()
            .any(|(given, content)| given == name && content == value)
    })
}

fn methods_of(spec: &RouteSpec) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = spec
        .methods
        .iter()
        .map(|method| method.as_str().to_owned())
        .collect();
    if names.contains("GET") {
        names.insert("HEAD".to_owned());
    }
    names
}

/// Smaller is better.
fn rank(position: usize, declared: &Declared) -> impl Ord {
    let Declared { spec, owner } = declared;
    let host = match &spec.host {
        Some(HostPattern::Exact(_)) => (0, 0),
        Some(HostPattern::Wildcard(suffix)) => (1, -(suffix.len() as i64)),
        None => (2, 0),
    };
    let path = match &spec.path {
        PathMatch::Exact(_) => (0, 0),
        PathMatch::Prefix(prefix) => (1, -(prefix.as_str().len() as i64)),
    };
    let owner = match owner {
        Owner::File(place) => (0, *place as u64),
        Owner::Service(ServiceId(id)) => (1, *id),
    };
    let predicates = (
        spec.methods.is_empty(),
        -(spec.headers.iter().count() as i64),
    );
    (host, path, predicates, owner, name(position))
}

fn oracle(routes: &[Declared], asked: &Asked) -> Outcome {
    let mut fitting: Vec<(usize, &Declared)> = routes
        .iter()
        .enumerate()
        .filter(|(_, declared)| {
            let spec = &declared.spec;
            fits_host(spec, &asked.host)
                && fits_path(spec, &asked.path)
                && fits_headers(spec, asked)
        })
        .collect();
    fitting.sort_by_key(|(position, declared)| rank(*position, declared));
    let allowed = |declared: &Declared| {
        declared.spec.methods.is_empty()
            || methods_of(&declared.spec).contains(asked.method.as_str())
    };
    match fitting.iter().find(|(_, declared)| allowed(declared)) {
        Some((position, _)) => Outcome::Route(*position),
        None if fitting.is_empty() => Outcome::NotFound,
        None => Outcome::MethodNotAllowed(
            fitting
                .iter()
                .flat_map(|(_, declared)| methods_of(&declared.spec))
                .collect(),
        ),
    }
}

// === the table under test ===

fn name(position: usize) -> String {
    format!("route-{position:05}")
}

fn handles() -> Arc<RouteMetrics> {
    GatewayMetrics::new(Metrics::new("gateway", "0")).route(&"r".into())
}

fn table(routes: &[Declared]) -> RouteTable {
    let metrics = handles();
    let route = |(position, declared): (usize, &Declared)| {
        Arc::new(Route::new(
            name(position).into(),
            &declared.spec,
            Target::Metrics,
            declared.owner,
            Arc::clone(&metrics),
        ))
    };
    RouteTable::new(routes.iter().enumerate().map(route).collect())
}

fn found(table: &RouteTable, asked: &Asked) -> Outcome {
    let mut headers = HeaderMap::new();
    for (name, value) in &asked.headers {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let view = RequestView {
        host: &asked.host,
        path: &asked.path,
        method: &asked.method,
        headers: &headers,
    };
    match table.find(&view) {
        Ok(route) => Outcome::Route(route.name().trim_start_matches("route-").parse().unwrap()),
        Err(NoRoute::NotFound) => Outcome::NotFound,
        Err(NoRoute::MethodNotAllowed(methods)) => {
            Outcome::MethodNotAllowed(methods.names().map(str::to_owned).collect())
        }
    }
}

// === random routes and requests, from alphabets small enough for collisions ===

fn any_host() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|labels| labels.join("."))
}

fn any_spec() -> impl Strategy<Value = RouteSpec> {
    let host = prop_oneof![
        2 => Just(None),
        2 => any_host().prop_map(Some),
        2 => any_host().prop_map(|host| Some(format!("*.{host}"))),
    ];
    let path = prop::collection::vec(prop::sample::select(vec!["x", "y", "xy"]), 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")));
    let condition = prop::sample::select(vec!["path_prefix", "path_prefix", "path"]);
    let slash = prop::sample::select(vec!["", "", "/"]);
    let methods = prop::collection::btree_set(
        prop::sample::select(vec![
            Method::Get,
            Method::Head,
            Method::Post,
            Method::Delete,
        ]),
        0..3,
    );
    let headers = prop::collection::btree_map("x-[pq]", "[12]", 0..3);
    (host, path, condition, slash, methods, headers).prop_map(
        |(host, path, condition, slash, methods, headers)| {
            let path = format!("{path}{}", if path == "/" { "" } else { slash });
            let json =
                json!({"host": host, condition: path, "methods": methods, "headers": headers});
            serde_json::from_value(json).unwrap()
        },
    )
}

fn any_declared() -> impl Strategy<Value = Declared> {
    let owner = prop_oneof![
        (0usize..3).prop_map(Owner::File),
        (1u64..5).prop_map(|id| Owner::Service(ServiceId(id))),
    ];
    (any_spec(), owner).prop_map(|(spec, owner)| Declared { spec, owner })
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let host = prop_oneof![5 => any_host(), 1 => Just(String::new()), 1 => Just(".a".to_owned())];
    let path = prop_oneof![
        5 => prop::collection::vec(prop::sample::select(vec!["x", "y", "xy", "xyz"]), 0..6)
            .prop_map(|segments| format!("/{}", segments.join("/"))),
        2 => "(/[xy]?){1,6}",
    ];
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "BREW"])
        .prop_map(|method| method.parse().unwrap());
    let headers = prop::collection::vec(("x-[pq]", "[12]"), 0..4);
    (host, path, method, headers).prop_map(|(host, path, method, headers)| Asked {
        host,
        path,
        method,
        headers,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_finds_what_trying_every_route_finds(
        routes in prop::collection::vec(any_declared(), 0..24),
        requests in prop::collection::vec(any_asked(), 1..24),
    ) {
        let table = table(&routes);
        for asked in &requests {
            prop_assert_eq!(found(&table, asked), oracle(&routes, asked), "{:?}", asked);
        }
    }
}

// === examples ===

fn from_service(id: u64, spec: serde_json::Value) -> Declared {
    Declared {
        spec: serde_json::from_value(spec).unwrap(),
        owner: Owner::Service(ServiceId(id)),
    }
}

fn ask(method: &str, host: &str, path: &str) -> Asked {
    Asked {
        host: host.to_owned(),
        path: path.to_owned(),
        method: method.parse().unwrap(),
        headers: Vec::new(),
    }
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let table = table(&[
        from_service(1, json!({"path_prefix": "/"})),
        from_service(1, json!({"path_prefix": "/api/"})),
    ]);
    for (path, route) in [
        ("/api", 1),
        ("/api/", 1),
        ("/api/x", 1),
        ("/apiary", 0),
        ("/", 0),
    ] {
        let outcome = found(&table, &ask("GET", "h", path));
        assert_eq!(outcome, Outcome::Route(route), "{path}");
    }
}

#[test]
fn a_whole_path_comes_before_every_prefix_and_has_nothing_below_it() {
    let table = table(&[
        from_service(1, json!({"path_prefix": "/api/"})),
        from_service(2, json!({"path": "/api"})),
        from_service(3, json!({"path": "/api/x/"})),
        from_service(4, json!({"path": "/", "methods": ["GET"]})),
        from_service(5, json!({"path_prefix": "/"})),
    ]);
    for (method, path, route) in [
        ("GET", "/api", 1),
        ("GET", "/api/", 0),
        ("GET", "/api/x/", 2),
        ("GET", "/api/x", 0),
        ("GET", "/api/x/y", 0),
        ("GET", "/", 3),
        ("POST", "/", 4),
        ("GET", "/y", 4),
    ] {
        let outcome = found(&table, &ask(method, "h", path));
        assert_eq!(outcome, Outcome::Route(route), "{method} {path}");
    }
}

#[test]
fn a_wildcard_is_for_names_below_it_only() {
    let table = table(&[from_service(1, json!({"host": "*.b.c"}))]);
    for (host, expected) in [
        ("a.b.c", Outcome::Route(0)),
        ("z.a.b.c", Outcome::Route(0)),
        ("b.c", Outcome::NotFound),
        ("xb.c", Outcome::NotFound),
    ] {
        assert_eq!(found(&table, &ask("GET", host, "/")), expected, "{host}");
    }
}

#[test]
fn what_serves_get_serves_head() {
    let table = table(&[from_service(1, json!({"methods": ["GET"]}))]);
    assert_eq!(found(&table, &ask("HEAD", "h", "/")), Outcome::Route(0));
    let allowed = BTreeSet::from(["GET".to_owned(), "HEAD".to_owned()]);
    let refused = found(&table, &ask("POST", "h", "/"));
    assert_eq!(refused, Outcome::MethodNotAllowed(allowed));
}

#[test]
fn the_operator_wins_ties_and_after_that_the_oldest_service() {
    let spec: RouteSpec = serde_json::from_value(json!({"path_prefix": "/x"})).unwrap();
    let owned = |owner| Declared {
        spec: spec.clone(),
        owner,
    };
    let mut routes = vec![
        owned(Owner::Service(ServiceId(7))),
        owned(Owner::Service(ServiceId(2))),
        owned(Owner::File(5)),
        owned(Owner::File(3)),
    ];
    for winner in [3, 2, 1, 0] {
        let outcome = found(&table(&routes), &ask("GET", "h", "/x"));
        assert_eq!(outcome, Outcome::Route(winner));
        routes.remove(winner);
    }
}

#[test]
fn ten_thousand_routes_are_told_apart() {
    let routes: Vec<_> = (0..10_000)
        .map(|n| {
            let spec = match n % 4 {
                0 => json!({"host": format!("h{n}.test"), "path_prefix": format!("/p{n}")}),
                1 => json!({"host": format!("*.w{n}.test")}),
                2 => json!({"path": format!("/a/b/p{n}/x/y/z")}),
                _ => json!({"path_prefix": format!("/a/b/p{n}")}),
            };
            from_service(n, spec)
        })
        .collect();
    let table = table(&routes);
    for n in 0..10_000 {
        let asked = match n % 4 {
            0 => ask("GET", &format!("h{n}.test"), &format!("/p{n}/x")),
            1 => ask("GET", &format!("any.w{n}.test"), "/x"),
            _ => ask("GET", "h", &format!("/a/b/p{n}/x/y/z")),
        };
        assert_eq!(found(&table, &asked), Outcome::Route(n));
    }
}
