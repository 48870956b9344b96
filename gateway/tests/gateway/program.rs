//! The binary: its flags, its exit codes, its signals.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::harness::{Backend, Behaviour, Catalog, Connection, eventually, get, request, service};

/// A gateway process, killed when the test is over.
struct Process {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

/// A process with a request that waits for a permit, and what it needs for that.
struct Held {
    process: Process,
    permits: Arc<Semaphore>,
    client: Connection,
    _surroundings: (TempDir, Catalog, Backend),
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command
        .env_clear()
        .env("GATEWAY_LISTEN", "127.0.0.1:0")
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("CATALOG_URL", "http://127.0.0.1:1")
        .env("DATA_DIR", data)
        .stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    (status.code(), text.into_owned())
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !line.contains("gateway ready on") {
            line.clear();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "it ended before it was ready"
            );
        }
        // Whatever it logs later must find a reader.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let mut addresses = line.split("http://").skip(1).map(|rest| {
            let end = rest.find([' ', ')']).unwrap();
            rest[..end].parse().unwrap()
        });
        let (address, admin) = (addresses.next().unwrap(), addresses.next().unwrap());
        Self {
            child,
            address,
            admin,
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("it exits", async || {
            code = self.child.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        })
        .await;
        code.flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Replaces the file in one step: a process that is reading it sees all or nothing of the change.
fn routes(data: &Path, text: &str) -> std::path::PathBuf {
    let (file, fresh) = (data.join("gateway.toml"), data.join("gateway.toml.new"));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, &file).unwrap();
    file
}

#[test]
fn mistakes_in_the_configuration_are_named_and_exit_with_2() {
    let data = TempDir::new().unwrap();
    let file = routes(
        data.path(),
        "[[routes]]\nname = 'a'\nservice = 'x'\npath = '/'\n",
    );
    let kept_busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = kept_busy.local_addr().unwrap().to_string();
    let file = file.to_str().unwrap();
    for (args, (name, value), parts) in [
        (
            &["--check", "--config", file][..],
            ("NO_COLOR", "1"),
            &["routes", "unknown field `path`", "gateway.toml"][..],
        ),
        (&["--nonsense"], ("NO_COLOR", "1"), &["--nonsense"]),
        (
            &[],
            ("GATEWAY_LISTN", "x"),
            &["GATEWAY_LISTN", "GATEWAY_LISTEN"],
        ),
        (
            &[],
            ("GATEWAY_DRAIN_TIMEOUT", "soon"),
            &["GATEWAY_DRAIN_TIMEOUT", "soon"],
        ),
        (
            &[],
            ("GATEWAY_EXPOSE_REVISION", "maybe"),
            &["GATEWAY_EXPOSE_REVISION", "maybe"],
        ),
        (&[], ("CATALOG_URL", "ftp://x"), &["CATALOG_URL", "ftp://x"]),
        (
            &[],
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"),
            &["OTEL_EXPORTER_OTLP_ENDPOINT"],
        ),
        (
            &[],
            ("GATEWAY_LISTEN", &busy),
            &["taken", "choose another port"],
        ),
    ] {
        let mut command = command(data.path());
        command.args(args).env(name, value);
        let (code, text) = output(&mut command);
        assert_eq!(code, Some(2), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}

#[test]
fn a_good_configuration_is_checked_and_printed_without_a_start() {
    let data = TempDir::new().unwrap();
    let file = routes(
        data.path(),
        "gateway_expose_revision = true\n[[routes]]\nname = 'a'\nservice = 'x'\n",
    );
    let (code, text) = output(
        command(data.path())
            .arg("--config")
            .arg(&file)
            .arg("--check"),
    );
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = output(
        command(data.path())
            .arg("--config")
            .arg(&file)
            .arg("--print-config"),
    );
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "gateway_listen",
        "127.0.0.1:0",
        "gateway_expose_revision",
        "true",
        "gateway_drain_timeout",
        "10s",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!data.path().join("gateway-snapshot.json").exists());
}

#[tokio::test]
async fn a_hangup_reloads_the_routes_and_keeps_them_when_the_file_is_broken() {
    let data = TempDir::new().unwrap();
    let route = |name: &str| {
        format!("[[routes]]\nname = '{name}'\npath_prefix = '/{name}'\nanswer = 'metrics'\n")
    };
    let file = routes(data.path(), &route("first"));
    let mut process = Process::start(command(data.path()).arg("--config").arg(&file));
    assert_eq!(get(process.address, "/first").await.status(), 200);
    assert_eq!(get(process.address, "/second").await.status(), 404);
    routes(data.path(), &route("second"));
    process.signal("-HUP");
    eventually("the new route answers", async || {
        get(process.address, "/second").await.status() == 200
    })
    .await;
    assert_eq!(get(process.address, "/first").await.status(), 404);
    routes(data.path(), "[[routes]]\nname = 'broken'\n");
    process.signal("-HUP");
    // A third one that is good shows that the broken one was read and left no trace.
    assert_eq!(get(process.address, "/second").await.status(), 200);
    routes(data.path(), &(route("second") + &route("third")));
    process.signal("-HUP");
    eventually("the third route answers", async || {
        assert_eq!(get(process.address, "/second").await.status(), 200);
        get(process.address, "/third").await.status() == 200
    })
    .await;
    process.signal("-TERM");
    assert_eq!(process.exit_code().await, Some(0));
}

#[test]
fn the_healthcheck_asks_the_gateway_itself_and_not_what_it_leads_to() {
    let data = TempDir::new().unwrap();
    // Without a catalog: whatever clients ask for is answered with an error, and still the gateway lives.
    let mut process = Process::start(&mut command(data.path()));
    let admin = process.admin.to_string();
    let healthcheck = || {
        output(
            command(data.path())
                .arg("--healthcheck")
                .env("ADMIN_LISTEN", &admin),
        )
    };
    let (code, text) = healthcheck();
    assert_eq!(code, Some(0), "{text}");
    process.child.kill().unwrap();
    process.child.wait().unwrap();
    let (code, text) = healthcheck();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("does not answer"), "{text}");
}

