//! Registrations against a recording catalog on real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../support/recording_catalog.rs"]
mod recording_catalog;

mod failover;
mod leaving;
mod lifecycle;
mod refusal;
mod settings;

use std::net::SocketAddr;

use catalog_api::ServiceSpec;
use registration::{Config, Registered, Registration, RegistrationSettings, State};
use service_kit::{readiness::Readiness, secret::Secret};
use tokio::time::timeout;

use crate::recording_catalog::{PATIENCE, TOKEN, urls};

/// An instance `a` of service `hold` that listens on 127.0.0.1:7001 and has a lease of 300 ms.
pub(crate) fn config(catalogs: &[SocketAddr]) -> Config {
    let settings = RegistrationSettings {
        catalog_urls: urls(catalogs),
        token: Some(Secret::new(TOKEN.to_owned())),
        advertise: None,
        lease: "300ms".parse().unwrap(),
    };
    let service = ServiceSpec::named("hold".parse().unwrap());
    Config::new(
        settings,
        service,
        "a".parse().unwrap(),
        "127.0.0.1:7001".parse().unwrap(),
    )
}

pub(crate) fn start(config: Config) -> Registered {
    Registration::start(config, Readiness::new().detail("registration"))
}

/// Waits for the state and gives its reason, empty when registered.
pub(crate) async fn until(registered: &Registered, mut wanted: impl FnMut(&str) -> bool) -> String {
    let mut state = registered.state();
    let reason = |state: &State| match state {
        State::Registered => String::new(),
        State::Pending { reason } => reason.clone(),
    };
    let found = timeout(PATIENCE, state.wait_for(|state| wanted(&reason(state)))).await;
    match found {
        Ok(Ok(state)) => reason(&state),
        _ => panic!(
            "the state never came; now {:?}",
            registered.state().borrow()
        ),
    }
}
