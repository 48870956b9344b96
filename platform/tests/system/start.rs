//! Configuration and bad input at the start: a clear error and exit code 2, or a start without what was damaged.

use std::{fs, net::TcpListener};

use tempfile::TempDir;

use crate::support::{
    process::{Process, run},
    registry::Registry,
};

const FREE: &str = "127.0.0.1:0";

fn everything_free(data: &TempDir) -> Vec<(&'static str, String)> {
    let data = data.path().to_str().unwrap().to_owned();
    [
        ("GATEWAY_LISTEN", FREE),
        ("ADMIN_LISTEN", FREE),
        ("CATALOG_LISTEN", FREE),
        ("NAMES_LISTEN", FREE),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into_iter()
    .chain([("DATA_DIR", data)])
    .collect()
}

fn borrowed<'a>(env: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    env.iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

#[test]
fn mistakes_in_settings_are_named_with_exit_code_2() {
    for (program, name, value, expected) in [
        ("platform", "GATEWAY_LISTN", "127.0.0.1:0", "GATEWAY_LISTEN"),
        ("platform", "PLATFORM_X", "1", "PLATFORM_X"),
        ("platform", "GATEWAY_LISTEN", "nowhere", "GATEWAY_LISTEN"),
        ("platform", "NAMES_INSTANCES", "many", "NAMES_INSTANCES"),
        ("platform", "NAMES_INSTANCES", "101", "NAMES_INSTANCES"),
        (
            "platform",
            "GATEWAY_EXPOSE_REVISION",
            "yes",
            "true or false",
        ),
        ("platform", "DATABASE_URL", "mysql://x", "DATABASE_URL"),
        (
            "platform",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://x",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        ("platform", "LOG_FORMAT", "xml", "LOG_FORMAT"),
        ("gateway", "CATALOG_URL", "ftp://x", "CATALOG_URL"),
        ("gateway", "CATALOG_URI", "http://x", "CATALOG_URL"),
        (
            "gateway",
            "GATEWAY_DRAIN_TIMEOUT",
            "soon",
            "GATEWAY_DRAIN_TIMEOUT",
        ),
        (
            "service-api",
            "ADVERTISE_ADDRESS",
            "127.0.0.1:1",
            "no effect",
        ),
        (
            "service-catalog",
            "CATALOG_HEARTBEAT",
            "1",
            "CATALOG_HEARTBEAT",
        ),
    ] {
        let ended = run(program, &["--check"], &[(name, value)]);
        assert_eq!(ended.code, Some(2), "{program} {name}={value}: {ended:?}");
        assert!(
            ended.stderr.contains(expected),
            "{program} {name}={value}: {ended:?}"
        );
    }
}

#[test]
fn the_effective_configuration_is_shown_without_secrets() {
    let env = [
        ("CATALOG_TOKEN", "hush-hush-hush-hush-hush-hush-hush"),
        ("NAMES_INSTANCES", "7"),
    ];
    let ended = run("platform", &["--print-config"], &env);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("names_instances = ") && ended.stdout.contains('7'),
        "{ended:?}"
    );
    assert!(!ended.stdout.contains("hush"), "{ended:?}");
    assert_eq!(run("platform", &["--check"], &env).code, Some(0));
}

#[test]
fn a_taken_port_is_said_and_nothing_starts() {
    let taken = TcpListener::bind(FREE).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for name in [
        "GATEWAY_LISTEN",
        "ADMIN_LISTEN",
        "CATALOG_LISTEN",
        "NAMES_LISTEN",
    ] {
        let data = TempDir::new().unwrap();
        let mut env = everything_free(&data);
        env.retain(|(known, _)| *known != name);
        env.push((name, address.clone()));
        let ended = run("platform", &[], &borrowed(&env));
        assert_eq!(ended.code, Some(2), "{name}: {ended:?}");
        assert!(
            ended
                .stderr
                .contains(&taken.local_addr().unwrap().port().to_string()),
            "{name}: {ended:?}"
        );
        assert_eq!(
            fs::read_dir(data.path()).unwrap().count(),
            0,
            "nothing is written before the sockets are bound"
        );
    }
}

#[test]
fn a_second_platform_on_the_same_data_is_refused() {
    let data = TempDir::new().unwrap();
    let env = everything_free(&data);
    let mut first = Process::start("platform", &borrowed(&env));
    first.line_with("platform ready");
    let ended = run("platform", &[], &borrowed(&env));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(data.path().to_str().unwrap()),
        "{ended:?}"
    );
    first.signal("TERM");
    assert_eq!(first.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_kept_aside_and_the_platform_starts() {
    let data = TempDir::new().unwrap();
    let junk = b"this is not a database, but somebody may want it back".repeat(100);
    fs::write(data.path().join("catalog.db"), &junk).unwrap();
    let env = everything_free(&data);
    let mut platform = Process::start("platform", &borrowed(&env));
    let line = platform.line_with("services");
    let address = crate::support::process::addresses(&line)[0];
    let services = Registry::new(address, "").get("/services").await;
    assert_eq!(services["services"].as_array().unwrap().len(), 2);
    assert_eq!(
        fs::read(data.path().join("catalog.db.corrupt")).unwrap(),
        junk
    );
}

#[test]
fn a_folder_that_cannot_be_used_is_said() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "").unwrap();
    let mut env = everything_free(&data);
    env.retain(|(name, _)| *name != "DATA_DIR");
    env.push(("DATA_DIR", file.to_str().unwrap().to_owned()));
    let ended = run("platform", &[], &borrowed(&env));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(file.to_str().unwrap()), "{ended:?}");
}

#[test]
fn routes_of_the_file_are_checked_and_used() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("platform.toml");
    fs::write(
        &file,
        "[[routes]]\nname = 'x'\nservice = 'service-api'\npath_prefix = 'nonsense'\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let ended = run("platform", &["--config", path, "--check"], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("path_prefix"), "{ended:?}");

    fs::write(&file, "colour = 'red'\n").unwrap();
    let ended = run("platform", &["--config", path, "--check"], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("colour") && ended.stderr.contains(path),
        "{ended:?}"
    );
}
