//! The name service on real sockets: in this process, and as the binary that users start.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../../registration/tests/support/recording_catalog.rs"]
#[expect(dead_code, reason = "the tests of the registration need more of it")]
mod recording_catalog;

mod binary;
mod drain;
mod endpoints;
mod instance;
mod observing;
mod program;
mod registering;
mod seeds;
