//! A client that forgives nothing: it never repeats a request, and a connection that is closed without `Connection: close` is a
//! failure. Load with it shows failures that a browser or a pooling client would hide.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// One kept-alive connection.
pub(crate) struct Strict {
    server: SocketAddr,
    host: String,
    connection: Option<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Strict {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self::with_host(server, "localhost")
    }

    pub(crate) fn with_host(server: SocketAddr, host: &str) -> Self {
        Self {
            server,
            host: host.to_owned(),
            connection: None,
        }
    }

    /// One GET.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        timeout(ANSWER_TIMEOUT, self.exchange(path))
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn exchange(&mut self, path: &str) -> Result<Answer, String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => TcpStream::connect(self.server)
                .await
                .map_err(|error| format!("connect: {error}"))?,
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        connection
            .write_all(request.as_bytes())
            .await
            .map_err(|error| format!("write: {error}"))?;
        let mut received = Vec::new();
        let head_bytes = loop {
            if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            read_more(&mut connection, &mut received).await?;
        };
        let head = String::from_utf8_lossy(&received[..head_bytes]).to_ascii_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or("no status")?;
        let length: usize = field(&head, "content-length")
            .ok_or("no length")?
            .parse()
            .map_err(|_| "bad length")?;
        while received.len() < head_bytes + length {
            read_more(&mut connection, &mut received).await?;
        }
        if field(&head, "connection") != Some("close") {
            self.connection = Some(connection);
        }
        let body = String::from_utf8_lossy(&received[head_bytes..]).into_owned();
        Ok(Answer { status, head, body })
    }
}

impl Answer {
    /// A field of the head; names and values are in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim())
}

async fn read_more(connection: &mut TcpStream, received: &mut Vec<u8>) -> Result<(), String> {
    match connection.read_buf(received).await {
        Ok(0) => Err(format!(
            "closed after {} bytes of an answer",
            received.len()
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("read: {error}")),
    }
}
