//! Certificates of the gateway: from files to what a handshake needs, and again when the files change.
//!
//! `pair` reads one certificate and its key → `certificates` knows which of them a client means, behind one pointer that a reload
//! swaps → `watch` notices new files. A handshake takes the pointer once; connections that are open keep what they have.

mod certificates;
mod pair;
mod server;
mod watch;

pub use certificates::Certificates;
pub use pair::{PairError, PairFiles};
pub(crate) use server::acceptor;
pub(crate) use watch::watch;
