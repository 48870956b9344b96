//! One question to the servers, in their order: by UDP, and by TCP when the answer does not fit (RFC 7766 §5).

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::message::{self, Answer, Kind, NoAnswer};

/// Longest wait for one server, and how often each is asked.
const ATTEMPT_MAX: Duration = Duration::from_millis(700);
const ATTEMPTS: usize = 2;

/// Longest message by UDP: without EDNS it is 512 bytes (RFC 1035 §4.2.1).
const UDP_BYTES_MAX: usize = 512;

/// Most messages that may come in place of the answer.
const FOREIGN_MAX: usize = 16;

/// Why nobody answered: what the last one that was asked did.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// Nothing, in time.
    #[error("the DNS server {0} does not answer")]
    Timeout(SocketAddr),
    /// It cannot be reached.
    #[error("the DNS server {0} cannot be reached")]
    Unreachable(SocketAddr, #[source] io::Error),
    /// It answered, but that it cannot say, or nonsense.
    #[error("the DNS server {0} answers with {1}")]
    Useless(SocketAddr, NoAnswer),
    /// It is no name that could be asked for.
    #[error("it is no name that can be asked for")]
    NoName,
}

/// Asks until one of the servers says something about the name.
pub(super) async fn ask(servers: &[SocketAddr], host: &str, kind: Kind) -> Result<Answer, Silence> {
    let mut silence = Silence::NoName;
    for _ in 0..ATTEMPTS {
        for &server in servers {
            // Another number each time, from another port: answers that somebody makes up have to guess both (RFC 5452).
            let question = message::question(rand::random(), host, kind);
            let question = question.ok_or(Silence::NoName)?;
            let asked = timeout(ATTEMPT_MAX, ask_one(server, &question, kind)).await;
            silence = match asked {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(silence)) => silence,
                Err(_) => Silence::Timeout(server),
            };
        }
    }
    Err(silence)
}

async fn ask_one(server: SocketAddr, question: &[u8], kind: Kind) -> Result<Answer, Silence> {
    let unreachable = |error| Silence::Unreachable(server, error);
    let answer = match by_udp(server, question, kind).await.map_err(unreachable)? {
        Err(NoAnswer::Truncated) => by_tcp(server, question, kind).await.map_err(unreachable)?,
        answer => answer,
    };
    answer.map_err(|reason| Silence::Useless(server, reason))
}

async fn by_udp(
    server: SocketAddr,
    question: &[u8],
    kind: Kind,
) -> io::Result<Result<Answer, NoAnswer>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    // Connected: the kernel passes on what comes from the server, and tells when nobody listens there.
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = [0; UDP_BYTES_MAX];
    for _ in 0..FOREIGN_MAX {
        let length = socket.recv(&mut buffer).await?;
        match message::answer(&buffer[..length], question, kind) {
            Err(NoAnswer::Foreign) => {}
            answer => return Ok(answer),
        }
    }
    Ok(Err(NoAnswer::Foreign))
}

async fn by_tcp(
    server: SocketAddr,
    question: &[u8],
    kind: Kind,
) -> io::Result<Result<Answer, NoAnswer>> {
    let mut stream = TcpStream::connect(server).await?;
    // The length goes before a message (RFC 1035 §4.2.2); in one piece, for servers that expect it so.
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message::answer(&message, question, kind))
}
