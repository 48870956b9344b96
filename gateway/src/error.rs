//! Everything that can go wrong with a request, and the one place where that becomes a status.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use pingora_error::{Error, ErrorSource, ErrorType};
use service_kit::problem::Problem;

use crate::{
    metrics::RejectReason,
    route::{MethodSet, PathError},
    upstream::NoEndpoint,
};

/// Why the gateway answers a request itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// The request breaks HTTP in a way that makes its meaning doubtful.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// The path cannot be read in one way only.
    #[error("{0}")]
    Path(#[from] PathError),
    /// No host and path fit.
    #[error("no route leads to this host and path")]
    NoRoute,
    /// A route fits but for the method.
    #[error("the method is not allowed here")]
    MethodNotAllowed(MethodSet),
    /// The service has no endpoint to send to.
    #[error("service {service} has no endpoint that could answer")]
    NoEndpoint {
        /// Name of the service.
        service: String,
        /// Why.
        why: NoEndpoint,
    },
    /// No connection to an endpoint could be opened.
    #[error("no connection to an endpoint could be opened")]
    Connect,
    /// Opening a connection took too long.
    #[error("opening a connection to an endpoint took too long")]
    ConnectTimeout,
    /// An endpoint did not answer in time.
    #[error("the endpoint did not answer in time")]
    UpstreamTimeout,
    /// The exchange ran out of its total time.
    #[error("the request ran out of time")]
    DeadlineExceeded,
    /// An endpoint closed the connection or sent something that is not HTTP.
    #[error("the endpoint broke off or sent an invalid answer")]
    Upstream,
    /// The client is gone; nobody can be answered.
    #[error("the client closed the connection")]
    ClientGone,
    /// A fault of the gateway.
    #[error("internal error")]
    Internal,
}

/// Status that logs and metrics show for a client that left, as nginx does. Never sent.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// When to come back after a 503: health checks run every few seconds.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Name of this intermediary in `Proxy-Status` (RFC 9209 §2) and `Via` (RFC 9110 §7.6.3).
pub const INTERMEDIARY: &str = "gateway";

// === impl GatewayError ===

impl GatewayError {
    /// Reads an error that Pingora met on its own.
    pub fn from_pingora(error: &Error) -> Self {
        let upstream = error.esource() == &ErrorSource::Upstream;
        match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Self::ConnectTimeout,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError
            | ErrorType::BindError => Self::Connect,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout if upstream => Self::UpstreamTimeout,
            _ if upstream => Self::Upstream,
            ErrorType::InvalidHTTPHeader => {
                Self::Malformed("a header field or the message framing is invalid")
            }
            _ if error.esource() == &ErrorSource::Downstream => Self::ClientGone,
            _ => Self::Internal,
        }
    }

    /// Status, detail and headers of the answer. None when there is nobody to answer.
    pub fn problem(&self) -> Option<Problem> {
        let problem = match self {
            Self::Malformed(_) | Self::Path(_) => {
                Problem::bad_request(format!("{self}. Send it as RFC 9112 asks."))
            }
            Self::NoRoute => Problem::not_found(format!(
                "{self}. The routes are listed by GET /routes on the admin listener."
            )),
            Self::MethodNotAllowed(allowed) => {
                Problem::method_not_allowed(&allowed.names().collect::<Vec<_>>().join(", "))
            }
            Self::NoEndpoint { why, .. } => {
                let reason = match why {
                    NoEndpoint::Empty => "none is registered",
                    NoEndpoint::AllUnhealthy => "all of them fail their health checks",
                    NoEndpoint::AllTried => "all of them failed on this request",
                };
                Problem::unavailable(format!("{self}: {reason}. Try again shortly."), RETRY_AFTER)
            }
            Self::Connect | Self::Upstream => {
                bad_gateway(StatusCode::BAD_GATEWAY, "bad-gateway", "Bad gateway", self)
            }
            Self::ConnectTimeout | Self::UpstreamTimeout | Self::DeadlineExceeded => bad_gateway(
                StatusCode::GATEWAY_TIMEOUT,
                "gateway-timeout",
                "Gateway timeout",
                self,
            ),
            Self::ClientGone => return None,
            Self::Internal => Problem::internal(),
        };
        Some(
            match HeaderValue::try_from(format!("{INTERMEDIARY}; error={}", self.proxy_status())) {
                Ok(status) => problem.header(HeaderName::from_static("proxy-status"), status),
                Err(_) => problem,
            },
        )
    }

    /// Label of `gateway_rejected_total`.
    pub fn reason(&self) -> RejectReason {
        RejectReason(match self {
            Self::Malformed(_) | Self::Path(_) => "malformed",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::NoEndpoint { .. } => "no_endpoint",
            Self::Connect => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Upstream => "upstream_failed",
            Self::ClientGone => "client_gone",
            Self::Internal => "internal",
        })
    }

    /// Whether the connection must not be used for another request, because its framing is in doubt.
    pub fn closes_connection(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::Internal | Self::ClientGone)
    }

    /// Error type of RFC 9209 §2.3.
    fn proxy_status(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Path(_) | Self::NoRoute | Self::MethodNotAllowed(_) => {
                "http_request_error"
            }
            Self::NoEndpoint { .. } => "destination_unavailable",
            Self::Connect => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::UpstreamTimeout | Self::DeadlineExceeded => "http_response_timeout",
            Self::Upstream => "http_response_incomplete",
            Self::ClientGone | Self::Internal => "proxy_internal_error",
        }
    }
}

fn bad_gateway(
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    error: &GatewayError,
) -> Problem {
    Problem::new(status, slug, title).detail(format!(
        "{error}. The request may be sent again if it is idempotent."
    ))
}
