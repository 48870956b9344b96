//! A drain ends when everybody says that there is nothing left, and its answer says what became of the requests.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
};

use crate::{
    backend::{Backend, register},
    harness::{Answer, Call, Harness, eventually},
    receipts::Gateway,
    servers::{Durability, PostgresServer},
    shared,
};

/// Longer than any test waits.
const LONG: &str = "10m";

fn draining<'a>(catalog: &'a Harness, instance: &str, time: &str) -> Call<'a> {
    let path = format!("/services/web/instances/{instance}?drain={time}");
    catalog.write(Method::DELETE, &path)
}

async fn drain(catalog: &Harness, instance: &str, time: &str) -> Value {
    let answer = draining(catalog, instance, time).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

/// `web` with instances at which nobody answers. Answers the id of the service.
async fn web(catalog: &Harness, instances: &[&str]) -> u64 {
    let put = catalog.put_service("web").await;
    for (index, instance) in instances.iter().enumerate() {
        register(catalog, "web", instance, 40_000 + index as u16).await;
    }
    put.json()["id"].as_u64().unwrap()
}

/// A catalog that does not expect any gateway back that was there before it: what nobody has requests with is drained at once.
async fn settled() -> Harness {
    let catalog = Harness::start().await;
    web(&catalog, &["first"]).await;
    let report = drain(&catalog, "first", LONG).await;
    assert_eq!(report["outcome"], "finished", "{report}");
    catalog
}

fn count(service: u64, in_flight: u64, finished: u64) -> Value {
    json!([{"service": service, "instance": "a", "in_flight": in_flight, "finished": finished}])
}

/// Waits until an instance drains; answers the revision of that.
async fn drains(catalog: &Harness, instance: &str) -> u64 {
    eventually(&format!("{instance} drains"), async || {
        let status = catalog.status_of("web", instance).await;
        (status.as_deref() == Some("draining")).then_some(())
    })
    .await;
    catalog.revision().await
}

/// Checks that a drain goes on, after the catalog has had time for more than one look.
async fn goes_on(catalog: &Harness, answer: &mut (impl Future<Output = Value> + Unpin)) {
    let meanwhile = async {
        for turn in 0..10 {
            catalog.put_service(&format!("meanwhile-{turn}")).await;
        }
    };
    tokio::select! {
        biased;
        report = answer => panic!("it did not wait: {report}"),
        () = meanwhile => {}
    }
}

#[tokio::test]
async fn it_ends_when_every_gateway_has_nothing_left() {
    let catalog = settled().await;
    let service = web(&catalog, &["a", "b"]).await;
    let one = Gateway::connect(&catalog, "gw-1", 1).await;
    let other = Gateway::connect(&catalog, "gw-2", 2).await;
    let mut answer = Box::pin(drain(&catalog, "a", LONG));
    let revision = tokio::select! {
        revision = drains(&catalog, "a") => revision,
        report = &mut answer => panic!("it did not wait: {report}"),
    };
    // Both must know that it drains, have a count of it, and that must be 0.
    one.counts(&catalog, revision - 1, count(service, 0, 0))
        .await;
    other.counts(&catalog, revision, count(service, 0, 5)).await;
    goes_on(&catalog, &mut answer).await;
    one.counts(&catalog, revision, json!([])).await;
    goes_on(&catalog, &mut answer).await;
    one.counts(&catalog, revision, count(service, 2, 1)).await;
    goes_on(&catalog, &mut answer).await;
    one.counts(&catalog, revision, count(service, 0, 3)).await;
    let report = answer.await;
    assert_eq!(report["outcome"], "finished", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(8), &json!(0))
    );
    assert_eq!(report["unknown"], json!([]));
    assert!(report["revision"].as_u64().unwrap() > revision);
    assert_eq!(catalog.status_of("web", "a").await, None);
    assert!(catalog.status_of("web", "b").await.is_some());
}

