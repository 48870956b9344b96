//! HTTP for programs that answer requests themselves: plain hyper with the limits, the drain and the operations
//! endpoints that each of them needs, and no framework. An [`Application`] declares its routes and answers one
//! [`Call`]; a [`Service`] adds everything else; [`serve`] runs it on a socket.

mod accept;
mod application;
pub mod body;
mod call;
mod event;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod linger;
mod operations;
mod params;
mod refusal;
mod request_id;
mod routes;
mod server;
mod service;
mod sniff;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

pub use crate::BoxError;
pub use application::Application;
pub use call::Call;
pub use event::{Routine, milliseconds};
pub use exchange::Exchange;
pub use operations::Operations;
pub use params::PathParams;
pub use request_id::RequestId;
pub use server::{Drained, Limits, serve};
pub use service::Service;

/// Body of a response, and of a request that we send.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Response of an application.
pub type Response = http::Response<Body>;
