//! The names and labels that dashboards and alerts are made of.

use gateway::{Config, config::TlsConfig, tls::Certificates, upstream::Health};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{
    Authority, Backend, Behaviour, Rig, eventually, service, steady_service, with,
};

#[tokio::test]
async fn every_documented_series_is_there_after_traffic() {
    let rig = Rig::start().await;
    let (good, bad) = (Backend::start("good").await, Backend::start("bad").await);
    let api = with(
        steady_service("service-api", &[&good, &bad]),
        "routes",
        json!([]),
    );
    rig.put(api).await;
    bad.behave(Behaviour::Close);
    for _ in 0..4 {
        assert_eq!(rig.get("/api/name").await.status(), 200);
    }
    assert_eq!(rig.send("POST", "/metrics", &[], "x").await.status(), 200);
    assert_eq!(rig.get("/nobody-there").await.status(), 503);
    let text = rig.admin("/metrics").await.text();
    let endpoint = good.address();
    for series in [
        r#"gateway_requests_total{method="GET",route="api",status_class="2xx"} 4"#,
        r#"gateway_requests_total{method="GET",route="catalog",status_class="5xx"} 1"#,
        r#"gateway_requests_total{method="POST",route="metrics",status_class="2xx"} 1"#,
        r#"gateway_request_duration_seconds_count{route="api"} 4"#,
        r#"gateway_request_duration_seconds_bucket{route="api",le="0.0001"}"#,
        r#"gateway_upstream_duration_seconds_count{service="service-api"} 4"#,
        "gateway_overhead_seconds_count 4",
        r#"gateway_inflight{service="service-api"} 0"#,
        r#"gateway_upstream_connections_total{reused="false",service="service-api"}"#,
        r#"gateway_upstream_connections_total{reused="true",service="service-api"}"#,
        &format!(r#"gateway_endpoint_healthy{{endpoint="{endpoint}",service="service-api"}} 1"#),
        r#"gateway_retries_total{service="service-api"}"#,
        r#"gateway_rejected_total{reason="no_endpoint"} 1"#,
        &format!("gateway_config_revision {}", rig.snapshot().revision()),
        "gateway_config_rejected_total 0",
        "gateway_config_apply_seconds_count",
        "gateway_catalog_connected 1",
        "build_info{",
    ] {
        assert!(text.contains(series), "{series} is not in\n{text}");
    }
    // On the clients' listener the same.
    let public = rig.get("/metrics").await.text();
    assert!(public.contains("gateway_catalog_connected 1"));
}

#[tokio::test]
async fn ejections_and_unmatched_requests_are_counted() {
    let rig = Rig::without_file_routes().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    backend.answer_checks(Behaviour::Status(500));
    let ejected = r#"gateway_ejections_total{service="hold"}"#;
    eventually("it is ejected", async || {
        rig.metric(ejected).await == Some(1.0)
    })
    .await;
    let healthy = format!(
        r#"gateway_endpoint_healthy{{endpoint="{}",service="hold"}}"#,
        backend.address()
    );
    assert_eq!(rig.metric(&healthy).await, Some(0.0));
    for path in ["/a", "/b/c", "/d?e=f"] {
        assert_eq!(rig.get(path).await.status(), 404);
    }
    let unmatched = r#"gateway_requests_total{method="GET",route="unmatched",status_class="4xx"}"#;
    assert_eq!(rig.metric(unmatched).await, Some(3.0));
    let rejected = r#"gateway_rejected_total{reason="no_route"}"#;
    assert_eq!(rig.metric(rejected).await, Some(3.0));
}

#[tokio::test]
async fn the_operators_listener_tells_what_is_routed_where() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    let table = rig.admin("/routes").await.json();
    assert_eq!(table["revision"], rig.snapshot().revision().0);
    let routes = table["routes"].as_array().unwrap();
    let names: Vec<_> = routes
        .iter()
        .map(|route| route["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["metrics", "static", "hold:/hold/", "api", "catalog"]
    );
    assert_eq!(routes[2]["declared_by"], "service");
    assert_eq!(routes[3]["declared_by"], "file");
    assert_eq!(table["services"][0]["endpoints"][0]["instance"], "b");
    let health = rig.admin("/health").await.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["catalog_connected"], true);
}

