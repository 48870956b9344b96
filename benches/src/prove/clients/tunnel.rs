//! Tunnels of WebSocket, whose every message has to come back once and in order.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::{RngExt as _, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Surroundings, http1::HOST, pause, within};
use crate::prove::{
    ledger::Count,
    message::{self, Message, Sender},
    sequence::Sequence,
};

/// Longest life of a tunnel that has an end.
const LIFE_MAX: Duration = Duration::from_secs(1);
/// Most messages at once.
const ROUND_MAX: u64 = 5;
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Opens tunnels, one after the other, until the end of the run.
pub(super) async fn talk(around: Surroundings, mut random: StdRng) -> Result<()> {
    while !around.is_over() {
        let life = LIFE_MAX.mul_f64(random.random());
        talk_through(&around, "/talk/", Some(life), &mut random).await?;
        pause(&mut random).await;
    }
    Ok(())
}

/// Opens one tunnel that lasts as long as the run.
pub(super) async fn talk_all_the_time(around: Surroundings, mut random: StdRng) -> Result<()> {
    talk_through(&around, "/kept/", None, &mut random).await
}

async fn talk_through(
    around: &Surroundings,
    path: &str,
    life: Option<Duration>,
    random: &mut StdRng,
) -> Result<()> {
    let begun = Instant::now();
    let mut stream = within("a tunnel", open(around, path)).await?;
    let mut sent = 0;
    let mut answered = Sequence::default();
    while !around.is_over() && life.is_none_or(|life| begun.elapsed() < life) {
        let count = random.random_range(1..=ROUND_MAX);
        for number in sent..sent + count {
            let text = Message::Text(number.to_string());
            message::send(&mut stream, Sender::Client, &text).await?;
        }
        sent += count;
        while answered.taken() < sent {
            let received = message::receive(&mut stream, Sender::Server);
            match within("a message", received).await? {
                Message::Text(text) => answered.take(&text)?,
                Message::Close => bail!("closed by the other side"),
            }
            around.ledger.count(Count::Messages);
        }
        pause(random).await;
    }
    within("the end", close(&mut stream)).await?;
    around.ledger.count(Count::Tunnels);
    Ok(())
}

async fn open(around: &Surroundings, path: &str) -> Result<TcpStream> {
    let mut stream = Surroundings::connect(around.http1).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {}\r\n\r\n",
        message::KEY
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head is the tunnel's.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > HEAD_BYTES_MAX {
            bail!("an endless head");
        }
    }
    let head = String::from_utf8_lossy(&head);
    if !head.starts_with("HTTP/1.1 101") || !head.contains(message::ACCEPT) {
        bail!("no tunnel: {head}");
    }
    Ok(stream)
}

/// RFC 6455 §7.1: both say it, then the connection ends.
async fn close(stream: &mut TcpStream) -> Result<()> {
    message::send(stream, Sender::Client, &Message::Close).await?;
    let answer = message::receive(stream, Sender::Server).await?;
    if answer != Message::Close {
        bail!("{answer:?} came instead of the answer to the close");
    }
    stream.shutdown().await?;
    match stream.read(&mut [0]).await {
        Ok(0) => Ok(()),
        other => bail!("after the close came {other:?}"),
    }
}
