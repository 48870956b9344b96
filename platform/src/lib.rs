//! The whole platform in one process: gateway, catalog on its embedded store, and instances of the name service.
//!
//! The parts are the same as in the single programs and speak to each other over HTTP, as they would between machines; nothing is
//! short-circuited. So what is tested here is what runs scaled out.
//!
//! Order: every socket is bound first, so that a taken port stops the start before anything runs. Then catalog, name services,
//! gateway; a stop goes the other way round, so that nobody's requests meet a service that has already gone.

mod composition;
mod config;
mod sockets;

pub use composition::{Platform, StartError, Stopped};
pub use config::{Config, PROGRAM};
pub use sockets::{GatewaySocket, Sockets};
