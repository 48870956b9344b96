//! The service catalog: which services there are, where their instances run, and who is told when that changes.
//!
//! The journey of a write: [`api`] checks the token and parses, `registry` decides whether the store must be asked at all, the
//! store commits it with the next revision, `follower` sees the new head, reads what changed, builds the next immutable
//! `snapshot` and publishes it through `state`; watchers wake up, and the answer goes out when its revision is published.
//! Reads never touch the store: they load the snapshot and send bytes that were encoded once.
//!
//! Besides that, `health` asks instances how they are, `calls` passes requests on to them and `answers` keeps those that may be kept,
//! `deferred` carries those out that are answered later, `history` knows what became of it,
//! `drain` takes out those that leave slowly, and `openapi` describes the interface.
//!
//! Instances that do not register themselves are found by `discovery`, which writes through the registry like everybody else.
//!
//! The store is a file of its own or a database that several catalogs share (`opening`). A shared one may be away: then what is
//! published stays, and writes are refused (`outage`). Catalogs may also share a Redis, without which everything goes on (`history`,
//! `redis_watch`).
//!
//! Gateways say how far they are (`receipts`), so that a write can wait until it is in effect.
//!
//! Leases live in memory only (`lease`): a renewal is no write. [`app`] puts everything together; there are no globals, so any
//! number of catalogs can run in one process.

mod answers;
mod api;
pub mod app;
mod auth;
mod calls;
pub mod config;
mod deferred;
pub mod discovery;
mod drain;
mod entity_tag;
mod follower;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod history;
mod journal;
mod lease;
mod metrics;
mod openapi;
mod opening;
mod outage;
mod prefer;
mod presence;
mod probe;
mod problem;
mod receipts;
mod redis_watch;
mod registry;
mod seeds;
mod snapshot;
mod state;
mod store;
pub mod token;
mod watch;

pub use app::{Catalog, Running, StartError};
pub use config::{Config, PROGRAM, SETTINGS};
pub use discovery::{DiscoveryConfig, settings::SETTINGS as DISCOVERY_SETTINGS};
pub use token::TokenError;
