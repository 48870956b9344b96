//! What can be read, by anyone.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::json;

use crate::{
    backend::{Backend, register},
    harness::Harness,
};

#[tokio::test]
async fn a_new_catalog_has_its_two_services() {
    let catalog = Harness::start().await;
    let answer = catalog.get("/services").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    let keys: Vec<_> = body
        .as_object()
        .into_iter()
        .flat_map(|o| o.keys())
        .collect();
    assert_eq!(keys, ["revision", "services"]);
    let services = body["services"].as_array().cloned().unwrap_or_default();
    let found: Vec<_> = services.iter().map(|s| (&s["id"], &s["name"])).collect();
    assert_eq!(
        found,
        [
            (&json!(1), &json!("service-api")),
            (&json!(2), &json!("service-catalog"))
        ]
    );
    // It registered itself.
    let own = &services[1]["instances"][0];
    let address = catalog.running.address;
    assert_eq!(own["address"], address.to_string());
    assert_eq!(own["id"], format!("catalog-127.0.0.1-{}", address.port()));
    assert_eq!(
        (&own["ttl"], &own["status"]),
        (&json!("10s"), &json!("passing"))
    );
}

#[tokio::test]
async fn one_service_by_id_and_by_name() {
    let catalog = Harness::start().await;
    let by_id = catalog.get("/services/2").await;
    let by_name = catalog.get("/services/service-catalog").await;
    assert_eq!(by_id.status, StatusCode::OK);
    assert_eq!(by_id.text, by_name.text);
    assert_eq!(
        by_id.header("etag"),
        format!("\"{}\"", by_id.json()["revision"])
    );

    let unknown = catalog.get("/services/nobody").await;
    assert!(unknown.problem(404).contains("nobody"));
    catalog.get("/services/99").await.problem(404);
    catalog
        .get("/services/18446744073709551616")
        .await
        .problem(404);
    assert!(
        catalog
            .get("/services/No_Name")
            .await
            .problem(404)
            .contains("DNS label")
    );
    assert!(
        catalog
            .get("/services/calls")
            .await
            .problem(404)
            .contains("reserved")
    );
}

#[tokio::test]
async fn unchanged_answers_are_not_sent_again() {
    let catalog = Harness::start().await;
    for path in ["/services", "/services/1"] {
        let first = catalog.get(path).await;
        let tag = first.header("etag").to_owned();
        let again = |value: String| {
            catalog
                .call(Method::GET, path)
                .header("if-none-match", &value)
                .send()
        };
        for same in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".to_owned(),
        ] {
            let answer = again(same).await;
            assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
            assert_eq!(
                (answer.text.as_str(), answer.header("etag")),
                ("", tag.as_str())
            );
        }
        assert_eq!(again("\"0\"".to_owned()).await.text, first.text);
        again("0".to_owned()).await.problem(400);
    }
    let tag = catalog.get("/services").await.header("etag").to_owned();
    catalog.put_service("alpha").await;
    let changed = catalog
        .call(Method::GET, "/services")
        .header("if-none-match", &tag)
        .send()
        .await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn parameters_that_would_do_nothing_are_refused() {
    let catalog = Harness::start().await;
    for path in [
        "/services?tags=x",
        "/services/1?tags=x",
        "/services/watch?tags=x",
    ] {
        assert!(
            catalog.get(path).await.problem(400).contains("tags"),
            "{path}"
        );
    }
    catalog.get("/services/watch?since=x").await.problem(400);
    catalog
        .get("/services/watch?service=No_Name")
        .await
        .problem(400);
    assert!(
        catalog
            .write(Method::DELETE, "/services/1?drain=30s")
            .send()
            .await
            .problem(400)
            .contains("drain")
    );
}

#[tokio::test]
async fn information_and_operations_answer() {
    let catalog = Harness::start().await;
    let information = catalog.get("/").await.json();
    assert_eq!(information["name"], "service-catalog");
    assert_eq!(information["links"]["services"], "/services");
    let health = catalog.get("/health").await.json();
    assert_eq!(
        (&health["status"], &health["services"]),
        (&json!("ok"), &json!(2))
    );
    assert_eq!(catalog.get("/livez").await.status, StatusCode::OK);
    let ready = catalog.get("/readyz?verbose").await;
    assert_eq!(ready.status, StatusCode::OK);
    let conditions = ready.json()["conditions"].clone();
    assert_eq!(conditions[0]["name"], "snapshot loaded");
    assert_eq!(
        (&conditions[1]["name"], &conditions[1]["gates"]),
        (&json!("store"), &json!(false))
    );

    let head = catalog.call(Method::HEAD, "/services").send().await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    let not_allowed = catalog.call(Method::PATCH, "/services").send().await;
    not_allowed.problem(405);
    assert_eq!(not_allowed.header("allow"), "GET, POST, HEAD");
    catalog.get("/nothing").await.problem(404);
}

