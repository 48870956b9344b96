//! Instances that do not register themselves: names that are resolved, and a file that is read.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, path::Path, time::Duration};

use catalog::{Config, StartError};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    backend::{Backend, dead_port, register},
    harness::{Harness, eventually},
    name_server::{NameServer, Says, parse, says},
};

/// A catalog that finds `service` behind a name of the server, on a port.
async fn catalog_with(server: &NameServer, targets: &[&str]) -> Harness {
    Harness::start_with(|config| by_names(config, server, targets)).await
}

fn by_names(config: &mut Config, server: &NameServer, targets: &[&str]) {
    config.discovery.targets = targets.iter().map(|text| text.parse().unwrap()).collect();
    config.discovery.resolver = Some(server.address);
    config.discovery.interval_max = Duration::from_secs(2);
}

async fn instances(catalog: &Harness, service: &str) -> Vec<Value> {
    let answer = catalog.get(&format!("/services/{service}")).await;
    if answer.status != StatusCode::OK {
        return Vec::new();
    }
    answer.json()["instances"].as_array().unwrap().clone()
}

async fn ids(catalog: &Harness, service: &str) -> Vec<String> {
    let instances = instances(catalog, service).await;
    let ids = instances
        .iter()
        .map(|found| found["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn has(catalog: &Harness, service: &str, expected: &[&str]) {
    eventually(&format!("{service} has {expected:?}"), async || {
        (ids(catalog, service).await == expected).then_some(())
    })
    .await;
}

async fn report(catalog: &Harness) -> Value {
    let answer = catalog.get("/services/discover").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

/// Waits until the one source of names has a problem with these words.
async fn has_problem(catalog: &Harness, words: &str) {
    eventually(&format!("a problem: {words}"), async || {
        let report = report(catalog).await;
        let problems = report["sources"][0]["problems"].to_string();
        problems.contains(words).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_address_of_a_name_is_an_instance_and_follows_the_name() {
    let server = NameServer::start().await;
    let port = dead_port();
    server.about("hold.test", says(&["127.0.0.2", "127.0.0.3", "::1"], 1));
    let catalog = catalog_with(&server, &[&format!("hold=http://hold.test:{port}")]).await;
    let id = |address: &str| format!("dns-{address}-{port}");
    let (two, three, six) = (id("127.0.0.2"), id("127.0.0.3"), id("::1"));
    has(&catalog, "hold", &[&two, &three, &six]).await;
    let found = instances(&catalog, "hold").await[2].clone();
    assert_eq!(found["address"], format!("[::1]:{port}"));
    assert_eq!(
        (&found["source"], &found["ttl"]),
        (&json!("dns"), &json!("6s"))
    );

    // Three more, as after a scale-up, and then only one of those; nobody restarts anything.
    server.about(
        "hold.test",
        says(&["127.0.0.2", "127.0.0.3", "127.0.0.4"], 1),
    );
    let four = id("127.0.0.4");
    has(&catalog, "hold", &[&two, &three, &four]).await;
    server.about("hold.test", says(&["127.0.0.4"], 1));
    has(&catalog, "hold", &[&four]).await;
}

#[tokio::test]
async fn the_ttl_says_when_a_name_is_asked_for_again() {
    let server = NameServer::start().await;
    let port = dead_port();
    server.about("short.test", says(&["127.0.0.2"], 1));
    server.about("long.test", says(&["127.0.0.2"], 600));
    let short = format!("short=http://short.test:{port}");
    let long = format!("long=http://long.test:{port}");
    let slow = |config: &mut Config| config.discovery.interval_max = Duration::from_secs(3_600);
    let catalog = Harness::start_with(|config| {
        by_names(config, &server, &[&short, &long]);
        slow(config);
    })
    .await;
    let [before, after] = ["127.0.0.2", "127.0.0.3"].map(|ip| format!("dns-{ip}-{port}"));
    has(&catalog, "long", &[&before]).await;
    for name in ["short.test", "long.test"] {
        server.about(name, says(&["127.0.0.3"], 1));
    }
    has(&catalog, "short", &[&after]).await;
    assert_eq!(ids(&catalog, "long").await, [before.as_str()]);
    // Whoever does not want to wait for the TTL asks.
    let report = report(&catalog).await;
    let long = &report["sources"][0];
    assert_eq!(
        (&long["service"], &long["status"]),
        (&json!("long"), &json!("ok"))
    );
    assert_eq!(long["added"], json!([after]));
    assert_eq!(long["removed"], json!([before]));
    assert_eq!(long["found"], json!([format!("127.0.0.3:{port}")]));
    assert_eq!(ids(&catalog, "long").await, [after.as_str()]);
}

#[tokio::test]
async fn who_cannot_be_asked_takes_nobody_away() {
    let server = NameServer::start().await;
    let port = dead_port();
    let target = format!("hold=http://hold.test:{port}");
    server.about("hold.test", says(&["127.0.0.2", "::1"], 1));
    let catalog = catalog_with(&server, &[&target]).await;
    let [four, six] = ["127.0.0.2", "::1"].map(|ip| format!("dns-{ip}-{port}"));
    has(&catalog, "hold", &[&four, &six]).await;
    for (says, words) in [
        (Says::Silence, "does not answer"),
        (Says::Code(2), "SERVFAIL"),
        (Says::OnlyV4(parse(&["127.0.0.2"]), 1), "SERVFAIL"),
    ] {
        server.about("hold.test", says);
        has_problem(&catalog, words).await;
        assert_eq!(
            ids(&catalog, "hold").await,
            [four.as_str(), &six],
            "{words}"
        );
    }
    let ready = catalog.get("/readyz?verbose").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert!(ready.text.contains("SERVFAIL"), "{}", ready.text);

    // Nor does a restart, before anybody answered: leases do not run out meanwhile.
    server.about("hold.test", Says::Silence);
    let (_, folder) = catalog.stop().await;
    let catalog = Harness::start_in(folder, |config| by_names(config, &server, &[&target])).await;
    let catalog = catalog.unwrap();
    has_problem(&catalog, "does not answer").await;
    // A lease that begins now and lasts as long shows when theirs would have run out.
    let witness = json!({ "address": format!("127.0.0.9:{port}"), "ttl": "6s" });
    catalog
        .put("/services/service-api/instances/witness", witness)
        .await;
    let evicted = r#"service_catalog_lease_expirations_total{outcome="evicted"}"#;
    eventually("a lease runs out", async || {
        (catalog.metric(evicted).await > Some(0.0)).then_some(())
    })
    .await;
    assert_eq!(catalog.metric(evicted).await, Some(1.0));
    assert_eq!(ids(&catalog, "hold").await, [four.as_str(), &six]);
    // When it answers again, it is believed.
    server.about("hold.test", says(&["127.0.0.2"], 1));
    has(&catalog, "hold", &[&four]).await;
}

#[tokio::test]
async fn a_name_that_is_gone_takes_its_instances_with_it() {
    let server = NameServer::start().await;
    let port = dead_port();
    for gone in [Says::Code(3), says(&[], 1)] {
        server.about("hold.test", says(&["127.0.0.2"], 1));
        let catalog = catalog_with(&server, &[&format!("hold=http://hold.test:{port}")]).await;
        has(&catalog, "hold", &[&format!("dns-127.0.0.2-{port}")]).await;
        server.about("hold.test", gone.clone());
        has(&catalog, "hold", &[]).await;
        let words = match gone {
            Says::Code(_) => "no such name",
            _ => "no address",
        };
        has_problem(&catalog, words).await;
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_comes_by_tcp() {
    let server = NameServer::start().await;
    let port = dead_port();
    let many: Vec<String> = (2..=60).map(|last| format!("127.0.1.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    server.about("hold.test", Says::TooMuch(parse(&many), 1));
    let catalog = catalog_with(&server, &[&format!("hold=http://hold.test:{port}")]).await;
    eventually("all of them are there", async || {
        (ids(&catalog, "hold").await.len() == 59).then_some(())
    })
    .await;
}

#[tokio::test]
async fn addresses_and_localhost_need_no_server() {
    let port = dead_port();
    let targets = [
        format!("one=http://127.0.0.9:{port}"),
        format!("local=http://localhost:{port}"),
    ];
    let catalog = Harness::start_with(|config| {
        config.discovery.targets = targets.iter().map(|text| text.parse().unwrap()).collect();
    })
    .await;
    has(&catalog, "one", &[&format!("dns-127.0.0.9-{port}")]).await;
    eventually("localhost is there", async || {
        let local = format!("dns-127.0.0.1-{port}");
        ids(&catalog, "local").await.contains(&local).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_registered_is_left_alone() {
    let server = NameServer::start().await;
    let port = dead_port();
    server.about("hold.test", says(&["127.0.0.2", "127.0.0.3"], 1));
    let catalog = catalog_with(&server, &[&format!("hold=http://hold.test:{port}")]).await;
    let [two, three] = ["127.0.0.2", "127.0.0.3"].map(|ip| format!("dns-{ip}-{port}"));
    has(&catalog, "hold", &[&two, &three]).await;
    // Somebody registers one of the addresses under a name of his own, and takes the other entry over.
    let put = async |id: &str, address: &str| {
        let path = format!("/services/hold/instances/{id}");
        let body = json!({ "address": format!("{address}:{port}"), "weight": 7 });
        let answer = catalog.put(&path, body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    };
    put("mine", "127.0.0.2").await;
    put(&three, "127.0.0.3").await;
    has(&catalog, "hold", &[&three, "mine"]).await;
    let report = report(&catalog).await;
    let registered = json!([format!("127.0.0.2:{port}"), format!("127.0.0.3:{port}")]);
    assert_eq!(report["sources"][0]["registered"], registered);
    server.about("hold.test", Says::Code(3));
    has_problem(&catalog, "no such name").await;
    let left = instances(&catalog, "hold").await;
    assert_eq!(left.len(), 2);
    assert!(
        left.iter()
            .all(|left| left["weight"] == 7 && left.get("source").is_none())
    );
}

#[tokio::test]
async fn the_same_again_makes_no_revision() {
    let server = NameServer::start().await;
    let port = dead_port();
    server.about("hold.test", says(&["127.0.0.2", "127.0.0.3"], 1));
    let catalog = catalog_with(&server, &[&format!("hold=http://hold.test:{port}")]).await;
    // They are dead and known to be: nothing changes any more.
    eventually("both are critical", async || {
        let found = instances(&catalog, "hold").await;
        let all = found.iter().all(|found| found["status"] == "critical");
        (found.len() == 2 && all).then_some(())
    })
    .await;
    let (revision, asked) = (catalog.revision().await, server.questions());
    eventually("it was looked up some more", async || {
        (server.questions() > asked + 6).then_some(())
    })
    .await;
    report(&catalog).await;
    assert_eq!(catalog.revision().await, revision);
}

#[tokio::test]
async fn the_dead_get_no_calls_and_come_back() {
    let server = NameServer::start().await;
    let alive = Backend::start("alive").await;
    let port = alive.port;
    server.about("hold.test", says(&["127.0.0.1", "127.0.0.2"], 1));
    let catalog = catalog_with(&server, &[&format!("hold=http://hold.test:{port}")]).await;
    let [one, two] = ["127.0.0.1", "127.0.0.2"].map(|ip| format!("dns-{ip}-{port}"));
    // Asked before it is put there: it never was anything else.
    let mut watch = catalog.watch("?service=hold").await;
    let status = async |instance: &str| catalog.status_of("hold", instance).await;
    has(&catalog, "hold", &[&one, &two]).await;
    assert_eq!(status(&one).await.as_deref(), Some("passing"));
    assert_eq!(status(&two).await.as_deref(), Some("critical"));
    for _ in 0..10 {
        let answer = catalog.get("/services/call/hold/").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["instance"], "alive");
    }
    let listed = catalog.get("/services?status=critical").await.json();
    assert_eq!(listed["services"][0]["name"], "hold");
    let counted = r#"service_catalog_instances{service="hold",status="critical"}"#;
    assert_eq!(catalog.metric(counted).await, Some(1.0));
    assert_eq!(watch.next().await.0, "snapshot");

    let listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    eventually("it passes", async || {
        (status(&two).await.as_deref() == Some("passing")).then_some(())
    })
    .await;
    // One failed look is not enough: the policy says two.
    drop(listener);
    eventually("it is critical", async || {
        (status(&two).await.as_deref() == Some("critical")).then_some(())
    })
    .await;
    assert_eq!(ids(&catalog, "hold").await, [one.as_str(), &two]);
}

fn write(path: &Path, text: &str) {
    // As editors and mounts do it.
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

const HOLD: &str = r#"
[[services]]
name = "hold"
tags = ["from-a-file"]
routes = [{ path_prefix = "/hold/" }]
instances = [
  { address = "127.0.0.2:1", weight = 3, zone = "a" },
  { id = "second", address = "hold.internal:2", metadata = { rack = "7" } },
]
"#;

#[tokio::test]
async fn a_file_is_followed_and_a_bad_one_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.toml");
    write(&path, HOLD);
    let with_file = |config: &mut Config| config.discovery.file = Some(path.clone());
    let catalog = Harness::start_with(with_file).await;
    has(&catalog, "hold", &["file-127.0.0.2-1", "second"]).await;
    let service = catalog.get("/services/hold").await.json();
    assert_eq!(
        (&service["tags"], &service["source"]),
        (&json!(["from-a-file"]), &json!("file"))
    );
    let first = &service["instances"][0];
    assert_eq!((&first["weight"], &first["zone"]), (&json!(3), &json!("a")));
    assert_eq!(first["source"], "file");

    // An edit in place.
    fs::write(
        &path,
        HOLD.replace("from-a-file", "edited")
            .replace("weight = 3", "weight = 4"),
    )
    .unwrap();
    eventually("the edit is there", async || {
        let service = catalog.get("/services/hold").await.json();
        let is_there =
            service["tags"] == json!(["edited"]) && service["instances"][0]["weight"] == 4;
        is_there.then_some(())
    })
    .await;

    for (text, words) in [
        ("[[services]\n", "TOML"),
        ("[[services]]\nname = \"hold\"\n", "no instances"),
        (
            "[[services]]\nname = \"Hold!\"\ninstances = [{ address = \"a:1\" }]\n",
            "DNS label",
        ),
        (
            "[[services]]\nname = \"hold\"\ncolour = 1\ninstances = [{ address = \"a:1\" }]\n",
            "colour",
        ),
        (
            "[[services]]\nname = \"hold\"\ninstances = [{ address = \"a:1\" }, { address = \"a:1\" }]\n",
            "twice",
        ),
    ] {
        write(&path, text);
        has_problem(&catalog, words).await;
        assert_eq!(ids(&catalog, "hold").await, ["file-127.0.0.2-1", "second"]);
    }
    fs::remove_file(&path).unwrap();
    has_problem(&catalog, "cannot be read").await;
    let ready = catalog.get("/readyz?verbose").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert!(
        ready.text.contains("what was read before goes on"),
        "{}",
        ready.text
    );
    assert_eq!(ids(&catalog, "hold").await, ["file-127.0.0.2-1", "second"]);

    // What somebody registered stays, and with it the service; then the file has the last word on what only it declared.
    register(&catalog, "hold", "by-hand", 9).await;
    write(
        &path,
        "[[services]]\nname = \"other\"\ninstances = [{ address = \"127.0.0.2:1\" }]\n",
    );
    has(&catalog, "hold", &["by-hand"]).await;
    has(&catalog, "other", &["file-127.0.0.2-1"]).await;
    catalog.delete("/services/hold/instances/by-hand").await;
    eventually("the service is gone", async || {
        let status = catalog.get("/services/hold").await.status;
        (status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_that_somebody_declares_is_his() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.toml");
    write(&path, HOLD);
    let catalog = Harness::start_with(|config| config.discovery.file = Some(path.clone())).await;
    has(&catalog, "hold", &["file-127.0.0.2-1", "second"]).await;
    let mine = json!({ "name": "hold", "tags": ["mine"] });
    assert_eq!(
        catalog.put("/services/hold", mine).await.status,
        StatusCode::OK
    );
    write(
        &path,
        &HOLD
            .replace("weight = 3", "weight = 5")
            .replace("from-a-file", "again"),
    );
    eventually("the instance is as in the file", async || {
        (instances(&catalog, "hold").await[0]["weight"] == 5).then_some(())
    })
    .await;
    let service = catalog.get("/services/hold").await.json();
    assert_eq!(service["tags"], json!(["mine"]));
    assert!(service.get("source").is_none());
}

#[tokio::test]
async fn without_a_usable_file_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.toml");
    for text in [None, Some("services = 7")] {
        if let Some(text) = text {
            write(&path, text);
        }
        let started = Harness::start_in(
            std::sync::Arc::new(tempfile::tempdir().unwrap()),
            |config| config.discovery.file = Some(path.clone()),
        );
        let Err(error) = started.await else {
            panic!("it started with {text:?}");
        };
        assert!(matches!(error, StartError::Discovery(..)), "{error:?}");
        assert!(error.to_string().contains("services.toml"), "{error}");
    }
}

#[tokio::test]
async fn asking_is_bounded() {
    let server = NameServer::start().await;
    server.about("hold.test", says(&["127.0.0.2"], 600));
    let target = format!("hold=http://hold.test:{}", dead_port());
    let catalog = catalog_with(&server, &[&target]).await;
    report(&catalog).await;
    let before = server.questions();
    let asking = (0..50).map(|_| report(&catalog));
    let reports = futures_util::future::join_all(asking).await;
    // One look for all of them: A and AAAA. Some may have come a second later, and the interval may have passed.
    let asked = server.questions() - before;
    assert!(asked <= 12, "{asked} questions");
    assert!(
        reports
            .iter()
            .all(|report| report["sources"][0]["status"] == "ok")
    );
    catalog.get("/services/discover?now=1").await.problem(400);
    let wrong = catalog
        .call(Method::POST, "/services/discover")
        .send()
        .await;
    wrong.problem(405);
}

#[tokio::test]
async fn without_sources_there_is_nothing_to_report() {
    let catalog = Harness::start().await;
    let report = report(&catalog).await;
    assert_eq!(report["sources"], json!([]));
    assert_eq!(report["revision"], catalog.revision().await);
}
