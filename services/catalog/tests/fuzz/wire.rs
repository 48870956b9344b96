//! One request and its answer on a connection of their own, byte by byte: no client library would send what is sent here, and none
//! would say so plainly how it was received.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::request::Request;

/// Longer is a hang. The catalog's own longest wait for anybody is 10 s, and the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

const HEADER_END: &[u8] = b"\r\n\r\n";

/// What went wrong below HTTP, as a failure shows it.
#[derive(Debug)]
#[expect(dead_code, reason = "the text is there to be shown")]
pub(crate) enum Fault {
    /// No answer in time.
    Hang,
    /// The connection ended before the whole answer was there.
    Dropped { received: String },
    /// The answer is no HTTP.
    Nonsense(String),
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A connection and what was read from it beyond what was asked for.
pub(crate) struct Wire {
    stream: TcpStream,
    seen: Vec<u8>,
}

/// Sends everything, and only then reads, as the simplest client does.
pub(crate) async fn exchange(address: SocketAddr, request: &Request) -> Result<Answer, Fault> {
    let mut wire = Wire::connect(address).await;
    let sent = wire.send(&request.bytes()).await;
    let answer = wire.answer(request.method == "HEAD").await;
    match (sent, answer) {
        (false, Ok(answer)) => Err(Fault::Dropped {
            received: format!("while it was sent, and then {}", answer.status),
        }),
        (_, answer) => answer,
    }
}

// === impl Wire ===

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = timeout(DEADLINE, TcpStream::connect(address)).await;
        Self {
            stream: stream.unwrap().unwrap(),
            seen: Vec::new(),
        }
    }

    /// False when the other side did not take it all.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(DEADLINE, self.stream.write_all(bytes)).await;
        sent.is_ok_and(|sent| sent.is_ok())
    }

    /// Nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next answer; of a stream only its header.
    pub(crate) async fn answer(&mut self, is_head: bool) -> Result<Answer, Fault> {
        timeout(DEADLINE, self.read_answer(is_head))
            .await
            .unwrap_or(Err(Fault::Hang))
    }

    async fn read_answer(&mut self, is_head: bool) -> Result<Answer, Fault> {
        loop {
            let header = self.until(HEADER_END).await?;
            let answer = parse_header(&header)?;
            if answer.status == 100 {
                continue;
            }
            return self.with_body(answer, is_head).await;
        }
    }

    async fn with_body(&mut self, mut answer: Answer, is_head: bool) -> Result<Answer, Fault> {
        let is_stream = answer
            .header("content-type")
            .starts_with("text/event-stream");
        if is_head || is_stream || [204, 304].contains(&answer.status) {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                let line = self.until(b"\r\n").await?;
                let length = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
                let length = usize::from_str_radix(&length, 16)
                    .map_err(|_| Fault::Nonsense(format!("chunk {length:?}")))?;
                let chunk = self.exactly(length + 2).await?;
                answer.body.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    return Ok(answer);
                }
            }
        }
        let length = answer.header("content-length");
        let length = length
            .parse()
            .map_err(|_| Fault::Nonsense(format!("no length: {answer:?}")))?;
        answer.body = self.exactly(length).await?;
        Ok(answer)
    }

    /// Everything up to and including an end.
    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Fault> {
        loop {
            let found = self
                .seen
                .windows(end.len())
                .position(|window| window == end);
            if let Some(found) = found {
                return self.exactly(found + end.len()).await;
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        while self.seen.len() < length {
            self.more().await?;
        }
        let rest = self.seen.split_off(length);
        Ok(std::mem::replace(&mut self.seen, rest))
    }

    async fn more(&mut self) -> Result<(), Fault> {
        match self.stream.read_buf(&mut self.seen).await {
            Ok(length) if length > 0 => Ok(()),
            ended => Err(Fault::Dropped {
                received: format!("{ended:?} after {:?}", String::from_utf8_lossy(&self.seen)),
            }),
        }
    }
}

fn parse_header(header: &[u8]) -> Result<Answer, Fault> {
    let nonsense = || Fault::Nonsense(String::from_utf8_lossy(header).into_owned());
    let text = std::str::from_utf8(header).map_err(|_| nonsense())?;
    let mut lines = text.trim_end().split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Ok(Answer {
        status: status.ok_or_else(nonsense)?,
        headers: headers.collect::<Option<_>>().ok_or_else(nonsense)?,
        body: Vec::new(),
    })
}

// === impl Answer ===

impl Answer {
    /// The first field of this name; "" when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
