//! The program as it is started by people and by init systems.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{
    backend::dead_port,
    harness::{PATIENCE, eventually},
    name_server::{NameServer, says},
};

fn program(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_service-catalog"));
    command
        .env_clear()
        .env("DATA_DIR", data_dir)
        .env("CATALOG_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(data_dir: &Path, adjust: impl FnOnce(&mut Command)) -> Output {
    let mut command = program(data_dir);
    adjust(&mut command);
    command.output().unwrap()
}

/// Checks that it was refused as a configuration error, and returns what it said.
fn refused(data_dir: &Path, adjust: impl FnOnce(&mut Command)) -> String {
    let output = run(data_dir, adjust);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Starts it and waits for its one line.
fn ready(data_dir: &Path) -> (Child, String) {
    let mut child = program(data_dir).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn ready_line_stop_and_exit_code() {
    let folder = TempDir::new().unwrap();
    for name in ["TERM", "INT"] {
        let (mut child, line) = ready(folder.path());
        assert!(
            line.starts_with("service-catalog ready on http://127.0.0.1:"),
            "{line}"
        );
        assert!(
            line.ends_with(&format!("(data in {})\n", folder.path().display())),
            "{line}"
        );
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let mut log = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        let token = std::fs::read_to_string(folder.path().join("catalog-token")).unwrap();
        assert!(!log.contains(&token), "the token is in the log");
    }
}

#[test]
fn a_hangup_is_no_end() {
    let folder = TempDir::new().unwrap();
    let (mut child, _) = ready(folder.path());
    signal(&child, "HUP");
    let second = run(folder.path(), |_| {});
    // Still there: it holds its folder.
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(
        String::from_utf8(second.stderr)
            .unwrap()
            .contains("in use by another process")
    );
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn check_and_print_config() {
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let check = run(&data_dir, |command| {
        command.arg("--check");
    });
    assert_eq!(check.status.code(), Some(0));
    let print = run(&data_dir, |command| {
        command
            .arg("--print-config")
            .env("CATALOG_TOKEN", "hunter2")
            .args(["--catalog-heartbeat", "3s"]);
    });
    let printed = String::from_utf8(print.stdout).unwrap();
    assert!(
        printed.contains("<redacted>") && !printed.contains("hunter2"),
        "{printed}"
    );
    assert!(printed.contains("catalog_heartbeat = \"3s\""), "{printed}");
    assert!(!data_dir.exists(), "a check created something");
}

#[test]
fn what_cannot_work_is_said_before_the_start() {
    let folder = TempDir::new().unwrap();
    let env = |name: &'static str, value: &'static str| {
        refused(folder.path(), move |command| {
            command.env(name, value);
        })
    };
    assert!(env("CATALOG_LISTNE", "x").contains("CATALOG_LISTEN"));
    for (name, value, says) in [
        (
            "DATABASE_URL",
            "mysql://user:hunter2@host/d",
            "must start with postgres://",
        ),
        (
            "DATABASE_URL",
            "postgres://user:hunter2@host:x/d",
            "must be postgres://",
        ),
        (
            "DATABASE_URL",
            "postgres://user:hunter2@host",
            "names no database",
        ),
        (
            "DATABASE_URL",
            "postgres://u:hunter2@h/d?sslmode=require",
            "without TLS",
        ),
        ("REDIS_URL", "rediss://user:hunter2@host", "redis://"),
    ] {
        let said = env(name, value);
        let named = said.contains(name) && said.contains(says);
        assert!(named && !said.contains("hunter2"), "{said}");
    }
    assert!(env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x").contains("not part of this version"));
    assert!(env("PORT", "1").contains("CATALOG_LISTEN is set"));
    assert!(env("CATALOG_HEARTBEAT", "1ms").contains("10ms to 10s"));
    assert!(env("CATALOG_HEARTBEAT", "often").contains("CATALOG_HEARTBEAT"));
    assert!(env("CATALOG_WATCHERS_MAX", "0").contains("CATALOG_WATCHERS_MAX"));
    assert!(env("CATALOG_TOKEN", "two words").contains("CATALOG_TOKEN"));
    assert!(env("ADVERTISE_ADDRESS", "0.0.0.0:1").contains("ADVERTISE_ADDRESS"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn settings_of_discovery_are_checked() {
    let folder = TempDir::new().unwrap();
    let env = |pairs: &[(&str, &str)]| {
        refused(folder.path(), |command| {
            command.envs(pairs.iter().copied());
        })
    };
    for (pairs, says) in [
        (&[("SERVICE_API_URL", "https://names:5000")][..], "not http"),
        (&[("SERVICE_API_URL", "names")], "SERVICE_API_URL"),
        (&[("DISCOVER_URLS", "http://hold:80")], "names no service"),
        (&[("DISCOVER_URLS", "hold=http://hold:80,")], "empty"),
        (&[("DISCOVER_URLS", "hold=http://hold:80/x")], "path"),
        (&[("DISCOVER_URL", "hold=http://hold:80")], "DISCOVER_URLS"),
        (&[("DISCOVER_RESOLVER", "127.0.0.1")], "has a host name"),
        (&[("DISCOVER_INTERVAL_MAX", "5s")], "has a host name"),
        (
            &[
                ("DISCOVER_RESOLVER", "127.0.0.1"),
                ("DISCOVER_URLS", "hold=http://127.0.0.1:80"),
            ],
            "has a host name",
        ),
        (
            &[
                ("DISCOVER_RESOLVER", "nobody"),
                ("SERVICE_API_URL", "http://names"),
            ],
            "an IP address",
        ),
        (
            &[
                ("DISCOVER_INTERVAL_MAX", "2h"),
                ("SERVICE_API_URL", "http://names"),
            ],
            "1s to 1h",
        ),
    ] {
        let said = env(pairs);
        assert!(said.contains(says), "{pairs:?}: {said}");
    }
    let many = vec!["hold=http://hold:80"; 101].join(",");
    assert!(env(&[("DISCOVER_URLS", &many)]).contains("at most 100"));
    let missing = folder.path().join("missing.toml");
    let output = run(folder.path(), |command| {
        command.env("DISCOVER_FILE", &missing);
    });
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("DISCOVER_FILE") && said.contains("missing.toml"),
        "{said}"
    );
}

#[tokio::test]
async fn settings_of_discovery_have_an_effect() {
    let server = NameServer::start().await;
    server.about(
        "names.test",
        says(&["127.0.0.2", "127.0.0.3", "127.0.0.4"], 600),
    );
    server.about("hold.test", says(&["127.0.0.5"], 600));
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("services.toml");
    let text = "[[services]]\nname = \"filed\"\ninstances = [{ address = \"127.0.0.6:1\" }]\n";
    std::fs::write(&file, text).unwrap();
    let port = dead_port();
    let mut command = program(folder.path());
    command
        .env("SERVICE_API_URL", format!("http://names.test:{port}"))
        .env(
            "DISCOVER_URLS",
            format!("hold=http://hold.test:{port}, two=http://127.0.0.7:{port}"),
        )
        .env("DISCOVER_FILE", &file)
        .env("DISCOVER_RESOLVER", server.address.to_string())
        .env("DISCOVER_INTERVAL_MAX", "1s");
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http"));
    let url = url.unwrap().to_owned();
    let client = service_kit::client::Client::new();
    let has = async |service: &str, count: usize| {
        eventually(&format!("{service} has {count}"), async || {
            let request = http::Request::get(format!("{url}/services/{service}"));
            let request = request.body(service_kit::http::body::empty()).unwrap();
            let answer = client.fetch(request, PATIENCE, 1 << 20).await.ok()?;
            let service: serde_json::Value = serde_json::from_slice(answer.body()).ok()?;
            (service["instances"].as_array()?.len() == count).then_some(())
        })
        .await;
    };
    has("service-api", 3).await;
    has("hold", 1).await;
    has("two", 1).await;
    has("filed", 1).await;
    // The TTL says ten minutes, the setting says a second.
    server.about("hold.test", says(&["127.0.0.5", "127.0.0.8"], 600));
    has("hold", 2).await;
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_taken_port_is_named() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(folder.path(), |command| {
        command.env("CATALOG_LISTEN", &address);
    });
    assert!(said.contains("is taken"), "{said}");
}

#[test]
fn host_and_port_replace_the_halves_of_the_default() {
    let folder = TempDir::new().unwrap();
    let mut command = program(folder.path());
    command
        .env_remove("CATALOG_LISTEN")
        .env("HOST", "127.0.0.1")
        .env("PORT", "0");
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("http://127.0.0.1:"), "{line}");
    // The port is a free one, and the program answers its own health check there.
    let port = line
        .split(['/', ':', ' '])
        .find_map(|part| part.parse::<u16>().ok());
    let asked = run(folder.path(), |command| {
        command
            .arg("--healthcheck")
            .env("CATALOG_LISTEN", format!("127.0.0.1:{}", port.unwrap()));
    });
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
