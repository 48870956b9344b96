//! One question to an instance: are you there? Asked as the service's health check says.

use std::time::Duration;

use catalog_api::{Address, HealthCheck, Probe, Span};
use http::StatusCode;
use service_kit::{
    client::{Client, ClientError},
    http::body,
};
use tokio::{net::TcpStream, time::timeout};

/// Longest time for one question, whatever the service's policy says: an eviction must not take longer.
const PROBE_TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// Asks instances.
pub(crate) struct Prober {
    client: Client,
}

/// Why an instance does not count as there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// It took too long.
    #[error("no answer within {}", Span::try_from(*.0).map_or_else(|error| error.to_string(), |span| span.to_string()))]
    Timeout(Duration),
    /// There is no connection, or it broke off.
    #[error("no connection")]
    Unreachable,
    /// It answered, but that it is not well.
    #[error("answered {}", .0.as_u16())]
    Status(StatusCode),
}

// === impl Prober ===

impl Prober {
    pub(crate) fn new() -> Self {
        Self {
            client: Client::new(),
        }
    }

    /// Whether the instance answers.
    pub(crate) async fn answers(&self, address: &Address, check: &HealthCheck) -> bool {
        self.ask(address, check).await.is_ok()
    }

    /// Whether the instance answers, and if not, why.
    pub(crate) async fn ask(&self, address: &Address, check: &HealthCheck) -> Result<(), Silence> {
        let time_max = check.timeout.get().min(PROBE_TIMEOUT_MAX);
        let asking = async {
            match &check.probe {
                Probe::Tcp => TcpStream::connect(address.to_string())
                    .await
                    .map(drop)
                    .map_err(|_| Silence::Unreachable),
                Probe::Http { path } => self.ask_http(address, path, time_max).await,
            }
        };
        match timeout(time_max, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(Silence::Timeout(time_max)),
        }
    }

    async fn ask_http(
        &self,
        address: &Address,
        path: &str,
        time_max: Duration,
    ) -> Result<(), Silence> {
        let request = http::Request::get(format!("http://{address}{path}"))
            .body(body::empty())
            .map_err(|_| Silence::Unreachable)?;
        let answer = self.client.send(request, time_max).await;
        let answer = answer.map_err(|error| match error {
            ClientError::Timeout => Silence::Timeout(time_max),
            _ => Silence::Unreachable,
        })?;
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            Ok(())
        } else {
            Err(Silence::Status(status))
        }
    }
}
