//! What a case asks of a contender's configuration.

/// The work of a proxy, apart from the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// Prefix routes `/s0/`, `/s1/`, …
    pub(super) routes: usize,
    /// Endpoints behind them.
    pub(super) endpoints: usize,
    /// Whether there is a listener with TLS.
    pub(super) tls: bool,
    /// Whether every request is logged, to a file.
    pub(super) access_log: bool,
    /// Whether answers are cached.
    pub(super) cache: bool,
    /// Whether files below `/static/` are served.
    pub(super) files: bool,
}

// === impl Shape ===

impl Shape {
    /// Two routes, two endpoints and nothing more.
    pub(super) const PLAIN: Self = Self {
        routes: 2,
        endpoints: 2,
        tls: false,
        access_log: false,
        cache: false,
        files: false,
    };
}
