//! A client that sends exactly the bytes a test wants, which no HTTP library would do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No test waits longer for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Fails the test when the future takes too long.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("it ends within the deadline")
}

pub(crate) struct Wire(TcpStream);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(within(TcpStream::connect(address)).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends as far as the server takes it: one that refuses early may close before the end.
    pub(crate) async fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within(self.0.write_all(bytes.as_ref())).await;
    }

    /// A request with nothing special about it.
    pub(crate) async fn request(&mut self, line: &str) -> Answer {
        self.send(format!("{line} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .await;
        self.answer(!line.starts_with("HEAD ")).await
    }

    /// Reads one response; `has_body` is false for the answer to HEAD.
    pub(crate) async fn answer(&mut self, has_body: bool) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.0.read_u8()).await.expect("a whole header"));
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map(|text| text.parse().unwrap());
        let mut body = vec![0; if has_body { length.unwrap_or(0) } else { 0 }];
        within(self.0.read_exact(&mut body)).await.unwrap();
        Answer {
            status: status.parse().unwrap(),
            body: String::from_utf8(body).unwrap(),
            headers,
        }
    }

    /// Waits until the server closes, and returns what it sent before.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = within(self.0.read_to_end(&mut rest)).await;
        String::from_utf8(rest).unwrap()
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.0
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    Wire::connect(address)
        .await
        .request(&format!("GET {path}"))
        .await
}