/// Every family that dashboards and alerts rely on, and the labels that tell its series apart.
const CONTRACT: [(&str, &[&str]); 18] = [
    (
        "gateway_requests_total",
        &["method", "route", "status_class"],
    ),
    ("gateway_request_duration_seconds", &["route"]),
    ("gateway_upstream_duration_seconds", &["service"]),
    ("gateway_overhead_seconds", &[]),
    ("gateway_inflight", &["service"]),
    ("gateway_upstream_connections_total", &["reused", "service"]),
    ("gateway_endpoint_healthy", &["endpoint", "service"]),
    ("gateway_retries_total", &["service"]),
    ("gateway_ejections_total", &["service"]),
    ("gateway_breaker_open", &["service"]),
    ("gateway_breaker_openings_total", &["service"]),
    ("gateway_rejected_total", &["reason"]),
    ("gateway_cache_requests_total", &["result"]),
    ("gateway_config_revision", &[]),
    ("gateway_config_rejected_total", &[]),
    ("gateway_config_apply_seconds", &[]),
    ("gateway_catalog_connected", &[]),
    ("gateway_tls_certificate_expiry_seconds", &["certificate"]),
];

/// Labels of the first series of a family, without the bucket's; none when it has no series.
fn labels<'a>(text: &'a str, family: &str) -> Option<Vec<&'a str>> {
    let of_family = |line: &&str| {
        let rest = line.strip_prefix(family);
        let rest = rest.map(|rest| rest.strip_prefix("_count").unwrap_or(rest));
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    let line = text.lines().find(of_family)?;
    let inside = line
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'));
    let pairs = inside.map_or("", |(pairs, _)| pairs).split("\",");
    let names = pairs.filter_map(|pair| pair.split_once('=').map(|(name, _)| name));
    Some(names.collect())
}

#[tokio::test]
async fn the_contract_is_kept_by_name_and_label() {
    let data = TempDir::new().unwrap();
    let authority = Authority::new();
    let pair = authority.issue(data.path(), "site", &["site.test"]);
    let rig = Rig::configured(|config: &mut Config| {
        config.tls = Some(TlsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificates: Certificates::load(pair, Vec::new()).unwrap(),
            redirect: false,
        });
    })
    .await;
    let backend = Backend::start("b").await;
    let cached = with(service("hold", &[&backend]), "policy/cache", json!({}));
    rig.put(with(cached, "policy/breaker", json!({}))).await;
    assert_eq!(rig.get("/hold/").await.status(), 200);
    assert_eq!(rig.get("/hold/%zz").await.status(), 400);
    let text = rig.admin("/metrics").await.text();
    for (family, expected) in CONTRACT {
        let found = labels(&text, family);
        assert_eq!(found.as_deref(), Some(expected), "{family} in\n{text}");
    }
    let malformed = r#"gateway_rejected_total{reason="malformed"}"#;
    assert_eq!(rig.metric(malformed).await, Some(1.0));
}

#[tokio::test]
async fn series_of_a_removed_service_are_removed() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    rig.put(service("stays", &[&backend])).await;
    for path in ["/hold/", "/stays/"] {
        assert_eq!(rig.get(path).await.status(), 200);
    }
    backend.answer_checks(Behaviour::Status(500));
    rig.until("hold", &backend, Health::Unhealthy).await;
    assert!(rig.admin("/metrics").await.text().contains("\"hold"));
    rig.delete("hold").await;
    eventually("its series are gone", async || {
        let text = rig.admin("/metrics").await.text();
        !text.contains("\"hold") && text.contains(r#"service="stays""#)
    })
    .await;
}
