//! How the gateway, and the catalog where it passes calls on, treats a service. Every field has a default that is safe for a service nobody described.

mod balance;
mod breaker;
mod cache;
mod call;
mod ejection;
mod health;
mod limits;
mod panic;
mod protocol;
mod range;
mod rate;
mod retry;
mod timeouts;

use serde::{Deserialize, Serialize};

use crate::Invalid;

pub use balance::{Balance, BalanceKind, CookieName, FieldName, HashBy, Sticky};
pub use breaker::Breaker;
pub use cache::Cache;
pub use call::CallAccess;
pub use ejection::Ejection;
pub use health::{HEALTH_PATH_BYTES_MAX, HealthCheck, Probe};
pub use limits::{BODY_BYTES_DEFAULT, BODY_BYTES_MAX, CONCURRENCY_MAX, Limits};
pub use panic::PanicPercent;
pub use protocol::Protocol;
pub use rate::{Rate, RateBy};
pub use retry::Retry;
pub use timeouts::Timeouts;

/// The rules of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// How endpoints are probed.
    pub health: HealthCheck,
    /// How long each part of a request may take.
    pub timeouts: Timeouts,
    /// When a request is tried again.
    pub retry: Retry,
    /// What its instances speak. Left out when it is the default, as below.
    #[serde(skip_serializing_if = "Protocol::is_http1")]
    pub protocol: Protocol,
    /// Who may reach the service through the catalog. Left out when it is the default, so that a gateway of an older release, which
    /// refuses fields it does not know, takes every service that does not use it.
    #[serde(skip_serializing_if = "CallAccess::is_open")]
    pub call: CallAccess,
    /// What the gateway may keep of its answers. Left out when nothing is, as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// How much its clients may take. Left out when nothing was said, as the rest is.
    #[serde(skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// When the whole service is left alone for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// When one endpoint is left alone for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejection: Option<Ejection>,
    /// Share of healthy endpoints below which the unhealthy ones get requests, too.
    #[serde(skip_serializing_if = "PanicPercent::is_default")]
    pub panic_percent: PanicPercent,
}

// === impl Policy ===

impl Policy {
    /// Whether its parts fit together.
    ///
    /// # Errors
    /// One of them would have no effect beside another.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let Timeouts { read, write, .. } = self.timeouts;
        if self.protocol == Protocol::H2 && write != Timeouts::default().write {
            return Err(Invalid::new(
                "timeouts.write",
                format_args!(
                    "has no effect with protocol \"h2\": leave it out, an endpoint that takes no more is given up after timeouts.read ({read})"
                ),
            ));
        }
        Ok(())
    }
}
