//! A catalog as a process, whose way to the database can be cut, and which can be killed and started again.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "a failing run shows the logs of its catalogs"
)]

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::fault_proxy::FaultProxy;

pub(crate) const TOKEN: &str = "model-token";

pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    pub(crate) way: FaultProxy,
    database: String,
    redis: String,
    folder: TempDir,
    child: Option<Child>,
}

// === impl Replica ===

impl Replica {
    /// A catalog that reaches the database of this URL by a way of its own, and Redis.
    pub(crate) async fn start(url: &str, redis: String) -> Self {
        let (before, place) = url.rsplit_once('@').unwrap();
        let (server, name) = place.split_once('/').unwrap();
        let port = server.rsplit(':').next().unwrap().parse().unwrap();
        let way = FaultProxy::start(port).await;
        let database = format!("{before}@127.0.0.1:{}/{name}", way.port());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut replica = Self {
            address: listener.local_addr().unwrap(),
            way,
            database,
            redis,
            folder: TempDir::new().unwrap(),
            child: None,
        };
        drop(listener);
        replica.launch().await;
        replica
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The same, and again from the start.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.launch().await;
    }

    /// Returns when it says that it is ready.
    async fn launch(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_service-catalog"))
            .env_clear()
            .env("DATA_DIR", self.folder.path())
            .env("CATALOG_LISTEN", self.address.to_string())
            .env("CATALOG_TOKEN", TOKEN)
            .env("DATABASE_URL", &self.database)
            .env("REDIS_URL", &self.redis)
            .env("RUST_LOG", "info,access=off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        self.child = Some(child);
        let reading = spawn_blocking(move || {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            line
        });
        let line = reading.await.unwrap();
        assert!(line.contains("ready on"), "{line:?}: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            println!("{}:\n{}", self.address, self.log());
        }
    }
}
