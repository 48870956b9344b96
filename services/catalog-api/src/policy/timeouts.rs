//! How long the parts of a request may take.

use serde::{Deserialize, Serialize};

use crate::{Invalid, Span};

/// Limits in time for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTimeouts", into = "RawTimeouts")]
pub struct Timeouts {
    /// Opening a connection to an endpoint.
    pub connect: Span,
    /// Longest silence of an endpoint while its answer is awaited or read. It counts from the last of the request on; with HTTP/2,
    /// from the first of it.
    pub read: Span,
    /// Longest wait for an endpoint to take more of the request. Not with HTTP/2.
    pub write: Span,
    /// The whole exchange with all its attempts. Not applied to upgraded connections.
    pub total: Span,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeouts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<Span>,
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::from_millis(1_000),
            read: Span::from_millis(30_000),
            write: Span::from_millis(30_000),
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
            write: raw.write.unwrap_or(default.write),
            total: raw.total.unwrap_or(default.total),
        };
        // A part longer than the whole could never run out: it would be a setting without effect.
        for (what, given) in [
            ("timeouts.connect", raw.connect),
            ("timeouts.read", raw.read),
            ("timeouts.write", raw.write),
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
            // Left out when it is the default: older gateways do not know it.
            write: part(timeouts.write).filter(|write| *write != Timeouts::default().write),
            total: Some(timeouts.total),
        }
    }
}
