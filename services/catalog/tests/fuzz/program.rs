//! A catalog as a process of its own, so that it can be no kinder than the real one.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    document::Document,
    request::Request,
    wire::{self, Answer},
};

pub(crate) const TOKEN: &str = "fuzz-token";

/// Pause between two looks at something that happens on its own.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
}

// === impl Program ===

impl Program {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_service-catalog"))
            .env_clear()
            .env("DATA_DIR", folder.path())
            .env("CATALOG_LISTEN", "127.0.0.1:0")
            .env("CATALOG_TOKEN", TOKEN)
            .env("RUST_LOG", "info,access=off")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        Self {
            child,
            address: address.parse().unwrap(),
            folder,
        }
    }

    /// Sends a request of which it is sure that it is answered.
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        wire::exchange(self.address, request).await.unwrap()
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(&Request::new("GET", target)).await
    }

    /// A write with the token.
    pub(crate) async fn write(&self, method: &str, target: &str, body: &Value) -> Answer {
        self.send(&Request::new(method, target).token().json(body))
            .await
    }

    /// Waits until no call waits for its turn or is under way.
    pub(crate) async fn is_idle(&self) {
        const SERIES: [&str; 2] = [
            "service_catalog_async_calls_waiting 0",
            "service_catalog_async_calls_running 0",
        ];
        let deadline = Instant::now() + wire::DEADLINE;
        loop {
            let metrics = self.get("/metrics").await.body;
            let metrics = String::from_utf8(metrics).unwrap();
            if SERIES
                .iter()
                .all(|series| metrics.lines().any(|line| line == *series))
            {
                return;
            }
            assert!(Instant::now() < deadline, "calls are never over");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) async fn document(&self) -> Arc<Document> {
        Arc::new(Document::new(self.get("/openapi.json").await.json()))
    }

    /// Panics when something went wrong inside that nobody was told.
    pub(crate) fn check_log(&self) {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        let fault = log
            .lines()
            .find(|line| line.contains("panicked") || line.contains("ERROR"));
        assert_eq!(fault, None, "in the log");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service to be called, which reads a request's header and answers the same to all. Returns its address.
pub(crate) async fn backend() -> SocketAddr {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut piece = [0; 4096];
                while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(length) if length > 0 => seen.extend_from_slice(&piece[..length]),
                        _ => return,
                    }
                }
                let _ = stream.write_all(ANSWER).await;
                let _ = stream.shutdown().await;
                // Until the other side has had it.
                while matches!(stream.read(&mut piece).await, Ok(length) if length > 0) {}
            });
        }
    });
    address
}
