//! One attempt at one instance: the request that is sent, the wait for an answer, and the ways in which there is none.

use std::{error::Error, io, pin::pin, time::Duration};

use catalog_api::Address;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header, uri::PathAndQuery};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::{Instant, sleep_until};

use super::replay::{Attempt, Replay};

/// Why an attempt brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// No connection; nothing was sent.
    #[error("no connection to the instance")]
    Connect(#[source] legacy::Error),
    /// No connection in time; nothing was sent.
    #[error("no connection to the instance within the service's connect timeout")]
    ConnectTimeout,
    /// A connection, but no answer for the service's read timeout, or none before its total timeout.
    #[error("the instance did not answer in time")]
    Silent,
    /// The connection ended, or what came is not HTTP.
    #[error("the instance ended the exchange without an answer")]
    Broken(#[source] legacy::Error),
    /// It switched to another protocol, unasked.
    #[error("the instance switched protocols, which nobody asked for")]
    Upgraded,
    /// The caller was silent for the service's read timeout.
    #[error("the request's body came too slowly")]
    CallerSlow,
    /// The caller's body ended before its end.
    #[error("the request's body is not complete")]
    CallerBroke,
    /// The body cannot be sent once more.
    #[error("the request's body is too long to be sent again")]
    BodyGone,
    /// Address, path and headers make no request.
    #[error("the request cannot be written")]
    Unwritable(#[from] http::Error),
}

/// The request that goes to an instance.
pub(super) fn request(
    method: &Method,
    address: &Address,
    target: &PathAndQuery,
    headers: &HeaderMap,
    body: Attempt,
) -> Result<Request<Attempt>, AttemptError> {
    let authority = address.to_string();
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority.as_str())
        .path_and_query(target.clone())
        .build()?;
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        // The caller may speak another version to us.
        .version(Version::HTTP_11)
        .body(body)?;
    headers.clone_into(request.headers_mut());
    let host = HeaderValue::try_from(authority).map_err(http::Error::from)?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

/// Waits for the header of an answer. Silence counts from the last progress of the request's body.
pub(super) async fn answer(
    sending: legacy::ResponseFuture,
    body: &Replay,
    read: Duration,
    end: Instant,
) -> Result<http::Response<Incoming>, AttemptError> {
    let started = Instant::now();
    let mut sending = pin!(sending);
    loop {
        let limit = (body.progress().max(started) + read).min(end);
        tokio::select! {
            biased;
            answered = sending.as_mut() => return answered.map_err(|error| failed(error, body)),
            () = sleep_until(limit) => {}
        }
        let moved = body.progress().max(started) + read;
        if Instant::now() < moved.min(end) {
            continue;
        }
        return Err(if body.awaits_caller() {
            AttemptError::CallerSlow
        } else {
            AttemptError::Silent
        });
    }
}

fn failed(error: legacy::Error, body: &Replay) -> AttemptError {
    if body.is_broken() {
        return AttemptError::CallerBroke;
    }
    if !error.is_connect() {
        return AttemptError::Broken(error);
    }
    let mut source: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::TimedOut
        {
            return AttemptError::ConnectTimeout;
        }
        source = error.source();
    }
    AttemptError::Connect(error)
}

// === impl AttemptError ===

impl AttemptError {
    /// Nothing of the request has left.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimeout)
    }

    /// Another instance may do better.
    pub(super) fn is_the_instances_fault(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Silent
            | Self::Broken(_)
            | Self::Upgraded => true,
            Self::CallerSlow | Self::CallerBroke | Self::BodyGone | Self::Unwritable(_) => false,
        }
    }
}
