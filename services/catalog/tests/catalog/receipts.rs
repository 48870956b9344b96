//! Gateways say how far they are, and writes wait for them.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use catalog_api::{DRAINING_HEADER, RECEIPTS_PATH, RECEIVER_HEADER, STREAM_HEADER};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    harness::{Answer, Harness, PATIENCE, Watch, eventually},
    servers::{Durability, PostgresServer},
    shared,
};

const COUNT: &str = "service_catalog_propagation_seconds_count";

/// A gateway as the catalog sees it.
pub(crate) struct Gateway {
    watch: Watch,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) async fn connect(catalog: &Harness, name: &str, id: u128) -> Self {
        let call = catalog.call(Method::GET, "/services/watch");
        let call = call.header(RECEIVER_HEADER, &format!("{name}/{id:032x}"));
        let watch = call.watch().await;
        assert_eq!(watch.header(STREAM_HEADER).len(), 32);
        assert_eq!(watch.header(DRAINING_HEADER), "counted");
        Self { watch }
    }

    /// Sends a receipt to a catalog, which need not be the one of the stream.
    async fn says(&self, catalog: &Harness, revision: u64, refused: &[u64]) -> Answer {
        let stream = self.watch.header(STREAM_HEADER);
        let receipt = json!({"stream": stream, "revision": revision, "refused": refused});
        let call = catalog.call(Method::POST, RECEIPTS_PATH);
        call.json(&receipt).send().await
    }

    /// The same, with the requests that it has with draining instances.
    pub(crate) async fn counts(&self, catalog: &Harness, revision: u64, draining: Value) {
        let stream = self.watch.header(STREAM_HEADER);
        let receipt = json!({"stream": stream, "revision": revision, "draining": draining});
        let call = catalog.call(Method::POST, RECEIPTS_PATH);
        let taken = call.json(&receipt).send().await;
        assert_eq!(taken.status, StatusCode::NO_CONTENT, "{}", taken.text);
    }

    /// Reads until a revision and says that it is in effect.
    pub(crate) async fn applies(&mut self, catalog: &Harness, revision: u64) {
        while self.watch.next().await.1 < revision {}
        let taken = self.says(catalog, revision, &[]).await;
        assert_eq!(taken.status, StatusCode::NO_CONTENT, "{}", taken.text);
    }
}

fn revision_of(answer: &Answer) -> u64 {
    answer.header("x-catalog-revision").parse().unwrap()
}

/// What a write that waits has to say about whether it was worth it.
fn applied(answer: &Answer) -> &str {
    answer.header("x-catalog-applied")
}

/// Every kind of write, in an order in which each works.
fn writes() -> Vec<(Method, &'static str, Option<Value>, u16)> {
    let instance = json!({"address": "127.0.0.1:9"});
    vec![
        (Method::POST, "/services", Some(json!({"name": "web"})), 201),
        (
            Method::PUT,
            "/services/web",
            Some(json!({"name": "web", "description": "x"})),
            200,
        ),
        (
            Method::PUT,
            "/services/web/instances/a",
            Some(instance.clone()),
            201,
        ),
        (
            Method::DELETE,
            "/services/web/instances/a?drain=10m",
            None,
            202,
        ),
        (Method::DELETE, "/services/web/instances/a", None, 204),
        (Method::DELETE, "/services/web", None, 204),
    ]
}

async fn write(catalog: &Harness, method: &Method, path: &str, body: Option<&Value>) -> Answer {
    let sign = if path.contains('?') { '&' } else { '?' };
    let call = catalog.write(method.clone(), &format!("{path}{sign}wait=applied"));
    // Others pass it over.
    let call = call.header("prefer", "respond-async");
    match body {
        Some(body) => call.json(body).send().await,
        None => call.send().await,
    }
}