/// Names that become one word with the value of another label: the library takes `("a", "bc")` and `("ab", "c")` for the same series.
#[tokio::test]
async fn series_whose_labels_run_together_are_kept_apart() {
    let catalog = Harness::start().await;
    let backend = Backend::start("backend").await;
    let endings = [
        "passing", "critical", "suspect", "draining", "200", "404", "503",
    ];
    let mut names = vec!["a".to_owned()];
    for ending in endings {
        for length in 1..=ending.len() {
            names.push(format!("a{}", &ending[..length]));
            names.push(format!("a{}", &ending[ending.len() - length..]));
        }
    }
    names.sort();
    names.dedup();
    for (index, name) in names.iter().enumerate() {
        let least = index % 7;
        let spec = json!({ "name": name, "min_instances": least });
        let put = catalog.put(&format!("/services/{name}"), spec).await;
        assert_eq!(put.status, StatusCode::CREATED, "{name}");
        register(&catalog, name, "one", backend.port).await;
        catalog.get(&format!("/services/call/{name}/x")).await;
        catalog
            .get(&format!("/services/call/{name}/status/404"))
            .await;
    }
    let text = catalog.get("/metrics").await.text;
    let value = |series: String| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{series} ")));
        line.map(|value| value.parse::<usize>().unwrap())
    };
    for (index, name) in names.iter().enumerate() {
        let least = value(format!(
            r#"service_catalog_min_instances{{service="{name}"}}"#
        ));
        assert_eq!(least, Some(index % 7), "{name}");
        for (status, count) in [
            ("passing", 1),
            ("critical", 0),
            ("suspect", 0),
            ("draining", 0),
        ] {
            let series =
                format!(r#"service_catalog_instances{{service="{name}",status="{status}"}}"#);
            assert_eq!(value(series.clone()), Some(count), "{series}");
        }
        for (status, count) in [("200", Some(1)), ("404", Some(1)), ("503", None)] {
            let series = format!(
                r#"service_catalog_proxy_calls_total{{service="{name}",status="{status}"}}"#
            );
            assert_eq!(value(series.clone()), count, "{series}");
        }
    }
    // Free text is nowhere else: another metric with it needs a line above.
    let free: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.contains("\"apassing\""))
        .filter_map(|line| line.split('{').next())
        .collect();
    let known = ["instances", "min_instances", "proxy_calls_total"];
    let known = known.map(|name| format!("service_catalog_{name}"));
    assert!(
        free.iter().copied().eq(known.iter().map(String::as_str)),
        "{free:?}"
    );
}

#[tokio::test]
async fn metrics_follow_the_content() {
    let catalog = Harness::start().await;
    catalog
        .put(
            "/services/alpha",
            json!({"name": "alpha", "min_instances": 2}),
        )
        .await;
    catalog
        .put(
            "/services/alpha/instances/a",
            json!({"address": "127.0.0.1:7001"}),
        )
        .await;
    let least = r#"service_catalog_min_instances{service="alpha"}"#;
    assert_eq!(catalog.metric(least).await, Some(2.0));
    let passing = r#"service_catalog_instances{service="alpha",status="passing"}"#;
    assert_eq!(catalog.metric(passing).await, Some(1.0));
    assert_eq!(
        catalog.metric("service_catalog_services_count").await,
        Some(3.0)
    );
    assert_eq!(catalog.metric("service_catalog_store_up").await, Some(1.0));
    let revision = catalog.revision().await as f64;
    assert_eq!(
        catalog.metric("service_catalog_revision").await,
        Some(revision)
    );
    let writes = r#"service_catalog_store_operation_seconds_count{operation="write"}"#;
    assert!(catalog.metric(writes).await >= Some(3.0));
    let requests =
        r#"service_catalog_requests_total{endpoint="/services/{id}",method="PUT",status="201"}"#;
    assert_eq!(catalog.metric(requests).await, Some(1.0));

    catalog.delete("/services/alpha").await;
    assert_eq!(catalog.metric(passing).await, None);
    assert_eq!(catalog.metric(least).await, None);
    assert_eq!(
        catalog.metric("service_catalog_services_count").await,
        Some(2.0)
    );
}
