//! Everything that can go wrong with a request, and the one place where that becomes a status.

use std::{io, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora_error::{Error, ErrorSource, ErrorType};
use service_kit::problem::Problem;

use crate::{
    downstream::Malformed,
    metrics::RejectReason,
    route::{MethodSet, PathError},
    upstream::{NoEndpoint, Unsent},
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
    /// The target of the request is too long; with the limit in bytes.
    #[error("the target of the request has more than {0} bytes")]
    TargetTooLong(usize),
    /// The head of the request is too long; with the limit in bytes.
    #[error("the headers of the request have more than {0} bytes")]
    HeaderTooLarge(usize),
    /// The request has too many fields; with the limit.
    #[error("the request has more than {0} headers")]
    TooManyFields(usize),
    /// The head of the request did not come in time.
    #[error("the headers of the request did not come in time")]
    HeaderTimeout,
    /// A version of HTTP that is not spoken here.
    #[error("this version of HTTP is not spoken here")]
    Version,
    /// A transfer coding besides chunked.
    #[error("no transfer coding but chunked is understood here")]
    TransferCoding,
    /// `CONNECT`, which the gateway does not do.
    #[error("this is no proxy for CONNECT")]
    ConnectMethod,
    /// A client did not finish the handshake of TLS.
    #[error("the handshake of TLS failed")]
    Handshake,
    /// The gateway has as many connections as it may.
    #[error("too many connections are open")]
    TooManyConnections,
    /// No host and path fit.
    #[error("no route leads to this host and path")]
    NoRoute,
    /// A route fits but for the method.
    #[error("the method is not allowed here")]
    MethodNotAllowed(MethodSet),
    /// The client has asked too often.
    #[error("this client has asked too often")]
    RateLimited {
        /// When the next request would pass.
        retry_after: Duration,
    },
    /// The content is longer than the service takes; with the limit in bytes.
    #[error("the content of the request has more than {0} bytes")]
    BodyTooLarge(u64),
    /// The service has as many requests at once as it may; with the limit.
    #[error("the service has {0} requests at once, which is as many as it may")]
    Overloaded(u32),
    /// Too many requests to the service have failed.
    #[error("most requests to this service fail, so it is left alone for a while")]
    CircuitOpen {
        /// When it is tried again.
        retry_after: Duration,
    },
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
    /// The client wants a kept answer or none (RFC 9111 §5.2.1.7).
    #[error("no answer that could be given is kept, and the request forbids to ask the service")]
    NotCached,
    /// No file has this name, or none that is served.
    #[error("there is no such file")]
    NoFile,
    /// The folder of a route is not there.
    #[error("the folder of this route does not exist")]
    NoFolder,
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

/// Methods that a service may be asked with, for `Allow` where no route has a say.
pub const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Name of this intermediary in `Proxy-Status` (RFC 9209 §2) and `Via` (RFC 9110 §7.6.3).
pub const INTERMEDIARY: &str = "gateway";

// === impl GatewayError ===

impl GatewayError {
    /// Reads an error that Pingora met on its own.
    pub fn from_pingora(error: &Error) -> Self {
        let upstream = error.esource() == &ErrorSource::Upstream;
        if let Some(malformed) = malformed_content(error) {
            return Self::Malformed(malformed.0);
        }
        match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Self::ConnectTimeout,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError
            | ErrorType::BindError => Self::Connect,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout if upstream => Self::UpstreamTimeout,
            _ if upstream => match io_cause(error) {
                Some(cause) if is_unsent(cause) => Self::DeadlineExceeded,
                Some(cause) if cause.kind() == io::ErrorKind::TimedOut => Self::UpstreamTimeout,
                _ => Self::Upstream,
            },
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
            Self::TargetTooLong(_) => Problem::new(
                StatusCode::URI_TOO_LONG,
                "uri-too-long",
                "The target of the request is too long",
            )
            .detail(format!("{self}. Send a shorter one, or content.")),
            Self::HeaderTooLarge(_) | Self::TooManyFields(_) => Problem::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "header-too-large",
                "The headers of the request are too large",
            )
            .detail(format!(
                "{self}. Send fewer or shorter ones; cookies are mostly the cause."
            )),
            Self::HeaderTimeout => Problem::request_timeout(format!("{self}. Try again.")),
            Self::Version => Problem::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "version-not-supported",
                "The version of HTTP is not supported",
            )
            .detail(format!("{self}. Use HTTP/1.1.")),
            Self::TransferCoding => Problem::new(
                StatusCode::NOT_IMPLEMENTED,
                "not-implemented",
                "This is not implemented",
            )
            .detail(format!("{self}. Send the content without it.")),
            Self::ConnectMethod => Problem::method_not_allowed(METHODS),
            Self::TooManyConnections => {
                Problem::unavailable(format!("{self}. Try again shortly."), RETRY_AFTER)
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
            Self::RateLimited { retry_after } => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate-limited",
                "Too many requests",
            )
            .detail(format!("{self}. Come back after the time in Retry-After."))
            .header(header::RETRY_AFTER, seconds(*retry_after)),
            Self::BodyTooLarge(limit) => {
                Problem::payload_too_large(usize::try_from(*limit).unwrap_or(usize::MAX))
            }
            Self::Overloaded(_) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "The service is overloaded",
            )
            .detail(format!("{self}. Try again shortly."))
            .header(header::RETRY_AFTER, seconds(RETRY_AFTER)),
            Self::CircuitOpen { retry_after } => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "circuit-open",
                "The service is failing",
            )
            .detail(format!("{self}. Come back after the time in Retry-After."))
            .header(header::RETRY_AFTER, seconds(*retry_after)),
            Self::Connect | Self::Upstream => {
                bad_gateway(StatusCode::BAD_GATEWAY, "bad-gateway", "Bad gateway", self)
            }
            Self::ConnectTimeout | Self::UpstreamTimeout | Self::DeadlineExceeded => bad_gateway(
                StatusCode::GATEWAY_TIMEOUT,
                "gateway-timeout",
                "Gateway timeout",
                self,
            ),
            Self::ClientGone | Self::Handshake => return None,
            Self::NoFile => Problem::not_found(format!(
                "{self}. Check the path, upper and lower case count."
            )),
            Self::NoFolder => Problem::not_found(format!(
                "{self}. Make it, or name another one in GATEWAY_STATIC_DIR or in the route's files."
            )),
            Self::NotCached => Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "not-cached",
                "Not in the cache",
            )
            .detail(format!("{self}. Leave out only-if-cached.")),
            Self::Internal => Problem::internal(),
        };
        let problem = problem.extension("reason", self.reason().0.into());
        Some(
            match HeaderValue::try_from(format!("{INTERMEDIARY}; error={}", self.proxy_status())) {
                Ok(status) => problem.header(HeaderName::from_static("proxy-status"), status),
                Err(_) => problem,
            },
        )
    }

    /// Label of `gateway_rejected_total`, and `reason` of the problem and of `/explain`.
    pub fn reason(&self) -> RejectReason {
        RejectReason(match self {
            Self::Malformed(_) | Self::Path(_) | Self::TransferCoding => "malformed",
            Self::TargetTooLong(_) => "uri_too_long",
            Self::HeaderTooLarge(_) | Self::TooManyFields(_) => "header_too_large",
            Self::HeaderTimeout => "header_timeout",
            Self::Version => "version_not_supported",
            Self::Handshake => "tls_handshake",
            Self::TooManyConnections => "connections",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed(_) | Self::ConnectMethod => "method_not_allowed",
            Self::RateLimited { .. } => "rate_limited",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::Overloaded(_) => "concurrency",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::NoEndpoint { .. } => "no_endpoint",
            Self::Connect => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Upstream => "upstream_failed",
            Self::NoFile => "no_file",
            Self::NoFolder => "no_folder",
            Self::NotCached => "not_cached",
            Self::ClientGone => "client_gone",
            Self::Internal => "internal",
        })
    }

    /// Whether the connection must not be used for another request, because its framing is in doubt or the rest is too long to be read.
    pub fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_) | Self::BodyTooLarge(_) | Self::Internal | Self::ClientGone
        )
    }

    /// Error type of RFC 9209 §2.3.
    fn proxy_status(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::Path(_)
            | Self::TargetTooLong(_)
            | Self::HeaderTooLarge(_)
            | Self::TooManyFields(_)
            | Self::HeaderTimeout
            | Self::Version
            | Self::TransferCoding
            | Self::ConnectMethod
            | Self::NoRoute
            | Self::BodyTooLarge(_)
            | Self::MethodNotAllowed(_) => "http_request_error",
            Self::RateLimited { .. } => "http_request_denied",
            Self::Overloaded(_) => "connection_limit_reached",
            Self::NoEndpoint { .. } | Self::CircuitOpen { .. } => "destination_unavailable",
            Self::Connect => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::UpstreamTimeout | Self::DeadlineExceeded => "http_response_timeout",
            Self::Upstream => "http_response_incomplete",
            Self::Handshake => "tls_protocol_error",
            Self::ClientGone | Self::Internal | Self::TooManyConnections => "proxy_internal_error",
            Self::NotCached => "http_request_denied",
            Self::NoFile | Self::NoFolder => "http_request_error",
        }
    }
}

/// `Retry-After` in whole seconds, at least 1.
fn seconds(retry_after: Duration) -> HeaderValue {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

/// What the client's stream found wrong with the framing of a request's content.
fn malformed_content(error: &Error) -> Option<Malformed> {
    io_cause(error)?.get_ref()?.downcast_ref().copied()
}

/// Whether an exchange ran out of time while its client was sending.
fn is_unsent(cause: &io::Error) -> bool {
    cause.get_ref().is_some_and(|inner| inner.is::<Unsent>())
}

/// What a connection said.
fn io_cause(error: &Error) -> Option<&io::Error> {
    let mut cause = error.cause.as_deref()?;
    loop {
        if let Some(error) = cause.downcast_ref() {
            return Some(error);
        }
        cause = cause.downcast_ref::<Box<Error>>()?.cause.as_deref()?;
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
