//! Purging by the admin API, and with the service.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    cache::{cached, numbered},
    harness::{Answers, Backend, Behaviour, Message, Rig, eventually, send},
};

async fn purge(rig: &Rig, what: &Value) -> Message {
    let json = [("content-type", "application/json")];
    let address = rig.gateway.admin_address();
    send(address, "POST", "/cache/purge", &json, &what.to_string()).await
}

async fn kept(rig: &Rig, host: &str, target: &str) -> bool {
    // The cache alone answers, so that asking fills nothing.
    let fields = [("host", host), ("cache-control", "only-if-cached")];
    rig.send("GET", target, &fields, "").await.status() == 200
}

#[tokio::test]
async fn operators_purge_by_url_prefix_tag_service_and_all() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let answer = |request: &Message| {
        let last = request.target().rsplit('/').next().unwrap();
        format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nvary: x-v\r\ncache-tag: t-{last}, all\r\nsurrogate-key: s-{last} more\r\ncontent-length: 0\r\n\r\n"
        )
    };
    backend.behave(Behaviour::Answers(Answers {
        answer: Arc::new(answer),
        permits: None,
    }));
    rig.put(cached(&backend, json!({}))).await;
    let (a, b) = ("a.test", "b.test:81");
    for (what, purged, gone) in [
        (
            json!({"url": "http://A.test:80/c/./img/1"}),
            2,
            vec![(a, "/c/img/1")],
        ),
        (
            json!({"url": "https://b.test:81/c/img/1"}),
            1,
            vec![(b, "/c/img/1")],
        ),
        (json!({"url": "http://a.test/c/none"}), 0, vec![]),
        (
            json!({"prefix": "http://a.test/c/img/"}),
            3,
            vec![(a, "/c/img/1"), (a, "/c/img/2")],
        ),
        (json!({"tag": "t-2"}), 1, vec![(a, "/c/img/2")]),
        (
            json!({"tag": "s-1"}),
            3,
            vec![(a, "/c/img/1"), (b, "/c/img/1")],
        ),
        (json!({"tag": "t-"}), 0, vec![]),
        (
            json!({"service": "c"}),
            4,
            vec![(a, "/c/img/1"), (a, "/c/img/2"), (b, "/c/img/1")],
        ),
        (
            json!({"all": true}),
            4,
            vec![(a, "/c/img/1"), (a, "/c/img/2"), (b, "/c/img/1")],
        ),
    ] {
        for (host, target, variant) in [
            (a, "/c/img/1", "1"),
            (a, "/c/img/1", "2"),
            (a, "/c/img/2", "1"),
            (b, "/c/img/1", "1"),
        ] {
            let answer = rig
                .send("GET", target, &[("host", host), ("x-v", variant)], "")
                .await;
            assert_eq!(
                (
                    answer.status(),
                    answer.header("cache-tag"),
                    answer.header("surrogate-key")
                ),
                (200, None, None)
            );
        }
        let answer = purge(&rig, &what).await;
        assert_eq!(
            (answer.status(), answer.json()),
            (200, json!({"purged": purged})),
            "{what}"
        );
        for (host, target) in [(a, "/c/img/1"), (a, "/c/img/2"), (b, "/c/img/1")] {
            let fields = [
                ("host", host),
                ("cache-control", "only-if-cached"),
                ("x-v", "1"),
            ];
            let is_kept = rig.send("GET", target, &fields, "").await.status() == 200;
            assert_eq!(
                is_kept,
                !gone.contains(&(host, target)),
                "{what}: {host}{target}"
            );
        }
    }
    for wrong in [
        json!({"url": "/c/x"}),
        json!({"url": "ftp://a/"}),
        json!({"service": "nobody"}),
        json!({"all": false}),
        json!({"what": 1}),
        json!({}),
    ] {
        assert_eq!(purge(&rig, &wrong).await.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_being_fetched_during_a_purge_is_not_kept() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let permits = Arc::new(Semaphore::new(0));
    backend.behave(numbered(
        "cache-control: max-age=60",
        Some(Arc::clone(&permits)),
    ));
    rig.put(cached(&backend, json!({}))).await;
    let address = rig.address();
    let fetch = tokio::spawn(async move { crate::harness::get(address, "/c/x").await });
    eventually("the service is asked", async || backend.hits() == 1).await;
    assert_eq!(
        purge(&rig, &json!({"url": "http://gateway.test/c/x"}))
            .await
            .json(),
        json!({"purged": 0})
    );
    permits.add_permits(1);
    assert_eq!(fetch.await.unwrap().text(), "/x 1");
    assert!(!kept(&rig, "gateway.test", "/c/x").await);
}

#[tokio::test]
async fn a_service_that_goes_takes_its_answers_with_it() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    backend.behave(numbered("cache-control: max-age=60", None));
    let objects = async || rig.metric("gateway_cache_objects").await;
    rig.put(cached(&backend, json!({}))).await;
    rig.get("/c/x").await;
    assert_eq!(objects().await, Some(1.0));
    // A change of anything else leaves them.
    rig.put(cached(&backend, json!({"default_ttl": "1s"})))
        .await;
    assert!(kept(&rig, "gateway.test", "/c/x").await);
    rig.put(crate::harness::steady_service("c", &[&backend]))
        .await;
    eventually("no cache, no answers", async || {
        objects().await == Some(0.0)
    })
    .await;
    rig.put(cached(&backend, json!({}))).await;
    rig.get("/c/x").await;
    assert_eq!(objects().await, Some(1.0));
    rig.delete("c").await;
    eventually("no service, no answers", async || {
        objects().await == Some(0.0)
    })
    .await;
}
