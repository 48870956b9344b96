//! One question to an instance: are you there? Asked as the service's health check says.

use std::time::Duration;

use catalog_api::{Address, HealthCheck, Probe};
use service_kit::{client::Client, http::body};
use tokio::{net::TcpStream, time::timeout};

/// Longest time for one question, whatever the service's policy says: an eviction must not take longer.
const PROBE_TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// Asks instances.
pub(super) struct Prober {
    client: Client,
}

// === impl Prober ===

impl Prober {
    pub(super) fn new() -> Self {
        Self {
            client: Client::new(),
        }
    }

    /// Whether the instance answers.
    pub(super) async fn answers(&self, address: &Address, check: &HealthCheck) -> bool {
        let time_max = check.timeout.get().min(PROBE_TIMEOUT_MAX);
        match &check.probe {
            Probe::Tcp => {
                let connecting = TcpStream::connect(address.to_string());
                matches!(timeout(time_max, connecting).await, Ok(Ok(_)))
            }
            Probe::Http { path } => {
                let uri = format!("http://{address}{path}");
                let Ok(request) = http::Request::get(uri).body(body::empty()) else {
                    return false;
                };
                match self.client.send(request, time_max).await {
                    Ok(answer) => answer.status().is_success() || answer.status().is_redirection(),
                    Err(_) => false,
                }
            }
        }
    }
}
