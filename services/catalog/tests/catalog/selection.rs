//! Parts of the list: filters and pages.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Answer, Harness};

/// `alpha` and `alpine` have the tag "blue", `beta` the tags "blue" and "old"; `beta` has an instance.
async fn stocked() -> Harness {
    let catalog = Harness::start().await;
    for (name, tags) in [
        ("alpha", json!(["blue"])),
        ("alpine", json!(["blue"])),
        ("beta", json!(["blue", "old"])),
    ] {
        let spec = json!({"name": name, "tags": tags});
        let created = catalog.put(&format!("/services/{name}"), spec).await;
        assert_eq!(created.status, StatusCode::CREATED);
    }
    let instance = json!({"address": "127.0.0.1:7001"});
    catalog.put("/services/beta/instances/a", instance).await;
    catalog
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let list = answer.json();
    let services = list["services"].as_array().unwrap().iter();
    services
        .map(|service| service["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn filters_are_combined() {
    let catalog = stocked().await;
    for (query, expected) in [
        ("?tag=blue", &["alpha", "alpine", "beta"][..]),
        ("?tag=old", &["beta"]),
        ("?tag=Blue", &[]),
        ("?status=passing", &["service-catalog", "beta"]),
        ("?status=draining", &[]),
        ("?name=alpha", &["alpha"]),
        ("?name=alp*", &["alpha", "alpine"]),
        ("?name=alp", &[]),
        ("?name=service-*", &["service-api", "service-catalog"]),
        ("?name=alp*&tag=blue&status=passing", &[]),
        ("?name=b*&tag=blue&status=passing", &["beta"]),
    ] {
        let answer = catalog.get(&format!("/services{query}")).await;
        assert_eq!(names(&answer), expected, "{query}");
        assert!(answer.json().get("next_cursor").is_none());
    }
}

#[tokio::test]
async fn selections_have_the_catalogs_revision_as_tag() {
    let catalog = stocked().await;
    let first = catalog.get("/services?tag=old").await;
    let whole = catalog.get("/services").await;
    assert_eq!(first.header("etag"), whole.header("etag"));
    assert_eq!(first.json()["revision"], whole.json()["revision"]);
    let again = catalog
        .call(Method::GET, "/services?tag=old")
        .header("if-none-match", first.header("etag"))
        .send()
        .await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn pages_show_everything_once_while_services_come_and_go() {
    let catalog = stocked().await;
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = catalog.get(&format!("/services{query}")).await;
        seen.extend(names(&page));
        let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else {
            break;
        };
        assert_eq!(names(&page).len(), 2);
        query = format!("?limit=2&cursor={cursor}");
        // What was seen already goes, and what comes is behind the cursor.
        catalog.delete(&format!("/services/{}", seen[0])).await;
        catalog.put_service("omega").await;
    }
    let expected = [
        "service-api",
        "service-catalog",
        "alpha",
        "alpine",
        "beta",
        "omega",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn pages_and_filters_go_together_and_a_full_page_can_be_the_last() {
    let catalog = stocked().await;
    let first = catalog.get("/services?tag=blue&limit=2").await;
    assert_eq!(names(&first), ["alpha", "alpine"]);
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let second = catalog
        .get(&format!("/services?tag=blue&limit=1&cursor={cursor}"))
        .await;
    assert_eq!(names(&second), ["beta"]);
    assert!(second.json().get("next_cursor").is_none());
    let rest = catalog.get(&format!("/services?cursor={cursor}")).await;
    assert_eq!(names(&rest), ["beta"]);
}

#[tokio::test]
async fn wrong_values_are_refused_with_what_is_allowed() {
    let catalog = Harness::start().await;
    for (query, part) in [
        ("?status=ok", "passing, critical, suspect, draining"),
        ("?status=", "status"),
        ("?limit=0", "1 to 1000"),
        ("?limit=1001", "1 to 1000"),
        ("?limit=x", "1 to 1000"),
        ("?cursor=1", "next_cursor"),
        ("?cursor=after-", "next_cursor"),
        ("?cursor=after-+1", "next_cursor"),
        ("?name=", "name"),
        ("?name=*", "name"),
        ("?name=a*b", "name"),
        ("?name=No_Name", "name"),
        ("?tag=", "tag"),
        ("?tag=a&tag=b", "twice"),
        ("?zone=a", "zone"),
    ] {
        let detail = catalog.get(&format!("/services{query}")).await.problem(400);
        assert!(detail.contains(part), "{query}: {detail}");
    }
}
