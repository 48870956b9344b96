//! A call on its way in: what an instance will get of it, whenever that is.

use std::net::SocketAddr;

use http::{HeaderMap, Method, Request, uri::PathAndQuery};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use service_kit::http::{Body, RequestId};

use super::{CallError, Calls, HOPS_MAX, headers};
use crate::answers;

/// One call.
pub(crate) struct Inbound {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

/// A call without its body, as it goes to an instance: nothing in it belongs to the caller's connection or to the catalog.
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// Whether a kept answer would do. What was withheld has a say in it, so it is known only here.
    pub(crate) is_for_a_cache: bool,
    pub(crate) request_id: RequestId,
}

// === impl Calls ===

impl Calls {
    /// Takes a request in. `target`: what of its path and query is for the instance.
    ///
    /// # Errors
    /// [`CallError::Circle`].
    pub(crate) fn inbound(
        &self,
        request: Request<Incoming>,
        target: PathAndQuery,
        peer: SocketAddr,
        request_id: RequestId,
    ) -> Result<Inbound, CallError> {
        let (parts, body) = request.into_parts();
        if headers::hops(&parts.headers) >= HOPS_MAX {
            return Err(CallError::Circle);
        }
        let headers = headers::for_instance(&parts, peer, &request_id, &self.token);
        Ok(Inbound {
            head: Head {
                target,
                headers,
                is_for_a_cache: answers::is_for_a_cache(&parts),
                request_id,
                method: parts.method,
            },
            body: body.map_err(Into::into).boxed_unsync(),
        })
    }
}
