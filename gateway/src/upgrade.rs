//! Handing the listeners to a successor, so that a new binary or new settings cost no connection.
//!
//! The running gateway listens on a socket in its data folder (`offer`). A successor, started with `GATEWAY_UPGRADE`, connects to it
//! and gets the listening sockets themselves (`passing`): both accept on them for a moment, and what waits in their queues is lost by
//! neither. When it has heard from its catalog and checked the endpoints it says so; only then does the old one stop to accept. If it
//! dies before, the old one goes on as if nothing had happened.
//!
//! Rejected: a second set of sockets by `SO_REUSEPORT` (the kernel drops what waits in the queue of the one that closes), and
//! inheriting them through `exec` (the successor could only be a child, and a failed start would end the service).

mod offer;
mod passing;

pub use offer::{Offer, Successor, UpgradeError, take_over};
pub use passing::NamedSockets;
