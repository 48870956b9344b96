//! How endpoints are probed.

use serde::{Deserialize, Serialize};

use super::range::{lasting, within};
use crate::{Invalid, PathPrefix, Span, invalid::excerpt};

/// Active health checks of a service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawHealthCheck", into = "RawHealthCheck")]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Time between two checks of one endpoint, 100 ms to 1 h.
    pub interval: Span,
    /// How long one check may take, 10 ms to 1 min.
    pub timeout: Span,
    /// Successes in a row until an unhealthy endpoint gets traffic, 1 to 100.
    pub healthy_after: u8,
    /// Failures in a row until a healthy endpoint gets none, 1 to 100.
    pub unhealthy_after: u8,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET` of this path; 2xx and 3xx pass.
    Http {
        /// Absolute path, may have a query.
        path: String,
    },
    /// A connection can be opened. The default: it is true of every service, while a path would have to be known.
    Tcp,
}

/// Longest health-check path, in bytes.
pub const HEALTH_PATH_BYTES_MAX: usize = 1024;

const INTERVAL: Span = Span::from_millis(2_000);
const INTERVAL_RANGE: (Span, Span) = (Span::from_millis(100), Span::from_millis(3_600_000));
const TIMEOUT: Span = Span::from_millis(1_000);
const TIMEOUT_RANGE: (Span, Span) = (Span::from_millis(10), Span::from_millis(60_000));
const THRESHOLD_MAX: u8 = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHealthCheck {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    healthy_after: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unhealthy_after: Option<u64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Http,
    Tcp,
}

// === impl HealthCheck ===

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            probe: Probe::Tcp,
            interval: INTERVAL,
            timeout: TIMEOUT,
            healthy_after: 1,
            unhealthy_after: 2,
        }
    }
}

impl Probe {
    /// Path asked when `kind` is `http` and none is given.
    pub const DEFAULT_PATH: &str = "/health";

    fn http(path: String) -> Result<Self, Invalid> {
        let base = path.split('?').next().unwrap_or_default();
        let printable = path
            .bytes()
            .all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'#');
        // The prefix parser knows what a plain path is; encodings are refused for the same reason as in routes.
        if path.len() > HEALTH_PATH_BYTES_MAX || !printable || base.parse::<PathPrefix>().is_err() {
            return Err(Invalid::new(
                "health.path",
                format_args!(
                    "must be an absolute path such as /health, not {}",
                    excerpt(&path)
                ),
            ));
        }
        Ok(Self::Http { path })
    }
}

impl TryFrom<RawHealthCheck> for HealthCheck {
    type Error = Invalid;

    fn try_from(raw: RawHealthCheck) -> Result<Self, Invalid> {
        let probe = match (raw.kind, raw.path) {
            (Some(Kind::Tcp), Some(_)) => {
                return Err(Invalid::new(
                    "health.path",
                    "has no effect with kind \"tcp\"; leave it out or set kind \"http\"",
                ));
            }
            (Some(Kind::Tcp) | None, None) => Probe::Tcp,
            (Some(Kind::Http), None) => Probe::http(Probe::DEFAULT_PATH.to_owned())?,
            (Some(Kind::Http) | None, Some(path)) => Probe::http(path)?,
        };
        Ok(Self {
            probe,
            interval: lasting("health.interval", raw.interval, INTERVAL, INTERVAL_RANGE)?,
            timeout: lasting("health.timeout", raw.timeout, TIMEOUT, TIMEOUT_RANGE)?,
            healthy_after: within(
                "health.healthy_after",
                raw.healthy_after,
                1,
                1,
                THRESHOLD_MAX,
            )?,
            unhealthy_after: within(
                "health.unhealthy_after",
                raw.unhealthy_after,
                2,
                1,
                THRESHOLD_MAX,
            )?,
        })
    }
}

impl From<HealthCheck> for RawHealthCheck {
    fn from(check: HealthCheck) -> Self {
        let (kind, path) = match check.probe {
            Probe::Http { path } => (Kind::Http, Some(path)),
            Probe::Tcp => (Kind::Tcp, None),
        };
        Self {
            kind: Some(kind),
            path,
            interval: Some(check.interval),
            timeout: Some(check.timeout),
            healthy_after: Some(check.healthy_after.into()),
            unhealthy_after: Some(check.unhealthy_after.into()),
        }
    }
}
