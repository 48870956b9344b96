//! How the gateway treats a service. Every field has a default that is safe for a service nobody described.

use serde::{Deserialize, Serialize};

use crate::{Invalid, PathPrefix, Span, invalid::excerpt};

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
}

/// How an endpoint is chosen among the healthy ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The better of two random choices by requests in flight (Mitzenmacher, "The power of two choices", 2001).
    #[default]
    LeastRequest,
    /// In turn, by weight, spread evenly.
    RoundRobin,
}

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

/// Limits in time for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTimeouts", into = "RawTimeouts")]
pub struct Timeouts {
    /// Opening a connection to an endpoint.
    pub connect: Span,
    /// Longest silence of an endpoint while its answer is awaited or read.
    pub read: Span,
    /// The whole exchange with all its attempts. Not applied to upgraded connections.
    pub total: Span,
}

/// When a request is sent again after an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRetry", into = "RawRetry")]
pub struct Retry {
    /// Attempts in all, 1 to 10; 1 = no retry.
    pub attempts: u8,
    /// Retries as a share of the service's requests, 0 to 100 %; a few are always allowed so that a quiet service can retry.
    pub budget_percent: u8,
}

/// Longest health-check path, in bytes.
pub const HEALTH_PATH_BYTES_MAX: usize = 1024;

const INTERVAL: Span = Span::from_millis(2_000);
const INTERVAL_RANGE: (Span, Span) = (Span::from_millis(100), Span::from_millis(3_600_000));
const TIMEOUT: Span = Span::from_millis(1_000);
const TIMEOUT_RANGE: (Span, Span) = (Span::from_millis(10), Span::from_millis(60_000));
const THRESHOLD_MAX: u8 = 100;
const ATTEMPTS_MAX: u8 = 10;

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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeouts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<Span>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget_percent: Option<u64>,
}

fn within(
    what: &'static str,
    number: Option<u64>,
    default: u8,
    least: u8,
    most: u8,
) -> Result<u8, Invalid> {
    let Some(number) = number else {
        return Ok(default);
    };
    match u8::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(Invalid::new(
            what,
            format_args!("must be {least} to {most}, not {number}"),
        )),
    }
}

fn lasting(
    what: &'static str,
    span: Option<Span>,
    default: Span,
    range: (Span, Span),
) -> Result<Span, Invalid> {
    let span = span.unwrap_or(default);
    if span < range.0 || span > range.1 {
        return Err(Invalid::new(
            what,
            format_args!("must be {} to {}, not {span}", range.0, range.1),
        ));
    }
    Ok(span)
}

// === impl Balance ===

impl Balance {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastRequest => "least_request",
            Self::RoundRobin => "round_robin",
        }
    }
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

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::from_millis(1_000),
            read: Span::from_millis(30_000),
            total: Span::from_millis(60_000),
        }
    }
}

impl TryFrom<RawTimeouts> for Timeouts {
    type Error = Invalid;

    fn try_from(raw: RawTimeouts) -> Result<Self, Invalid> {
        let default = Self::default();
        let timeouts = Self {
            connect: raw.connect.unwrap_or(default.connect),
            read: raw.read.unwrap_or(default.read),
            total: raw.total.unwrap_or(default.total),
        };
        // A part longer than the whole could never run out: it would be a setting without effect.
        for (what, given) in [
            ("timeouts.connect", raw.connect),
            ("timeouts.read", raw.read),
        ] {
            if let Some(part) = given
                && part > timeouts.total
            {
                return Err(Invalid::new(
                    what,
                    format_args!(
                        "must not exceed timeouts.total ({}), not {part}",
                        timeouts.total
                    ),
                ));
            }
        }
        Ok(timeouts)
    }
}

impl From<Timeouts> for RawTimeouts {
    fn from(timeouts: Timeouts) -> Self {
        // A default part above an explicit total is left out, or the value could not be read back.
        let part = |span: Span| (span <= timeouts.total).then_some(span);
        Self {
            connect: part(timeouts.connect),
            read: part(timeouts.read),
            total: Some(timeouts.total),
        }
    }
}

// === impl Retry ===

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            budget_percent: 20,
        }
    }
}

impl TryFrom<RawRetry> for Retry {
    type Error = Invalid;

    fn try_from(raw: RawRetry) -> Result<Self, Invalid> {
        let default = Self::default();
        Ok(Self {
            attempts: within(
                "retry.attempts",
                raw.attempts,
                default.attempts,
                1,
                ATTEMPTS_MAX,
            )?,
            budget_percent: within(
                "retry.budget_percent",
                raw.budget_percent,
                default.budget_percent,
                0,
                100,
            )?,
        })
    }
}

impl From<Retry> for RawRetry {
    fn from(retry: Retry) -> Self {
        Self {
            attempts: Some(retry.attempts.into()),
            budget_percent: Some(retry.budget_percent.into()),
        }
    }
}
