//! The operators' listener: what it tells, and what it refuses.

use serde_json::{Value, json};

use crate::harness::{Backend, Behaviour, Message, Rig, send, service, with};
use gateway::upstream::Health;

/// Encodes everything but letters and digits.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What `/explain` says about a request.
async fn explain(rig: &Rig, method: &str, path: &str, headers: &[(&str, &str)]) -> Value {
    let mut query = format!("method={}&path={}", encoded(method), encoded(path));
    if !headers.iter().any(|(name, _)| *name == "host") {
        query += "&host=gateway.test";
    }
    for (name, value) in headers {
        query += &format!("&header={}", encoded(&format!("{name}:{value}")));
    }
    let answer = rig.admin(&format!("/explain?{query}")).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn explain_repeats_the_reason_that_a_client_got() {
    let rig = Rig::without_file_routes().await;
    let (up, down) = (Backend::start("up").await, Backend::start("down").await);
    let up = with(service("up", &[&up]), "routes/0/methods", json!(["GET"]));
    rig.put(up).await;
    rig.apply(service("empty", &[])).await;
    down.answer_checks(Behaviour::Status(500));
    rig.apply(service("down", &[&down])).await;
    rig.until("down", &down, Health::Unhealthy).await;
    let long = format!("/up/{}", "x".repeat(20_000));
    let large = "x".repeat(2_000);
    let many: Vec<_> = (0..60).map(|_| ("x-a", large.as_str())).collect();
    for (method, path, headers, reason) in [
        ("GET", "/nobody", &[][..], "no_route"),
        ("POST", "/up/", &[], "method_not_allowed"),
        ("GET", "/empty/", &[], "no_endpoint"),
        ("GET", "/down/", &[], "no_endpoint"),
        ("GET", "/up/%zz", &[], "malformed"),
        ("GET", "/up/../..", &[], "malformed"),
        ("GET", "/up/", &[("host", "a:b")], "malformed"),
        ("GET", "/up/", &[("content-length", "x")], "malformed"),
        (
            "GET",
            "/up/",
            &[("transfer-encoding", "gzip, chunked")],
            "malformed",
        ),
        ("CONNECT", "gateway.test:80", &[], "method_not_allowed"),
        ("GET", &long, &[], "uri_too_long"),
    ] {
        let got = send(rig.address(), method, path, headers, "").await;
        let problem = got.json();
        let told = explain(&rig, method, path, headers).await;
        assert_eq!(problem["reason"], reason, "{method} {path}");
        assert_eq!(told["reason"], reason, "{told}");
        assert_eq!(told["outcome"], "refused");
        for part in ["type", "title", "status", "detail"] {
            assert_eq!(told["problem"][part], problem[part], "{told}");
        }
    }
    let got = send(rig.address(), "GET", "/up/", &many, "").await.json();
    assert_eq!(got["reason"], "header_too_large");
}

#[tokio::test]
async fn explain_foretells_a_rate_limit_without_using_it_up() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let rate = json!({"rate": {"requests": 1, "per": "1h", "burst": 1}});
    rig.put(with(service("hold", &[&backend]), "policy/limits", rate))
        .await;
    for _ in 0..3 {
        let told = explain(&rig, "GET", "/hold/", &[]).await;
        assert_eq!(told["outcome"], "service", "{told}");
    }
    assert_eq!(rig.get("/hold/").await.status(), 200);
    let refused = rig.get("/hold/").await;
    assert_eq!(refused.status(), 429);
    let told = explain(&rig, "GET", "/hold/", &[]).await;
    assert_eq!(told["reason"], refused.json()["reason"], "{told}");
    assert_eq!(told["reason"], "rate_limited");
    let other = rig.admin("/explain?path=/hold/&client=192.0.2.7").await;
    assert_eq!(other.json()["outcome"], "service");
}

