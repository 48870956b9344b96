//! What can be written, by whom, and under which conditions.

use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::Harness;

#[tokio::test]
async fn writes_need_the_token_and_reads_do_not() {
    let catalog = Harness::start().await;
    let revision = catalog.revision().await;
    for (method, path) in [
        (Method::POST, "/services"),
        (Method::PUT, "/services/alpha"),
        (Method::DELETE, "/services/1"),
        (Method::PUT, "/services/1/instances/a"),
        (Method::DELETE, "/services/1/instances/a"),
    ] {
        let without = catalog.call(method.clone(), path).send().await;
        without.problem(401);
        assert_eq!(without.header("www-authenticate"), "Bearer");
        for wrong in [
            "Bearer wrong".to_owned(),
            format!("Bearer {}x", catalog.token),
        ] {
            let call = catalog
                .call(method.clone(), path)
                .header("authorization", &wrong);
            call.send().await.problem(403);
        }
        let basic = catalog
            .call(method, path)
            .header("authorization", "Basic eDp5");
        basic.send().await.problem(401);
    }
    assert_eq!(catalog.revision().await, revision);
}

#[tokio::test]
async fn create_read_replace_delete() {
    let catalog = Harness::start().await;
    let spec = json!({
        "name": "hold", "description": "d", "version": "1.4.2", "tags": ["demo"], "metadata": {"team": "core"},
        "min_instances": 1,
        "routes": [{ "host": "*.example.org", "path_prefix": "/hold/", "strip_prefix": true, "methods": ["GET"] }],
        "policy": { "balance": "round_robin", "health": { "path": "/health" } },
    });
    let created = catalog
        .write(Method::POST, "/services")
        .json(&spec)
        .send()
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let service = created.json();
    assert_eq!(
        created.header("location"),
        format!("/services/{}", service["id"])
    );
    assert_eq!(
        created.header("etag"),
        format!("\"{}\"", service["revision"])
    );
    assert_eq!(
        created.header("x-catalog-revision"),
        service["revision"].to_string()
    );
    for (key, value) in [("description", "d"), ("version", "1.4.2")] {
        assert_eq!(service[key], value);
    }
    assert_eq!(service["routes"][0]["path_prefix"], "/hold/");
    // What was written is there for the next reader.
    assert_eq!(catalog.get("/services/hold").await.text, created.text);

    let again = catalog
        .write(Method::POST, "/services")
        .json(&spec)
        .send()
        .await;
    assert!(again.problem(409).contains("taken"));

    let same = catalog.put("/services/hold", spec).await;
    assert_eq!((same.status, same.text), (StatusCode::OK, created.text));

    let replaced = catalog
        .put("/services/hold", json!({"name": "hold", "version": "2"}))
        .await;
    assert_eq!(replaced.status, StatusCode::OK);
    assert_eq!(replaced.json()["id"], service["id"]);
    assert_eq!(replaced.json()["description"], "");
    assert!(replaced.json()["revision"].as_u64() > service["revision"].as_u64());

    let deleted = catalog.delete("/services/hold").await;
    assert_eq!(
        (deleted.status, deleted.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert_eq!(
        deleted.header("x-catalog-revision"),
        catalog.revision().await.to_string()
    );
    catalog.get("/services/hold").await.problem(404);
    catalog.delete("/services/hold").await.problem(404);
}

#[tokio::test]
async fn put_creates_by_name_and_not_by_id() {
    let catalog = Harness::start().await;
    let created = catalog.put_service("alpha").await;
    assert_eq!(created.status, StatusCode::CREATED);
    let path = format!("/services/{}", created.json()["id"]);
    assert_eq!(
        catalog
            .put(&path, json!({"name": "alpha", "version": "2"}))
            .await
            .status,
        StatusCode::OK
    );
    assert!(
        catalog
            .put(&path, json!({"name": "beta"}))
            .await
            .problem(422)
            .contains("renaming")
    );
    assert!(
        catalog
            .put("/services/beta", json!({"name": "alpha"}))
            .await
            .problem(422)
            .contains("renaming")
    );
    catalog
        .put("/services/99", json!({"name": "alpha"}))
        .await
        .problem(404);
}

#[tokio::test]
async fn what_can_never_exist_is_refused_with_the_reason() {
    let catalog = Harness::start().await;
    let put = |path: &'static str, body| catalog.put(path, body);
    assert!(
        put("/services/calls", json!({"name": "calls"}))
            .await
            .problem(400)
            .contains("reserved")
    );
    assert!(
        put("/services/A", json!({"name": "a"}))
            .await
            .problem(400)
            .contains("DNS label")
    );
    assert!(
        put("/services/a", json!({"name": "watch"}))
            .await
            .problem(400)
            .contains("reserved")
    );
    assert!(
        put("/services/a", json!({"name": "7"}))
            .await
            .problem(400)
            .contains("number")
    );
    assert!(
        put("/services/a", json!({"name": "a", "nmae": 1}))
            .await
            .problem(400)
            .contains("nmae")
    );
    let instance = "/services/1/instances/a";
    assert!(
        put("/services/1/instances/a%20b", json!({}))
            .await
            .problem(400)
            .contains("instance id")
    );
    for (body, part) in [
        (json!({"address": "127.0.0.1:0"}), "port"),
        (json!({"address": "127.0.0.1:1", "weight": 0}), "weight"),
        (json!({"address": "127.0.0.1:1", "ttl": "25h"}), "24h"),
        (json!({"ttl": "1s"}), "address"),
    ] {
        assert!(
            put(instance, body).await.problem(400).contains(part),
            "{part}"
        );
    }
}

#[tokio::test]
async fn bodies_are_limited_and_have_to_be_json() {
    let catalog = Harness::start().await;
    let put = || catalog.write(Method::PUT, "/services/alpha");
    put()
        .text("text/plain", "{}".to_owned())
        .send()
        .await
        .problem(415);
    put()
        .text("application/json", "{".to_owned())
        .send()
        .await
        .problem(400);
    put()
        .text("application/json", String::new())
        .send()
        .await
        .problem(400);
    let long = json!({"name": "alpha", "description": "x".repeat(65 * 1024)});
    put().json(&long).send().await.problem(413);
    catalog.get("/services/alpha").await.problem(404);
}

#[tokio::test]
async fn preconditions_make_writes_compare_and_set() {
    let catalog = Harness::start().await;
    let put = |version: &str, condition: &'static str, value: &str| {
        let body = json!({"name": "alpha", "version": version});
        catalog
            .write(Method::PUT, "/services/alpha")
            .json(&body)
            .header(condition, value)
            .send()
    };
    put("1", "if-match", "*").await.problem(412);
    put("1", "if-match", "\"1\"").await.problem(412);
    let created = put("1", "if-none-match", "*").await;
    assert_eq!(created.status, StatusCode::CREATED);
    put("2", "if-none-match", "*").await.problem(412);
    let tag = created.header("etag").to_owned();
    let stale = put("2", "if-match", "\"1\"").await;
    stale.problem(412);
    assert_eq!(format!("\"{}\"", stale.json()["revision"]), tag);
    put("2", "if-match", &format!("W/{tag}")).await.problem(412);
    put("2", "if-match", "7").await.problem(400);
    let updated = put("2", "if-match", &format!("\"0\", {tag}")).await;
    assert_eq!(updated.status, StatusCode::OK);
    put("3", "if-match", &tag).await.problem(412);

    let delete = |value: &str| {
        catalog
            .write(Method::DELETE, "/services/alpha")
            .header("if-match", value)
            .send()
    };
    delete(&tag).await.problem(412);
    assert_eq!(
        delete(updated.header("etag")).await.status,
        StatusCode::NO_CONTENT
    );
    delete("*").await.problem(404);
}
