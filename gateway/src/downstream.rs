//! Connections of clients, from the socket up to the point where Pingora takes a request.
//!
//! `listener` accepts within a limit and does the handshake of TLS (`transport`) → `connection` serves requests one after the other → before each of them `stream` reads the
//! head, `head` checks every byte of it → Pingora gets the stream, which lets exactly this one message through; `chunked` finds its
//! end when it comes in chunks → `refusal` answers what is no request.
//!
//! Pingora's own listener is not used. It has no limit of connections, no deadline for a whole head, takes what RFC 9112 refuses
//! (bare LF, both framings) and answers what it refuses itself without a metric, a log event or a problem. With one message at a
//! time there is nothing that Pingora could read past the end of a request, so what follows can never be taken for a part of it.

mod chunked;
mod connection;
mod head;
mod limits;
mod listener;
mod manner;
mod own_answer;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod refusal;
mod stream;
mod streams;
mod transport;

pub(crate) use chunked::ChunkScanner;
pub(crate) use head::{check_head, names_websocket};
pub use limits::Limits;
pub(crate) use listener::{Front, Speaks, Stage};
pub(crate) use manner::is_of_the_hop;
pub(crate) use stream::{ClientStream, Malformed, Whole};
