//! Outgoing HTTP/1.1 where every wait has an end.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use crate::BoxError;
use crate::http::Body;

/// Time for one connection to be established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Idle connections kept per host.
const IDLE_PER_HOST_MAX: usize = 32;
/// How long they are kept. Below the 10 s after which our servers close an idle connection, so that a request seldom
/// meets a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(8);

/// A client with a bounded pool of connections. Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct Client {
    inner: legacy::Client<HttpConnector, Body>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The deadline passed.
    #[error("no answer within the deadline")]
    Timeout,
    /// No connection: nothing was sent.
    #[error("cannot connect")]
    Connect(#[source] BoxError),
    /// The response is longer than the caller's limit.
    #[error("the response's body is too large")]
    BodyTooLarge,
    /// The exchange broke off; the server may have acted on the request.
    #[error("the exchange failed")]
    Failed(#[source] BoxError),
}

impl Client {
    /// A client for `http://` addresses.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector);
        Self { inner }
    }

    /// Sends a request and returns when the response's header is there; reading the body is the caller's, with the
    /// caller's limits. The request's address must be absolute.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a response with an error status is a response.
    pub async fn send(
        &self,
        request: http::Request<Body>,
        deadline: Duration,
    ) -> Result<http::Response<Incoming>, ClientError> {
        self.send_until(request, Instant::now() + deadline).await
    }

    /// Sends a request and reads the whole body, all within the deadline.
    ///
    /// # Errors
    ///
    /// [`ClientError`], also when the body is longer than `limit_bytes`.
    pub async fn fetch(
        &self,
        request: http::Request<Body>,
        deadline: Duration,
        limit_bytes: usize,
    ) -> Result<http::Response<Bytes>, ClientError> {
        let end = Instant::now() + deadline;
        let (parts, body) = self.send_until(request, end).await?.into_parts();
        let body = timeout_at(end, Limited::new(body, limit_bytes).collect())
            .await
            .map_err(|_| ClientError::Timeout)?
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    ClientError::BodyTooLarge
                } else {
                    ClientError::Failed(error)
                }
            })?;
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }

    async fn send_until(
        &self,
        request: http::Request<Body>,
        end: Instant,
    ) -> Result<http::Response<Incoming>, ClientError> {
        match timeout_at(end, self.inner.request(request)).await {
            Err(_) => Err(ClientError::Timeout),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(ClientError::Connect(error.into())),
            Ok(Err(error)) => Err(ClientError::Failed(error.into())),
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
