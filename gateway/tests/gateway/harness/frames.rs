//! HTTP/2 as bytes, for what no client library would send (RFC 9113).
//!
//! Fields are literals without an index (RFC 7541 §6.2.2), so that nothing of a table has to be kept; of an answer only its status is
//! read, which is an index for 200 and 400.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Kinds of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(15);

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer with this status, 0 for one that is not 200 or 400.
    Answer(u16),
    /// The stream is reset; the connection goes on.
    Reset,
    /// The connection is over, with a GOAWAY or without.
    End,
}

/// A connection of HTTP/2 that takes any bytes.
pub(crate) struct Frames {
    stream: TcpStream,
    received: Vec<u8>,
}

// === impl Frames ===

impl Frames {
    /// A connection that has begun as it should, with these settings.
    pub(crate) async fn open(address: SocketAddr, settings: &[u8]) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut frames = Self {
            stream,
            received: Vec::new(),
        };
        frames.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.send(&frame(SETTINGS, 0, 0, settings)).await;
        frames
    }

    /// False when the connection is over.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Kind, flags, stream and content of the next frame; none at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if rest.len() >= length {
                    let (kind, flags) = (head[3], head[4]);
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let content = rest[..length].to_vec();
                    self.received.drain(..9 + length);
                    return Some((kind, flags, stream, content));
                }
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.received));
            match read.await.unwrap() {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// What the peer says first about a request.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        loop {
            match self.next().await {
                None | Some((GOAWAY, ..)) => return Outcome::End,
                Some((RST_STREAM, ..)) => return Outcome::Reset,
                // RFC 7541, appendix A: 8 is status 200, 12 is 400.
                Some((HEADERS, _, _, content)) => {
                    return Outcome::Answer(match content.first() {
                        Some(0x88) => 200,
                        Some(0x8c) => 400,
                        _ => 0,
                    });
                }
                Some(_) => {}
            }
        }
    }
}

/// A frame (RFC 9113 §4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, content].concat()
}

/// A string of RFC 7541 §5.2, with the length as an integer of §5.1.
fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        short @ ..127 => bytes.push(u8::try_from(short).unwrap()),
        long => {
            bytes.push(127);
            let mut left = long - 127;
            while left >= 128 {
                bytes.push(u8::try_from(left % 128).unwrap() | 128);
                left /= 128;
            }
            bytes.push(u8::try_from(left).unwrap());
        }
    }
    bytes.extend(text.bytes());
    bytes
}

/// A whole block of fields.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let each = fields
        .iter()
        .map(|(name, value)| [vec![0], string(name), string(value)].concat());
    each.collect::<Vec<_>>().concat()
}

/// The fields of a good request.
pub(crate) const REQUEST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/hold/"),
    (":authority", "a.test"),
];

/// A request with further fields.
pub(crate) fn request(stream: u32, flags: u8, further: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields(&[&REQUEST[..], further].concat());
    frame(HEADERS, END_HEADERS | flags, stream, &fields)
}

/// One whose content is still to come.
pub(crate) fn open(stream: u32) -> Vec<u8> {
    request(stream, 0, &[])
}

/// One without content, of these fields only.
pub(crate) fn only(list: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(list))
}

/// One setting (RFC 9113 §6.5.1).
pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}
