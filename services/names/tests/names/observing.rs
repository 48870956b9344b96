//! Health, status and metrics: what an operator sees.

use names::Config;

use crate::instance::start;

#[tokio::test]
async fn health_and_readiness_answer() {
    let instance = start(Config::default());
    let asker = instance.asker();
    let health = asker.json("/health").await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["instance"], instance.running.instance.as_str());
    assert_eq!(asker.get("/livez").await.status(), 200);
    assert_eq!(asker.json("/readyz?verbose").await["status"], "ok");
}

#[tokio::test]
async fn the_status_counts_requests_by_endpoint_and_status() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for path in ["/name", "/name", "/names/7", "/names/0", "/nothing"] {
        asker.get(path).await;
    }
    let status = asker.json("/status").await;
    assert_eq!(status["instance"], instance.running.instance.as_str());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert!(status["memory_bytes"].as_u64().unwrap() > 1_000_000);
    let requests = &status["requests"];
    assert_eq!(requests["total"], 5);
    assert_eq!(
        requests["by_endpoint"],
        serde_json::json!({"/name": 2, "/names/{count}": 2, "unmatched": 1})
    );
    assert_eq!(
        requests["by_status"],
        serde_json::json!({"200": 3, "400": 1, "404": 1})
    );
}

#[tokio::test]
async fn the_metrics_of_the_contract_are_there_and_count() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for path in [
        "/name",
        "/names/7?locale=ru",
        "/names/5",
        "/names/0",
        "/elsewhere/1",
    ] {
        asker.get(path).await;
    }
    let text = asker.text("/metrics").await;
    for line in [
        r#"service_api_requests_total{endpoint="/name",method="GET",status="200"} 1"#,
        r#"service_api_requests_total{endpoint="/names/{count}",method="GET",status="200"} 2"#,
        r#"service_api_requests_total{endpoint="/names/{count}",method="GET",status="400"} 1"#,
        r#"service_api_requests_total{endpoint="unmatched",method="GET",status="404"} 1"#,
        r#"service_api_request_duration_seconds_count{endpoint="/name"} 1"#,
        r#"service_api_names_generated_total{locale="en"} 6"#,
        r#"service_api_names_generated_total{locale="ru"} 7"#,
        r#"service_api_names_generated_total{locale="de"} 0"#,
        "service_api_up 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
    assert!(
        !text.contains("/elsewhere"),
        "paths of callers must not become labels"
    );
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("service_api_uptime_seconds") > 0.0);
    assert!(value("service_api_memory_usage_bytes") > 1_000_000.0);
    assert!(value("process_resident_memory_bytes") > 1_000_000.0);
    assert!(text.contains(r#"build_info{program="service-api""#));
}

#[tokio::test]
async fn instances_in_one_process_share_nothing() {
    let (a, b) = (start(Config::default()), start(Config::default()));
    a.asker().get("/names/9").await;
    let text = b.asker().text("/metrics").await;
    assert!(
        text.contains(r#"service_api_names_generated_total{locale="en"} 0"#),
        "{text}"
    );
    assert_ne!(a.running.instance, b.running.instance);
}
