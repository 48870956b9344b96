//! Which endpoint gets a request, and why, in words for operators.

use std::sync::Arc;

use super::Endpoint;

/// The endpoint that a request goes to.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Which one.
    pub endpoint: Arc<Endpoint>,
    /// What decided.
    pub because: Because,
}

/// What decides between endpoints, in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// An earlier answer has put the client there.
    StickyCookie,
    /// The way of balancing, among the healthy ones.
    Balance,
    /// The same, among all that may be alive: too few are healthy.
    Panic,
    /// The same, among those that were never probed: no one is healthy.
    NotYetProbed,
    /// The same, among those that are healthy but ejected: there is nobody else.
    Ejected,
}

/// How an instance stands when an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets requests.
    InRotation,
    /// It was never probed, and gets requests because no one is healthy.
    LastResort,
    /// The catalog takes it out of traffic.
    OutOfTraffic,
    /// It fails its checks.
    Unhealthy,
    /// It was never probed, and others are healthy.
    NotYetProbed,
    /// It passes its checks, but requests failed on it.
    Ejected,
    /// It gets requests because too few are healthy.
    Panic,
}

// === impl Standing ===

impl Standing {
    /// Whether requests may go there.
    pub fn gets_requests(self) -> bool {
        matches!(self, Self::InRotation | Self::LastResort | Self::Panic)
    }

    /// For operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InRotation => "in rotation",
            Self::LastResort => "not probed yet, but no one is healthy",
            Self::OutOfTraffic => "the catalog takes it out of traffic",
            Self::Unhealthy => "it fails its health checks",
            Self::NotYetProbed => "not probed yet, and others are healthy",
            Self::Ejected => "requests failed on it, so it is left alone for a while",
            Self::Panic => "out of rotation, but too few are healthy",
        }
    }
}

// === impl Because ===

impl Because {
    /// For operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StickyCookie => "sticky_cookie",
            Self::Balance => "balance",
            Self::Panic => "panic",
            Self::NotYetProbed => "not_yet_probed",
            Self::Ejected => "ejected",
        }
    }
}
