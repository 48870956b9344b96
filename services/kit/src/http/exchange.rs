//! A finished request, reduced to what metrics and logs may keep: everything here has few values.

use std::time::Duration;

use http::Method;

/// What one finished request was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// A registered method, else `OTHER`.
    pub method: &'static str,
    /// Pattern of the route, or [`UNMATCHED`](Self::UNMATCHED).
    pub endpoint: &'static str,
    /// Status of the response.
    pub status: u16,
    /// From the request's header to the response's header.
    pub duration: Duration,
}

impl Exchange {
    /// Endpoint of requests that found no route: their paths are anyone's invention.
    pub const UNMATCHED: &'static str = "unmatched";

    /// Method of requests that have an invented one, or none that could be read.
    pub const OTHER: &'static str = "OTHER";

    /// The method as a label: clients can invent methods, and labels must stay few.
    pub fn method_label(method: &Method) -> &'static str {
        const KNOWN: [&str; 9] = [
            "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "CONNECT",
        ];
        KNOWN
            .into_iter()
            .find(|known| *known == method.as_str())
            .unwrap_or(Self::OTHER)
    }
}