#[tokio::test]
async fn every_write_can_wait_for_every_gateway() {
    let catalog = Harness::start().await;
    let mut gateways = [
        Gateway::connect(&catalog, "gw-1", 1).await,
        Gateway::connect(&catalog, "gw-2", 2).await,
    ];
    // Somebody who looks on says nothing, and nobody waits for him.
    let _onlooker = catalog.watch("").await;
    for gateway in &mut gateways {
        gateway.applies(&catalog, 0).await;
    }
    for (turn, (method, path, body, status)) in writes().into_iter().enumerate() {
        let [first, second] = &mut gateways;
        let mut writing = Box::pin(write(&catalog, &method, path, body.as_ref()));
        let begun = async {
            let revision = first.watch.next().await.1;
            first.says(&catalog, revision, &[]).await;
            // A whole other write takes longer than an answer that is not held back.
            catalog.put_service(&format!("other-{turn}")).await;
            revision
        };
        let revision = tokio::select! {
            biased;
            answer = &mut writing => panic!("{method} {path} did not wait: {}", answer.text),
            revision = begun => revision,
        };
        second.applies(&catalog, revision).await;
        let answer = writing.await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!((applied(&answer), revision_of(&answer)), ("true", revision));
        first.watch.next().await;
        second.watch.next().await;
    }
    // Each write at each gateway, and the first receipt of each, which is no news.
    let counted = catalog.metric(COUNT).await.unwrap();
    assert!(counted >= 2.0 * writes().len() as f64, "{counted}");
}

