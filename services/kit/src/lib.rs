//! What every process of the platform needs, and nothing of its domain: configuration, telemetry, HTTP serving with
//! limits and drain, problem responses, metrics, readiness, shutdown, back-off and durable files.
//!
//! The crate must not know what a service, an instance or a route of the gateway is. Each module is named by its one
//! concept; a program composes them in its `main` through [`program::main`].

pub mod backoff;
pub mod client;
pub mod durable;
pub mod http;
pub mod listen;
pub mod metrics;
pub mod problem;
pub mod program;
pub mod readiness;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod sse;
pub mod telemetry;

/// Version of the programs of this workspace, which are released together.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Any error that may cross a thread; used where callers only report it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