#[tokio::test]
async fn when_its_time_is_over_the_answer_says_who_is_cut_and_who_is_unknown() {
    let catalog = Harness::start().await;
    let service = web(&catalog, &["a"]).await;
    let busy = Gateway::connect(&catalog, "gw-busy", 1).await;
    let mut old = Gateway::connect(&catalog, "gw-old", 2).await;
    let gone = Gateway::connect(&catalog, "gw-gone", 3).await;
    let _onlooker = catalog.watch("?service=web").await;
    let _of_others = catalog.watch("?service=service-api").await;
    let answer = drain(&catalog, "a", "2s");
    let saying = async {
        let revision = drains(&catalog, "a").await;
        busy.counts(&catalog, revision, count(service, 2, 4)).await;
        old.applies(&catalog, revision).await;
        gone.counts(&catalog, revision, count(service, 3, 1)).await;
        drop(gone);
    };
    let (report, ()) = tokio::join!(answer, saying);
    assert_eq!(report["outcome"], "time_over", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(5), &json!(2))
    );
    assert_eq!(report["unknown_count"], 2);
    assert_eq!(
        report["unknown"],
        json!([
            {"name": "gw-old", "in_flight": null},
            {"name": "gw-gone", "in_flight": 3},
        ])
    );
    assert_eq!(report["onlookers"], 1);
    assert!(report["seconds"].as_f64().unwrap() >= 2.0);
    assert_eq!(catalog.status_of("web", "a").await, None);
}

#[tokio::test]
async fn a_gateway_that_is_lost_is_waited_for_until_it_comes_back() {
    let catalog = settled().await;
    let service = web(&catalog, &["a"]).await;
    let mut gateway = Gateway::connect(&catalog, "gw-1", 1).await;
    gateway.applies(&catalog, 1).await;
    let mut answer = Box::pin(drain(&catalog, "a", LONG));
    let revision = tokio::select! {
        revision = drains(&catalog, "a") => revision,
        report = &mut answer => panic!("it did not wait: {report}"),
    };
    gateway
        .counts(&catalog, revision, count(service, 1, 0))
        .await;
    drop(gateway);
    goes_on(&catalog, &mut answer).await;
    let back = Gateway::connect(&catalog, "gw-1", 1).await;
    goes_on(&catalog, &mut answer).await;
    back.counts(&catalog, revision, count(service, 0, 1)).await;
    let report = answer.await;
    assert_eq!(
        (&report["outcome"], &report["finished"]),
        (&json!("finished"), &json!(1))
    );
}

#[tokio::test]
async fn readers_without_receipts_are_waited_for_unless_they_only_look_on() {
    let catalog = settled().await;
    web(&catalog, &["a", "b"]).await;
    let watching = catalog.watch("?observer=true").await;
    let report = drain(&catalog, "a", LONG).await;
    assert_eq!(report["outcome"], "finished", "{report}");
    let somebody = catalog.watch("").await;
    let report = drain(&catalog, "b", "500ms").await;
    assert_eq!(
        (&report["outcome"], &report["onlookers"]),
        (&json!("time_over"), &json!(1))
    );
    drop((watching, somebody));
    let wrong = catalog.get("/services/watch?observer=yes").await;
    assert!(wrong.problem(400).contains("observer: must be true"));
}

/// A backend that answers when it is told to.
async fn held() -> (Backend, watch::Sender<bool>) {
    let (release, released) = watch::channel(false);
    let backend = Backend::raw(move |mut stream| {
        let mut released = released.clone();
        async move {
            let mut request = [0; 4_096];
            let _read = stream.read(&mut request).await;
            drop(released.wait_for(|released| *released).await);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _written = stream.write_all(answer).await;
        }
    })
    .await;
    (backend, release)
}

async fn call(catalog: &Harness) -> Answer {
    catalog.get("/services/call/web/x").await
}

