//! What users of the gateway see, over real sockets: clients, a catalog that follows a script, and backends that do as well.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod affinity;
mod applier;
mod balancing;
mod catalog_stream;
mod changes;
mod disk_copy;
mod drain;
mod failures;
mod forwarding;
mod harness;
mod health;
mod metrics;
mod program;
mod protocol;
mod retry;
mod routing;
