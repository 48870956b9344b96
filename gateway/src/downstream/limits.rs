//! What one client may take of the gateway before it is known what it wants.

use std::time::Duration;

/// Limits of clients' connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections over all listeners of clients; more are closed at once.
    pub connections_max: usize,
    /// From the first byte of a request's head to its last. RFC 9110 §15.5.9 gives 408 for it.
    pub header_timeout: Duration,
    /// Wait for the first byte of the next request on a connection.
    pub idle_timeout: Duration,
    /// Bytes of a request's head, its request line included. More is 431.
    pub header_bytes_max: usize,
    /// Bytes of a request's target. More is 414; RFC 9112 §3 wants at least 8000.
    pub target_bytes_max: usize,
}

// === impl Limits ===

impl Default for Limits {
    /// The documented defaults of the settings.
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            header_bytes_max: 64 << 10,
            target_bytes_max: 16 << 10,
        }
    }
}
