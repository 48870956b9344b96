//! An API gateway on Pingora that knows its backends from a service catalog.
//!
//! The journey of a request: `downstream` accepts the connection and lets one well-formed request at a time through →
//! [`proxy`] takes it phase by phase → `admission` reads host and path, loads the current
//! [`snapshot`] once and finds the [`route`] and the pool → the [`upstream`] pool picks a healthy endpoint → Pingora proxies → one
//! log event, [`metrics`].
//!
//! The journey of a change: [`catalog`] hears of it on its stream → the [`snapshot`] applier builds the next snapshot out of the
//! previous one → one pointer is swapped → a copy goes to the disk.
//!
//! Must not know: databases, and anything of the catalog but its HTTP interface.

pub mod admin;
pub mod app;
pub mod cache;
pub mod catalog;
pub mod config;
mod downstream;
pub mod error;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gather;
pub mod metrics;
pub mod proxy;
pub mod route;
pub mod snapshot;
pub mod tls;
pub mod upgrade;
pub mod upstream;

pub use app::{Drained, Gateway, Listeners, StartError};
pub use config::{Config, PROGRAM, SETTINGS};
pub use downstream::Limits;
pub use snapshot::FileRoute;
