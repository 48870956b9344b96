//! The kit as a program sees it: real sockets, real files, no fixed ports.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod client;
mod drain;
mod events;
mod http;
mod limits;
mod operations;
mod refusals;
mod server;
mod settings;
mod settings_errors;
mod signals;
mod wire;
