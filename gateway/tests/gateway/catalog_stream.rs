//! The watch stream: what is lost with it (nothing), how it is resumed, and who else is asked.

use gateway::Gateway;
use service_kit::shutdown;
use tempfile::TempDir;

use crate::harness::{Backend, Catalog, Mood, Rig, config, eventually, get, listeners, service};

async fn connected(rig: &Rig, expected: f64) {
    let what = format!("gateway_catalog_connected is {expected}");
    eventually(&what, async || {
        rig.metric("gateway_catalog_connected").await == Some(expected)
    })
    .await;
}

async fn serving() -> (Rig, Backend) {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    connected(&rig, 1.0).await;
    (rig, backend)
}

#[tokio::test]
async fn a_closed_stream_is_resumed_where_it_was() {
    let (rig, backend) = serving().await;
    let revision = rig.snapshot().revision().to_string();
    rig.catalog.hang_up();
    eventually("it came back", async || {
        rig.catalog.resumed_from().len() == 2
    })
    .await;
    assert_eq!(rig.catalog.resumed_from(), [None, Some(revision)]);
    connected(&rig, 1.0).await;
    rig.put(service("after", &[&backend])).await;
    assert_eq!(rig.get("/after/").await.text(), "b");
}

#[tokio::test]
async fn a_catalog_that_refuses_leaves_the_routes_alone() {
    let (rig, _backend) = serving().await;
    rig.catalog.be(Mood::Refusing);
    rig.catalog.hang_up();
    connected(&rig, 0.0).await;
    assert_eq!(rig.get("/hold/").await.text(), "b");
    eventually("the reason is told, and it is ready", async || {
        let ready = rig.admin("/readyz?verbose").await;
        ready.status() == 200 && ready.text().contains("answered 503")
    })
    .await;
    let before = rig.catalog.resumed_from().len();
    eventually("it keeps trying", async || {
        rig.catalog.resumed_from().len() > before + 2
    })
    .await;
    rig.catalog.be(Mood::Talking);
    connected(&rig, 1.0).await;
}

#[tokio::test]
async fn a_silent_catalog_changes_nothing() {
    let (rig, _backend) = serving().await;
    rig.catalog.be(Mood::Silent);
    rig.catalog.hang_up();
    eventually("it came back", async || {
        rig.catalog.resumed_from().len() == 2
    })
    .await;
    connected(&rig, 1.0).await;
    assert_eq!(rig.get("/hold/").await.text(), "b");
    rig.catalog.say(": heartbeat\n\n");
    rig.catalog
        .say("event: of-the-future\nid: 99\ndata: {}\n\n");
    assert_eq!(rig.get("/hold/").await.text(), "b");
    assert_eq!(rig.snapshot().services().len(), 1);
}

#[tokio::test]
async fn garbage_in_the_stream_opens_a_new_one() {
    let (rig, backend) = serving().await;
    for (tries, garbage) in [
        (2, "event: snapshot\nid: 9\ndata: []\n\n"),
        (3, "event: service\nid: nine\ndata: {}\n\n"),
        (4, "event: deleted\nid: 9\ndata: {}\n\n"),
    ] {
        rig.catalog.say(garbage);
        eventually("it came back", async || {
            rig.catalog.resumed_from().len() == tries
        })
        .await;
        assert_eq!(rig.get("/hold/").await.text(), "b", "{garbage}");
    }
    rig.put(service("after", &[&backend])).await;
    assert_eq!(rig.get("/after/").await.text(), "b");
}

#[tokio::test]
async fn a_catalog_that_went_back_in_time_is_believed() {
    let (rig, backend) = serving().await;
    rig.catalog.jump_to(1_000);
    rig.put(service("newest", &[&backend])).await;
    rig.catalog.jump_to(7);
    rig.catalog.hang_up();
    eventually("the revision is lower", async || {
        rig.snapshot().revision().0 == 7
    })
    .await;
    assert_eq!(rig.get("/hold/").await.text(), "b");
    rig.put(service("after", &[&backend])).await;
    assert_eq!(rig.get("/after/").await.text(), "b");
}

#[tokio::test]
async fn another_replica_takes_over() {
    let (first, second) = (Catalog::start().await, Catalog::start().await);
    let data = TempDir::new().unwrap();
    let (_stop, stopping) = shutdown::channel();
    let config = config(data.path(), &[&first, &second]);
    let gateway = Gateway::start(config, listeners(), stopping).await.unwrap();
    let backend = Backend::start("b").await;
    first.put(service("hold", &[&backend]));
    second.put(service("hold", &[&backend]));
    eventually("it serves", async || {
        get(gateway.address(), "/hold/").await.status() == 200
    })
    .await;
    assert_eq!(second.resumed_from().len(), 0);
    drop(first);
    eventually("it asks the second", async || {
        !second.resumed_from().is_empty()
    })
    .await;
    assert_eq!(get(gateway.address(), "/hold/").await.status(), 200);
    second.put(service("after", &[&backend]));
    eventually("it hears from the second", async || {
        get(gateway.address(), "/after/").await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn without_any_word_of_a_catalog_it_is_not_ready_but_answers() {
    let silent = Catalog::start().await;
    silent.be(Mood::Silent);
    let data = TempDir::new().unwrap();
    let (_stop, stopping) = shutdown::channel();
    let gateway = Gateway::start(config(data.path(), &[&silent]), listeners(), stopping)
        .await
        .unwrap();
    eventually("it is connected", async || silent.resumed_from().len() == 1).await;
    let ready = get(gateway.admin_address(), "/readyz?verbose").await;
    assert_eq!(ready.status(), 503);
    assert!(ready.text().contains("snapshot"), "{}", ready.text());
    assert_eq!(get(gateway.admin_address(), "/livez").await.status(), 200);
    assert_eq!(get(gateway.address(), "/api/").await.status(), 503);
}
