//! The stream: where it starts, what comes, and how it ends.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Harness, eventually};

fn names(snapshot: &Value) -> Vec<&str> {
    let services = snapshot["services"].as_array().into_iter().flatten();
    services
        .filter_map(|service| service["name"].as_str())
        .collect()
}

#[tokio::test]
async fn a_snapshot_and_then_every_change() {
    let catalog = Harness::start().await;
    let mut watch = catalog.watch("").await;
    let (kind, id, data) = watch.next().await;
    assert_eq!((kind.as_str(), id), ("snapshot", catalog.revision().await));
    assert_eq!(data, catalog.get("/services").await.json());

    let created = catalog.put_service("alpha").await.json();
    let (kind, id, data) = watch.next().await;
    assert_eq!(
        (kind.as_str(), Some(id)),
        ("service", created["revision"].as_u64())
    );
    assert_eq!(data, created);

    catalog
        .put(
            "/services/alpha/instances/a",
            json!({"address": "127.0.0.1:7001"}),
        )
        .await;
    let (kind, _, data) = watch.next().await;
    assert_eq!(
        (kind.as_str(), &data["instances"][0]["id"]),
        ("service", &json!("a"))
    );

    catalog.delete("/services/alpha").await;
    let (kind, id, data) = watch.next().await;
    assert_eq!((kind.as_str(), id), ("deleted", catalog.revision().await));
    assert_eq!(
        data,
        json!({"id": created["id"], "name": "alpha", "revision": id})
    );
}

#[tokio::test]
async fn a_watcher_resumes_where_it_was() {
    let catalog = Harness::start().await;
    let mut watch = catalog.watch("").await;
    let (_, seen, _) = watch.next().await;
    drop(watch);
    catalog.put_service("alpha").await;
    catalog.put_service("beta").await;
    catalog
        .put("/services/alpha", json!({"name": "alpha", "version": "2"}))
        .await;

    let by_header = catalog
        .call(Method::GET, "/services/watch")
        .header("last-event-id", &seen.to_string());
    let by_query = catalog.call(Method::GET, &format!("/services/watch?since={seen}"));
    // The header is the newer one.
    let by_both = catalog
        .call(Method::GET, "/services/watch?since=0")
        .header("last-event-id", &seen.to_string());
    for call in [by_header, by_query, by_both] {
        let mut watch = call.watch().await;
        let (kind, first, data) = watch.next().await;
        assert_eq!((kind.as_str(), &data["name"]), ("service", &json!("beta")));
        // Only its newest state: the older one was overtaken.
        let (_, second, data) = watch.next().await;
        assert_eq!(
            (&data["name"], &data["version"]),
            (&json!("alpha"), &json!("2"))
        );
        assert!(seen < first && first < second);
    }
}

#[tokio::test]
async fn a_gap_is_healed_by_a_snapshot() {
    let catalog = Harness::start().await;
    for (header, query) in [
        ("", "?since=0"),
        ("", "?since=999999"),
        ("999999", ""),
        ("none of ours", ""),
    ] {
        let call = catalog.call(Method::GET, &format!("/services/watch{query}"));
        let call = if header.is_empty() {
            call
        } else {
            call.header("last-event-id", header)
        };
        let (kind, id, _) = call.watch().await.next().await;
        assert_eq!(
            (kind.as_str(), id),
            ("snapshot", catalog.revision().await),
            "{header}{query}"
        );
    }
}

#[tokio::test]
async fn a_restart_is_a_gap_for_whoever_missed_something() {
    let catalog = Harness::start().await;
    let seen = catalog.revision().await;
    let catalog = catalog.restart().await;
    let (kind, _, _) = catalog.watch(&format!("?since={seen}")).await.next().await;
    assert_eq!(kind, "snapshot");
}

#[tokio::test]
async fn one_services_stream_is_about_it_only() {
    let catalog = Harness::start().await;
    let mut by_name = catalog.watch("?service=alpha").await;
    let (kind, _, data) = by_name.next().await;
    assert_eq!((kind.as_str(), names(&data)), ("snapshot", vec![]));
    catalog.put_service("beta").await;
    let created = catalog.put_service("alpha").await.json();
    let (_, id, data) = by_name.next().await;
    assert_eq!((Some(id), &data), (created["revision"].as_u64(), &created));

    let mut by_id = catalog.watch(&format!("?service={}", created["id"])).await;
    assert_eq!(names(&by_id.next().await.2), ["alpha"]);
    catalog.delete("/services/beta").await;
    catalog.delete("/services/alpha").await;
    let reborn = catalog.put_service("alpha").await.json();
    for watch in [&mut by_name, &mut by_id] {
        let (kind, _, data) = watch.next().await;
        assert_eq!((kind.as_str(), &data["id"]), ("deleted", &created["id"]));
    }
    assert_eq!(by_name.next().await.2, reborn);
}

#[tokio::test]
async fn a_silent_stream_has_heartbeats() {
    let catalog = Harness::start_with(|config| config.heartbeat = Duration::from_millis(20)).await;
    let mut watch = catalog.watch("").await;
    watch.next().await;
    while watch.raw.matches(": heartbeat\n\n").count() < 3 {
        assert!(watch.read().await);
    }
    catalog.put_service("alpha").await;
    assert_eq!(watch.next().await.0, "service");
}

#[tokio::test]
async fn streams_are_limited_and_given_back() {
    let catalog =
        Harness::start_with(|config| config.watchers_max = std::num::NonZeroUsize::MIN).await;
    let mut first = catalog.watch("").await;
    first.next().await;
    assert_eq!(catalog.metric("service_catalog_watchers").await, Some(1.0));
    let refused = catalog.get("/services/watch").await;
    refused.problem(503);
    assert_eq!(refused.header("retry-after"), "5");
    drop(first);
    eventually("the slot is free again", async || {
        (catalog.metric("service_catalog_watchers").await == Some(0.0)).then_some(())
    })
    .await;
    catalog.watch("").await.next().await;
}

#[tokio::test]
async fn streams_end_when_the_catalog_stops() {
    let catalog = Harness::start().await;
    let mut watches = [
        catalog.watch("").await,
        catalog.watch("?service=alpha").await,
    ];
    for watch in &mut watches {
        watch.next().await;
    }
    let (drained, _) = catalog.stop().await;
    assert!(drained.finished, "{drained:?}");
    for watch in &mut watches {
        // What comes at most is that the catalog took itself out.
        while watch.event().await.is_some() {}
    }
}
