//! How the gateway, and the catalog where it passes calls on, treats a service. Every field has a default that is safe for a service nobody described.

mod balance;
mod cache;
mod call;
mod health;
mod protocol;
mod range;
mod retry;
mod timeouts;

use serde::{Deserialize, Serialize};

pub use balance::{Balance, BalanceKind, CookieName, FieldName, HashBy, Sticky};
pub use cache::Cache;
pub use call::CallAccess;
pub use health::{HEALTH_PATH_BYTES_MAX, HealthCheck, Probe};
pub use protocol::Protocol;
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
}