#[tokio::test]
async fn term_finishes_what_is_under_way() {
    let mut held = held("10s").await;
    let (process, client) = (&mut held.process, &mut held.client);
    process.signal("-TERM");
    eventually("it does not accept any more", async || {
        Connection::open(process.address).await.is_err()
    })
    .await;
    held.permits.add_permits(1);
    let answer = client.response().await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.header("connection")),
        ("b", Some("close"))
    );
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn the_deadline_of_the_drain_cuts_and_still_exits_with_0() {
    let mut held = held("100ms").await;
    let (process, client) = (&mut held.process, &mut held.client);
    process.signal("-TERM");
    assert!(client.response().await.is_err());
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_interrupt_stops_at_once() {
    let mut held = held("1h").await;
    let (process, client) = (&mut held.process, &mut held.client);
    process.signal("-INT");
    eventually("it does not accept any more", async || {
        Connection::open(process.address).await.is_err()
    })
    .await;
    process.signal("-INT");
    assert!(client.response().await.is_err());
    assert_eq!(process.exit_code().await, Some(1));
}

async fn held(drain_timeout: &str) -> Held {
    let data = TempDir::new().unwrap();
    let catalog = Catalog::start().await;
    let permits = Arc::new(Semaphore::new(0));
    let backend = Backend::behaving("b", Behaviour::Held(Arc::clone(&permits))).await;
    catalog.put(service("hold", &[&backend]));
    let process = Process::start(
        command(data.path())
            .env("CATALOG_URL", catalog.url().to_string())
            .env("GATEWAY_DRAIN_TIMEOUT", drain_timeout),
    );
    eventually("the backend is in rotation", async || {
        let table = get(process.admin, "/routes").await.json();
        table["services"][0]["endpoints"][0]["health"] == "healthy"
    })
    .await;
    let mut client = Connection::open(process.address).await.unwrap();
    client
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    eventually("the request is held", async || backend.hits() >= 1).await;
    Held {
        process,
        permits,
        client,
        _surroundings: (data, catalog, backend),
    }
}
