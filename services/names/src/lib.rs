//! The name service: generates names of people, and shows how a service of this platform is made.
//!
//! The journey of a request: [`service_kit::http`] accepts it, finds its endpoint and hands it to the [`api`], which reads count,
//! seed and locale ([`query`]), lets the [`generator`] draw from the lists of the [`locale`], and answers. Everything around it
//! (limits, drain, health, metrics, registration) is put together in [`server`].
//!
//! Nothing here is global: two instances can live in one process and share nothing.

pub mod config;
pub mod generator;
pub mod locale;
pub mod server;

mod api;
mod instance;
mod lists;
mod metrics;
mod query;
mod random;
mod status;

pub use config::{Config, PROGRAM, SETTINGS, service_spec};
pub use generator::{Generator, Name, Seed};
pub use locale::Locale;
pub use server::{Names, Running, StartError};
