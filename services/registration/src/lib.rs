//! How a Rust service keeps itself in the catalog: it registers, renews its lease while it lives, and leaves before it stops.
//!
//! A service that cannot reach the catalog serves all the same. So nothing here fails a start or gates readiness: the state of
//! the registration is a detail for people, and the loop tries again until it is told to leave.
//!
//! ```text
//! settings ─► RegistrationSettings ─► Config ─► Registration::start ─► Registered ─► deregister
//!                (CATALOG_URL …)      (+ who I am)   │ loop: PUT every ttl/3, next replica on failure
//! ```
//!
//! Must not know: what the service does, how it is served, how the catalog stores anything.

mod advertise;
mod catalog_client;
mod failure;
mod registered;
mod renewal;

pub mod config;
pub mod lease;
pub mod settings;

pub use catalog_api::{CatalogUrl, CatalogUrls};
pub use config::Config;
pub use failure::Failure;
pub use lease::Lease;
pub use registered::{Registered, Registration, State};
pub use settings::{RegistrationSettings, SETTINGS};
