//! The binary: its flags, its exit codes, its signals.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use gateway::tls::PairFiles;

use crate::harness::{
    Authority, Backend, Behaviour, Catalog, Connection, eventually, get, request, service, with,
};

/// A gateway process, killed when the test is over.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Listeners of services, in the order of the setting.
    pub(crate) services: Vec<SocketAddr>,
}

/// A process with a request that waits for a permit, and what it needs for that.
struct Held {
    process: Process,
    permits: Arc<Semaphore>,
    client: Connection,
    _surroundings: (TempDir, Catalog, Backend),
}

/// The binary, on free ports and without a catalog.
pub(crate) fn command(data: &Path) -> Command {
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
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::logging(command, Stdio::null())
    }

    /// With somewhere for its log to go.
    pub(crate) fn logging(command: &mut Command, log: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
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
            let end = rest.find([' ', ',', ')']).unwrap();
            rest[..end].parse().unwrap()
        });
        let (address, admin) = (addresses.next().unwrap(), addresses.next().unwrap());
        let services = addresses.collect();
        Self {
            child,
            address,
            admin,
            services,
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
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
        "[[routes]]\nname = 'a'\nservice = 'x'\nmirror = 'y'\n",
    );
    let authority = Authority::new();
    let mixed = PairFiles {
        cert: authority.issue(data.path(), "first", &["a.test"]).cert,
        key: authority.issue(data.path(), "second", &["a.test"]).key,
    };
    let kept_busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = kept_busy.local_addr().unwrap().to_string();
    let file = file.to_str().unwrap();
    for (args, (name, value), parts) in [
        (
            &["--check", "--config", file][..],
            ("NO_COLOR", "1"),
            &["routes", "unknown field `mirror`", "gateway.toml"][..],
        ),
        (&["--nonsense"], ("NO_COLOR", "1"), &["--nonsense"]),
        (
            &[],
            ("GATEWAY_LISTN", "x"),
            &["GATEWAY_LISTN", "GATEWAY_LISTEN"],
        ),
        // Left for later, and not passed over until then.
        (
            &[],
            ("GATEWAY_PROXY_PROTOCOL", "true"),
            &["GATEWAY_PROXY_PROTOCOL"],
        ),
        (
            &[],
            ("GATEWAY_JWT_KEYS", "keys.json"),
            &["GATEWAY_JWT_KEYS"],
        ),
        (
            &[],
            ("GATEWAY_CACHE_SIZE", "64MB"),
            &["GATEWAY_CACHE_SIZE", "64MiB"],
        ),
        (
            &[],
            ("GATEWAY_CACHE_SIZE", "1KiB"),
            &["GATEWAY_CACHE_SIZE", "too small"],
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
        (
            &[],
            ("GATEWAY_MAX_CONNECTIONS", "0"),
            &["GATEWAY_MAX_CONNECTIONS", "1 to 1000000"],
        ),
        (
            &[],
            ("GATEWAY_HEADER_TIMEOUT", "1ms"),
            &["GATEWAY_HEADER_TIMEOUT", "10ms to 1h"],
        ),
        (
            &[],
            ("GATEWAY_TLS_CERT", "missing.pem"),
            &["GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY is not set"],
        ),
        (
            &["--gateway-tls-key", "missing.key"],
            ("GATEWAY_TLS_CERT", "missing.pem"),
            &["GATEWAY_TLS_CERT", "cannot read missing.pem"],
        ),
        (
            &["--gateway-tls-key", mixed.key.to_str().unwrap()],
            ("GATEWAY_TLS_CERT", mixed.cert.to_str().unwrap()),
            &["first.pem", "second.key", "is not the one"],
        ),
        (
            &[],
            ("GATEWAY_HTTPS_REDIRECT", "true"),
            &["GATEWAY_HTTPS_REDIRECT", "no certificate"],
        ),
        (
            &[],
            ("GATEWAY_TLS_LISTEN", "127.0.0.1:0"),
            &["GATEWAY_TLS_LISTEN", "no certificate"],
        ),
        (
            &[],
            ("GATEWAY_TRUSTED_PROXIES", "10.0.0.1/8"),
            &["GATEWAY_TRUSTED_PROXIES", "bits set"],
        ),
        (&[], ("CATALOG_URL", "ftp://x"), &["CATALOG_URL", "ftp://x"]),
        (
            &[],
            ("GATEWAY_SERVICE_LISTEN", "127.0.0.1:0=a,127.0.0.1:1"),
            &["GATEWAY_SERVICE_LISTEN", "127.0.0.1:1", "host:port=service"],
        ),
        (
            &[],
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"),
            &["OTEL_EXPORTER_OTLP_ENDPOINT", "not part of this version"],
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
        "gateway_cache_size",
        "10s",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!data.path().join("gateway-snapshot.json").exists());
}

#[tokio::test]
async fn folders_are_served_by_setting_and_by_route() {
    let data = TempDir::new().unwrap();
    let (first, second) = (data.path().join("first"), data.path().join("second"));
    for folder in [&first, &second] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(
            folder.join("x"),
            folder.file_name().unwrap().as_encoded_bytes(),
        )
        .unwrap();
    }
    let built_in = Process::start(command(data.path()).env("GATEWAY_STATIC_DIR", &first));
    assert_eq!(get(built_in.address, "/static/x").await.text(), "first");
    let table = get(built_in.admin, "/routes").await.json();
    let route = |route: &&serde_json::Value| route["path_prefix"] == "/static/";
    let route = table["routes"]
        .as_array()
        .unwrap()
        .iter()
        .find(route)
        .unwrap();
    assert_eq!(route["answer"], "files");
    let text = |folder: &Path| {
        format!(
            "[[routes]]\nname = 'f'\npath_prefix = '/f'\nfiles = '{}'\n",
            folder.display()
        )
    };
    let file = routes(data.path(), &text(&first));
    // Without a route to it, the setting would do nothing.
    let mut checked = command(data.path());
    checked
        .arg("--check")
        .arg("--config")
        .arg(&file)
        .env("GATEWAY_STATIC_DIR", &second);
    let (code, message) = output(&mut checked);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("GATEWAY_STATIC_DIR"), "{message}");
    let process = Process::start(command(data.path()).arg("--config").arg(&file));
    assert_eq!(get(process.address, "/f/x").await.text(), "first");
    routes(data.path(), &text(&second));
    process.signal("-HUP");
    eventually("the other folder is served", async || {
        get(process.address, "/f/x").await.text() == "second"
    })
    .await;
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
async fn a_listener_of_a_service_leads_there_whatever_the_path() {
    let (data, catalog) = (TempDir::new().unwrap(), Catalog::start().await);
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    // The route of one takes every path of the other.
    let everything = json!([{"path_prefix": "/"}]);
    catalog.put(with(service("one", &[&a]), "routes", everything));
    catalog.put(service("two", &[&b]));
    let mut process = Process::start(
        command(data.path())
            .env("CATALOG_URL", catalog.url().to_string())
            .env(
                "GATEWAY_SERVICE_LISTEN",
                "127.0.0.1:0=one, 127.0.0.1:0=two,127.0.0.1:0=nobody",
            ),
    );
    let [one, two, nobody] = process.services[..] else {
        panic!("the ready line names {:?}", process.services);
    };
    for (address, name) in [(one, "a"), (two, "b")] {
        eventually("the backend is in rotation", async || {
            get(address, "/").await.status() == 200
        })
        .await;
        for path in ["/", "/two/x", "/metrics"] {
            assert_eq!(get(address, path).await.text(), name, "{path}");
        }
    }
    assert_eq!(get(nobody, "/").await.status(), 503);
    let metrics = get(process.admin, "/metrics").await.text();
    let counted = r#"gateway_requests_total{method="GET",route="listener:two",status_class="2xx"}"#;
    assert!(metrics.contains(counted), "{metrics}");
    process.signal("-TERM");
    assert_eq!(process.exit_code().await, Some(0));
    for address in [one, two, nobody] {
        assert!(Connection::open(address).await.is_err());
    }
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let data = TempDir::new().unwrap();
    let mut limited = Command::new("sh");
    limited
        .args([
            "-c",
            "ulimit -Sn 256 && exec \"$0\"",
            env!("CARGO_BIN_EXE_gateway"),
        ])
        .env_clear()
        .envs(
            command(data.path())
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let process = Process::start(&mut limited);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.child.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let numbers: Vec<_> = files.split_whitespace().skip(3).take(2).collect();
    assert_ne!(numbers[0], "256");
    assert_eq!(numbers[0], numbers[1]);
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
