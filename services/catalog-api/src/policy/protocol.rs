//! What the instances of a service speak.

use serde::{Deserialize, Serialize};

/// The protocol between gateway and instances. What clients speak does not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3). gRPC needs it.
    H2,
}

// === impl Protocol ===

impl Protocol {
    /// Whether it is the default.
    pub(super) fn is_http1(&self) -> bool {
        *self == Self::Http1
    }
}
