//! Which protocol a new connection speaks, found before anything is read from it.
//!
//! hyper-util's automatic builder finds out by itself, but waits for the answer without a limit: a client that sends
//! half of the HTTP/2 preface would hold its connection for ever.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

/// Start of every HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Pause between two looks at half a preface. Bytes that are peeked at stay, so the socket is ready all the time and
/// readiness cannot tell that more arrived. A preface that comes in pieces is so rare that polling is cheap enough.
const PIECE_PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Waits for the first bytes; `None` when the connection ends before they decide. The caller limits the time.
/// Cancel-safe: nothing is taken from the socket.
pub(super) async fn protocol(stream: &TcpStream) -> Option<Protocol> {
    let mut seen = [0_u8; PREFACE.len()];
    let mut before = 0;
    loop {
        let length = stream.peek(&mut seen).await.ok()?;
        match decide(&seen[..length]) {
            Some(protocol) => return Some(protocol),
            // Readable without anything new: the end, or nothing yet; the time limit of the caller tells them apart.
            None if length == 0 => return None,
            None if length == before => sleep(PIECE_PAUSE).await,
            None => before = length,
        }
    }
}

fn decide(seen: &[u8]) -> Option<Protocol> {
    if seen == PREFACE {
        Some(Protocol::Http2)
    } else if PREFACE.starts_with(seen) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides_as_soon_as_the_bytes_allow() {
        assert_eq!(decide(PREFACE), Some(Protocol::Http2));
        assert_eq!(decide(b"GET / HTTP/1.1\r\n"), Some(Protocol::Http1));
        assert_eq!(decide(b"PO"), Some(Protocol::Http1));
        assert_eq!(decide(b"PRI * HTTP/1.1\r\n"), Some(Protocol::Http1));
        assert_eq!(decide(b"PRI"), None);
        assert_eq!(decide(b""), None);
    }
}
