//! What every process of the platform needs, and nothing of its domain: configuration, telemetry, HTTP serving with
//! limits and drain, problem responses, metrics, readiness, shutdown, back-off, retry budgets and durable files.
//!
//! The crate must not know what a service, an instance or a route of the gateway is. Each module is named by its one
//! concept; a program composes them in its `main` through [`program::main`]:
//!
//! ```no_run
//! use service_kit::program::{self, RunError};
//! use service_kit::settings::{Program, Setting, Settings};
//! use service_kit::shutdown::Signals;
//! use service_kit::{listen, telemetry};
//!
//! static PROGRAM: Program = Program {
//!     name: "service-api",
//!     about: "Generates names",
//!     settings: &[
//!         telemetry::SETTINGS,
//!         &[Setting::new("NAMES_LISTEN", "Address to listen on")
//!             .default("0.0.0.0:5000")
//!             .allowed("host:port")],
//!     ],
//!     tables: &[],
//!     config_variable: "NAMES_CONFIG",
//!     refused: &[],
//!     listen: "NAMES_LISTEN",
//! };
//!
//! fn main() -> std::process::ExitCode {
//!     program::main(&PROGRAM, |settings| settings.listen("NAMES_LISTEN").map(|_| ()), run)
//! }
//!
//! fn run(settings: Settings) -> Result<(), RunError> {
//!     let _telemetry = telemetry::init(&settings)?;
//!     let listener = listen::bind(&settings.listen("NAMES_LISTEN")?)?;
//!     tokio::runtime::Runtime::new()?.block_on(async {
//!         let listener = tokio::net::TcpListener::from_std(listener)?;
//!         let mut signals = Signals::new()?;
//!         // Here: an `http::Service` with the program's `http::Application`, given to `http::serve`.
//!         # drop(listener);
//!         signals.next().await;
//!         Ok(())
//!     })
//! }
//! ```

pub mod access_log;
pub mod backoff;
pub mod client;
pub mod durable;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod listen;
pub mod metrics;
pub mod notify;
pub mod problem;
pub mod program;
pub mod readiness;
pub mod retry_budget;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod sse;
pub mod telemetry;

/// Version of the programs of this workspace, which are released together.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Any error that may cross a thread; used where callers only report it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