#[tokio::test]
async fn without_gateways_and_without_the_wish_nothing_waits() {
    let catalog = Harness::start().await;
    for (method, path, body, status) in writes() {
        let answer = write(&catalog, &method, path, body.as_ref()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!(applied(&answer), "true");
    }
    let _gateway = Gateway::connect(&catalog, "gw-1", 1).await;
    let answer = catalog.put_service("web").await;
    assert_eq!((answer.status, applied(&answer)), (StatusCode::CREATED, ""));
    let wrong = catalog
        .write(Method::PUT, "/services/web?wait=someday")
        .json(&json!({"name": "web"}));
    assert!(wrong.send().await.problem(400).contains("wait"));
}

#[tokio::test]
async fn who_is_late_and_who_refuses_is_named() {
    let catalog = Harness::start().await;
    let silent = Gateway::connect(&catalog, "gw-silent", 1).await;
    let mut refuses = Gateway::connect(&catalog, "gw-refuses", 2).await;
    let mut good = Gateway::connect(&catalog, "gw-good", 3).await;
    let body = json!({"name": "web"});
    let writing = write(&catalog, &Method::PUT, "/services/web", Some(&body));
    let answering = async {
        refuses.watch.next().await;
        let (_, revision, service) = refuses.watch.next().await;
        let id = service["id"].as_u64().unwrap();
        refuses.says(&catalog, revision, &[id]).await;
        good.applies(&catalog, revision).await;
        revision
    };
    let (answer, revision) = tokio::join!(writing, answering);
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(
        (applied(&answer), revision_of(&answer)),
        ("false", revision)
    );
    assert!(answer.header("location").starts_with("/services/"));
    let pending = answer.json();
    assert_eq!(pending["missing_count"], 2);
    assert_eq!(
        pending["missing"],
        json!([
            {"gateway": "gw-refuses", "revision": revision, "refused": true},
            {"gateway": "gw-silent", "revision": null, "refused": false},
        ])
    );
    // The write is there all the same.
    assert_eq!(catalog.get("/services/web").await.status, StatusCode::OK);
    drop(silent);
}

#[tokio::test]
async fn who_leaves_or_comes_again_is_not_waited_for() {
    let catalog = Harness::start().await;
    let leaves = Gateway::connect(&catalog, "gw-1", 1).await;
    // The same gateway twice: its first stream was lost without a word.
    let lost = Gateway::connect(&catalog, "gw-2", 2).await;
    let mut again = Gateway::connect(&catalog, "gw-2", 2).await;
    let body = json!({"name": "web"});
    let writing = write(&catalog, &Method::PUT, "/services/web", Some(&body));
    let leaving = async {
        again.watch.next().await;
        let revision = again.watch.next().await.1;
        again.says(&catalog, revision, &[]).await;
        drop(leaves);
    };
    let (answer, ()) = tokio::join!(writing, leaving);
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(applied(&answer), "true");
    drop(lost);
}

#[tokio::test]
async fn receipts_are_for_readers_only() {
    let catalog = Harness::start().await;
    let gateway = Gateway::connect(&catalog, "gw-1", 1).await;
    let send = |body: Value| catalog.call(Method::POST, RECEIPTS_PATH).json(&body).send();
    let guess = json!({"stream": "0".repeat(32), "revision": 9});
    assert!(send(guess).await.problem(404).contains("no such stream"));
    let many: Vec<u64> = (0..65).collect();
    let stream = gateway.watch.header(STREAM_HEADER).to_owned();
    for body in [
        json!({}),
        json!({"stream": "guess", "revision": 1}),
        json!({"stream": stream, "revision": -1}),
        json!({"stream": stream, "revision": 1, "refused": many}),
        json!({"stream": stream, "revision": 1, "more": 1}),
        json!({"stream": stream, "revision": 1, "draining": [{"service": 1}]}),
    ] {
        send(body).await.problem(400);
    }
    assert_eq!(
        gateway.says(&catalog, 1, &[]).await.status,
        StatusCode::NO_CONTENT
    );
    drop(gateway.watch);
    eventually("nobody is there to send them", async || {
        let body = json!({"stream": stream, "revision": 1});
        (send(body).await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;

    let id = "0".repeat(32);
    for (path, field) in [
        ("/services/watch", "gw-1"),
        ("/services/watch", "gw-1/0"),
        ("/services/watch", "g w/00000000000000000000000000000000"),
        ("/services/watch?service=1", &format!("gw-1/{id}")),
        ("/services/watch?observer=true", &format!("gw-1/{id}")),
    ] {
        let call = catalog.call(Method::GET, path);
        let answer = call.header(RECEIVER_HEADER, field).send().await;
        assert!(answer.problem(400).contains(RECEIVER_HEADER), "{field}");
    }
}

#[tokio::test]
async fn a_write_at_one_catalog_waits_for_the_gateways_of_the_other() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let (one, other) = tokio::join!(shared::start(&url), shared::start(&url));
    let mut gateway = Gateway::connect(&other, "gw-1", 1).await;
    gateway.applies(&other, 0).await;
    // It is known at the first one when that takes its receipts, too.
    eventually("the first catalog knows of it", async || {
        let taken = gateway.says(&one, 1, &[]).await;
        (taken.status == StatusCode::NO_CONTENT).then_some(())
    })
    .await;
    for (turn, to) in [&other, &one, &other].into_iter().enumerate() {
        let body = json!({"name": "web", "description": format!("turn {turn}")});
        let mut writing = Box::pin(write(&one, &Method::PUT, "/services/web", Some(&body)));
        let heard = async {
            let description = json!(format!("turn {turn}"));
            loop {
                let (_, revision, data) = gateway.watch.next().await;
                if data["description"] == description {
                    one.put_service(&format!("meanwhile-{turn}")).await;
                    return revision;
                }
            }
        };
        let revision = tokio::select! {
            biased;
            answer = &mut writing => panic!("it did not wait: {}", answer.text),
            revision = heard => revision,
        };
        gateway.says(to, revision, &[]).await;
        let answer = writing.await;
        assert!(answer.status.is_success(), "{}", answer.text);
        assert_eq!((applied(&answer), revision_of(&answer)), ("true", revision));
    }
    assert!(one.metric(COUNT).await.unwrap() >= 2.0);

    // A catalog that stops takes its gateways with it.
    drop(gateway);
    let (drained, _) = other.stop().await;
    assert!(drained.finished);
    let begun = Instant::now();
    let body = json!({"name": "web", "description": "alone"});
    let writing = write(&one, &Method::PUT, "/services/web", Some(&body));
    let answer = timeout(PATIENCE, writing).await.unwrap();
    assert_eq!(applied(&answer), "true", "after {:?}", begun.elapsed());
}