#[tokio::test]
async fn calls_through_the_catalog_count_too() {
    let catalog = settled().await;
    catalog.put_service("web").await;
    let (backend, release) = held().await;
    register(&catalog, "web", "a", backend.port).await;
    let mut calling = Box::pin(call(&catalog));
    tokio::select! {
        answer = &mut calling => panic!("it was not held: {}", answer.text),
        () = eventually("the call is there", async || (backend.connections() > 0).then_some(())) => {}
    }
    let mut answer = Box::pin(drain(&catalog, "a", LONG));
    tokio::select! {
        _ = drains(&catalog, "a") => {}
        report = &mut answer => panic!("it did not wait: {report}"),
        _ = &mut calling => panic!("it was not held"),
    }
    goes_on(&catalog, &mut answer).await;
    call(&catalog).await.problem(503);
    release.send_replace(true);
    let (report, called) = tokio::join!(answer, calling);
    assert_eq!(called.text, "ok");
    assert_eq!(report["outcome"], "finished", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn whatever_ends_a_drain_is_said() {
    let catalog = Harness::start().await;
    web(&catalog, &["a", "b", "c"]).await;
    let deleting = async {
        drains(&catalog, "a").await;
        catalog.delete("/services/web/instances/a").await;
    };
    let (report, ()) = tokio::join!(drain(&catalog, "a", LONG), deleting);
    assert_eq!(report["outcome"], "deleted", "{report}");
    let registering = async {
        drains(&catalog, "b").await;
        let spec = json!({"address": "127.0.0.1:40001", "weight": 2});
        catalog.put("/services/web/instances/b", spec).await;
    };
    let (report, ()) = tokio::join!(drain(&catalog, "b", LONG), registering);
    assert_eq!(report["outcome"], "kept", "{report}");
    let answering = tokio::spawn(draining(&catalog, "c", LONG).begin());
    drains(&catalog, "c").await;
    let (drained, _) = catalog.stop().await;
    assert!(drained.finished);
    assert_eq!(answering.await.unwrap().json()["outcome"], "interrupted");
}

#[tokio::test]
async fn gateways_and_calls_of_another_catalog_count_too() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let (one, other) = tokio::join!(shared::start(&url), shared::start(&url));
    let service = web(&one, &["b"]).await;
    let (backend, release) = held().await;
    register(&one, "web", "a", backend.port).await;
    one.delete("/services/web/instances/b").await;
    let gateway = Gateway::connect(&other, "gw-1", 1).await;
    eventually("the other one knows it", async || {
        other.status_of("web", "a").await
    })
    .await;
    let mut calling = Box::pin(call(&other));
    tokio::select! {
        answer = &mut calling => panic!("it was not held: {}", answer.text),
        () = eventually("the call is there", async || (backend.connections() > 0).then_some(())) => {}
    }
    let mut answer = Box::pin(drain(&one, "a", LONG));
    let revision = tokio::select! {
        revision = drains(&other, "a") => revision,
        report = &mut answer => panic!("it did not wait: {report}"),
        _ = &mut calling => panic!("it was not held"),
    };
    gateway.counts(&other, revision, count(service, 1, 2)).await;
    goes_on(&one, &mut answer).await;
    // The receipt may come to the wrong one, too.
    gateway.counts(&one, revision, count(service, 0, 3)).await;
    goes_on(&one, &mut answer).await;
    release.send_replace(true);
    assert_eq!(calling.await.text, "ok");
    let report = answer.await;
    assert_eq!(report["outcome"], "finished", "{report}");
    assert_eq!(
        (&report["finished"], &report["cut"]),
        (&json!(4), &json!(0))
    );

    // One that leaves just after its last word.
    register(&one, "web", "a", backend.port).await;
    eventually("the other one knows it", async || {
        other.status_of("web", "a").await
    })
    .await;
    let mut answer = Box::pin(drain(&one, "a", LONG));
    let revision = tokio::select! {
        revision = drains(&other, "a") => revision,
        report = &mut answer => panic!("it did not wait: {report}"),
    };
    gateway.counts(&other, revision, count(service, 1, 0)).await;
    goes_on(&one, &mut answer).await;
    gateway.counts(&other, revision, count(service, 0, 1)).await;
    drop(gateway);
    let report = answer.await;
    assert_eq!(
        (&report["outcome"], &report["finished"]),
        (&json!("finished"), &json!(1))
    );
}
