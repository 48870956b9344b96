//! The binary as users and orchestrators meet it: exit codes, signals, messages.

use std::{net::TcpListener, os::unix::net::UnixDatagram};

use crate::{
    drain::{read_whole, slow_answer, until_closed},
    instance::Asker,
    program::{run, spawn},
    recording_catalog::{PATIENCE, RecordingCatalog, TOKEN},
};

/// Flags, environment, and a part of the message.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

const FREE_PORT: (&str, &str) = ("NAMES_LISTEN", "127.0.0.1:0");

#[tokio::test]
async fn it_serves_and_ends_with_0_on_term_and_on_int() {
    for signal in ["TERM", "INT"] {
        let mut program = spawn(&[], &[FREE_PORT, ("NAMES_INSTANCE", "blue")]);
        let asker = Asker::new(program.ready());
        assert_eq!(asker.json("/status").await["instance"], "blue");
        program.signal("HUP");
        assert_eq!(asker.names("/names/3").await.len(), 3);
        program.signal(signal);
        let ended = program.ended();
        assert_eq!(ended.code, Some(0), "{signal}: {ended:?}");
    }
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let mut program = spawn(&[], &[FREE_PORT, ("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert_eq!(told(), "READY=1");
    program.ready();
    program.signal("HUP");
    assert_eq!([told(), told()], ["RELOADING=1", "READY=1"]);
    program.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(program.ended().code, Some(0));
}

#[tokio::test]
async fn a_request_in_flight_is_finished_after_term() {
    let mut program = spawn(&[], &[FREE_PORT]);
    let address = program.ready();
    let answer = slow_answer(address).await;
    program.signal("TERM");
    until_closed(address).await;
    assert!(program.is_running());
    read_whole(answer).await;
    assert_eq!(program.ended().code, Some(0));
}

#[tokio::test]
async fn a_second_int_ends_it_at_once() {
    let mut program = spawn(&[], &[FREE_PORT]);
    let address = program.ready();
    let answer = slow_answer(address).await;
    program.signal("INT");
    until_closed(address).await;
    assert!(program.is_running());
    program.signal("INT");
    let ended = program.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("second interrupt"), "{ended:?}");
    drop(answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_registers_and_leaves() {
    let catalog = RecordingCatalog::start().await;
    let url = format!("http://{}", catalog.address());
    let mut program = spawn(
        &[],
        &[
            FREE_PORT,
            ("CATALOG_URL", &url),
            ("CATALOG_TOKEN", TOKEN),
            ("NAMES_INSTANCE", "blue"),
        ],
    );
    let address = program.ready();
    let requests = catalog
        .until(|requests| requests.iter().any(|request| request.line() == "PUT 201"))
        .await;
    let put = requests.last().unwrap();
    assert_eq!(put.path, "/services/service-api/instances/blue");
    assert_eq!(put.body["address"], address.to_string());
    assert_eq!(put.body["ttl"], "10s");
    program.signal("TERM");
    let ended = program.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(catalog.log().last().unwrap(), "DELETE 204");
    assert!(catalog.instances().is_empty());
    assert!(
        !ended.stderr.contains(TOKEN) && !ended.stdout.contains(TOKEN),
        "{ended:?}"
    );
}

#[test]
fn a_wrong_configuration_ends_with_2_and_says_what_is_wrong() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let cases: [Case; 12] = [
        (&[], &[("NAMES_LISTNE", "127.0.0.1:0")], "NAMES_LISTEN"),
        (&[], &[("NAMES_LISTEN", &address)], "taken"),
        (&[], &[("NAMES_LISTEN", "5000")], "host:port"),
        (&[], &[("NAMES_LISTEN", "")], "NAMES_LISTEN"),
        (&[], &[FREE_PORT, ("PORT", "5000")], "PORT"),
        (&[], &[("PORT", "70000")], "PORT"),
        (
            &[],
            &[FREE_PORT, ("NAMES_INSTANCE", "a b")],
            "NAMES_INSTANCE",
        ),
        (
            &[],
            &[FREE_PORT, ("CATALOG_TOKEN", "hunter2")],
            "CATALOG_URL",
        ),
        (
            &[],
            &[FREE_PORT, ("CATALOG_URL", "catalog:5001")],
            "http://host:port",
        ),
        (
            &[],
            &[FREE_PORT, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel")],
            "trace export",
        ),
        (&[], &[FREE_PORT, ("RUST_LOG", "=loud=")], "RUST_LOG"),
        (&["--port-number", "1"], &[FREE_PORT], "--port-number"),
    ];
    for (args, env, part) in cases {
        let ended = run(args, env);
        assert_eq!(ended.code, Some(2), "{env:?}: {ended:?}");
        assert!(ended.stderr.contains(part), "{env:?}: {ended:?}");
        assert!(
            ended.stdout.is_empty() && !ended.stderr.contains("hunter2"),
            "{ended:?}"
        );
    }
}

#[test]
fn a_configuration_can_be_checked_and_printed_without_starting() {
    let env = [
        ("NAMES_LISTEN", "127.0.0.1:1"),
        ("CATALOG_URL", "http://catalog:5001"),
        ("CATALOG_TOKEN", "hunter2"),
    ];
    let checked = run(&["--check"], &env);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let printed = run(&["--print-config"], &env);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed.stdout.contains("http://catalog:5001") && printed.stdout.contains("<redacted>"),
        "{printed:?}"
    );
    assert!(!printed.stdout.contains("hunter2"), "{printed:?}");
    let wrong = run(
        &["--check"],
        &[("NAMES_LISTEN", "127.0.0.1:1"), ("REGISTRATION_TTL", "3s")],
    );
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
fn the_healthcheck_asks_the_running_program() {
    let mut program = spawn(&[], &[FREE_PORT]);
    let address = program.ready().to_string();
    let asked = run(&["--healthcheck"], &[("NAMES_LISTEN", &address)]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    program.signal("KILL");
    program.ended();
    let asked = run(&["--healthcheck"], &[("NAMES_LISTEN", &address)]);
    assert_eq!(asked.code, Some(1), "{asked:?}");
}

#[tokio::test]
async fn host_and_port_are_honoured() {
    let mut program = spawn(&[], &[("HOST", "127.0.0.1"), ("PORT", "0")]);
    let address = program.ready();
    assert!(address.ip().is_loopback());
    assert_eq!(Asker::new(address).get("/name").await.status(), 200);
    let unspecified = spawn(&["--port", "0"], &[]).ready();
    assert!(
        unspecified.ip().is_loopback(),
        "an address to click, not {unspecified}"
    );
}