#[tokio::test]
async fn explain_tells_the_way_of_a_request() {
    let rig = Rig::start().await;
    let (here, away) = (Backend::start("here").await, Backend::start("away").await);
    let routes = json!([
        {"path_prefix": "/hold/", "strip_prefix": true},
        {"path_prefix": "/hold/", "headers": {"x-beta": "1"}, "strip_prefix": true},
    ]);
    let hold = with(service("hold", &[&here, &away]), "routes", routes);
    let hold = with(hold, "instances/1/status", json!("draining"));
    rig.put(hold).await;
    let told = explain(&rig, "GET", "/hold/a/../b?c=d", &[]).await;
    assert_eq!(told["outcome"], "service", "{told}");
    assert_eq!(told["revision"], rig.snapshot().revision().0);
    assert_eq!(told["looked_up"]["path"], "/hold/b");
    assert_eq!(told["upstream_target"], "/b?c=d");
    assert_eq!(told["route"]["service"], "hold");
    let tried: Vec<_> = told["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tried| (tried["failed"].as_str(), tried["wanted"].as_str()))
        .collect();
    assert_eq!(
        tried,
        [
            (Some("path"), Some("/metrics/")),
            (Some("path"), Some("/static/")),
            (Some("header"), Some("x-beta: 1")),
            (None, None),
        ]
    );
    assert_eq!(told["policy"]["timeouts"]["total"], "1m");
    assert_eq!(told["pick"]["address"], here.address().to_string());
    let endpoints = &told["pool"]["endpoints"];
    assert_eq!(endpoints[0]["gets_requests"], true);
    assert_eq!(endpoints[1]["gets_requests"], false);
    assert_eq!(
        endpoints[1]["because"],
        "the catalog takes it out of traffic"
    );
    let beta = explain(&rig, "GET", "/hold/", &[("x-beta", "1")]).await;
    assert_eq!(beta["routes"].as_array().unwrap().len(), 3, "{beta}");
    // Asking changed nothing.
    assert_eq!(
        rig.metric(r#"gateway_inflight{service="hold"}"#).await,
        Some(0.0)
    );
    assert_eq!(here.hits(), 0);
}

#[tokio::test]
async fn the_snapshot_is_shown_as_it_is_written_down() {
    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/snapshot.json");
    let rig = Rig::start().await;
    // Nobody listens on these ports: what is shown is what was declared, whatever the endpoints do.
    let instances = json!([
        {"id": "a", "address": "127.0.0.1:1", "weight": 3, "zone": "north"},
        {"id": "b", "address": "127.0.0.1:2", "status": "draining"},
    ]);
    let hold = with(service("hold", &[]), "instances", instances);
    let hold = with(hold, "routes/0/host", json!("*.example.org"));
    rig.apply(hold).await;
    rig.catalog
        .put(with(service("odd", &[]), "policy/balance", json!("magic")));
    let revision = rig.catalog.put(service("plain", &[]));
    rig.at(revision).await;
    let shown = rig.admin("/snapshot").await.json();
    let text = serde_json::to_string_pretty(&shown).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    assert_eq!(
        text, golden,
        "run it with UPDATE_GOLDEN=1 if the change is meant"
    );
    // The entry is accepted later: it is no longer among those that were refused.
    let revision = rig.catalog.put(service("odd", &[]));
    rig.at(revision).await;
    let shown = rig.admin("/snapshot").await.json();
    assert_eq!(shown["rejected"], json!([]));
    assert_eq!(shown["services"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_live_table_shows_health_load_and_latency() {
    let rig = Rig::start().await;
    let (up, down) = (Backend::start("up").await, Backend::start("down").await);
    down.answer_checks(Behaviour::Status(500));
    rig.apply(service("hold", &[&up, &down])).await;
    rig.until("hold", &down, Health::Unhealthy).await;
    rig.until("hold", &up, Health::Healthy).await;
    assert_eq!(rig.get("/hold/").await.status(), 200);
    let table = rig.admin("/routes").await.json();
    let pool = &table["services"][0];
    assert_eq!(
        (&pool["name"], &pool["in_flight"]),
        (&json!("hold"), &json!(0))
    );
    let [first, second] = [&pool["endpoints"][0], &pool["endpoints"][1]];
    assert_eq!(first["address"], up.address().to_string());
    assert_eq!(first["health"], "healthy");
    assert!(first["latency_ms"].as_f64().unwrap() > 0.0, "{first}");
    assert_eq!(
        (&first["weight"], &first["gets_requests"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(second["health"], "unhealthy");
    assert_eq!(second["because"], "it fails its health checks");
    assert_eq!(second["latency_ms"], Value::Null);
}

fn allow(answer: &Message) -> Option<&str> {
    answer.header("allow")
}

#[tokio::test]
async fn requests_of_operators_that_make_no_sense_are_refused() {
    let rig = Rig::start().await;
    for (target, part) in [
        ("/routes?x=1", "x"),
        ("/snapshot?service=a", "service"),
        ("/?verbose", "verbose"),
        ("/explain?paht=/", "use some of: method, host, path"),
        ("/explain?path=/&path=/a", "twice"),
        ("/explain?listener=tls", "use one of: clients"),
        ("/explain?client=nowhere", "address"),
        ("/explain?header=x", "name:value"),
    ] {
        let answer = rig.admin(target).await;
        assert_eq!(answer.status(), 400, "{target}");
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    let admin = rig.gateway.admin_address();
    for (method, target, allowed) in [
        ("POST", "/routes", "GET, HEAD"),
        ("POST", "/explain", "GET, HEAD"),
        ("PUT", "/snapshot", "GET, HEAD"),
        ("GET", "/cache/purge", "POST"),
        ("DELETE", "/metrics", "GET, HEAD"),
    ] {
        let answer = send(admin, method, target, &[], "").await;
        assert_eq!(answer.status(), 405, "{method} {target}");
        assert_eq!(allow(&answer), Some(allowed));
    }
    assert_eq!(rig.admin("/nothing").await.status(), 404);
}
