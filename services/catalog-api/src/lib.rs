//! The words that catalog, gateway and services share: domain types that cannot hold an invalid value, and their JSON form.
//!
//! Every type here is *parsed*: a [`Weight`] of 0, a [`PathPrefix`] without its slash or a [`ServiceName`] that is reserved cannot
//! be built, whether it comes from JSON, from a file or from code. So nobody downstream checks again.
//!
//! Must not know: HTTP servers, clients, stores, runtimes. It depends on serde and on
//! parsers of durations and URIs, nothing else.

pub mod address;
pub mod catalog_url;
pub mod draining;
pub mod event;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod instance;
pub mod invalid;
pub mod label;
pub mod name;
pub mod number;
pub mod policy;
pub mod receipt;
pub mod route;
pub mod service;
pub mod source;
pub mod span;
pub mod timestamp;

pub use address::{Address, Host};
pub use catalog_url::{CatalogUrl, CatalogUrlError, CatalogUrls};
pub use draining::{DRAINING_HEADER, DrainCount, DrainCounts};
pub use event::{Deleted, EventKind, HISTORY_HEADER, Snapshot};
pub use instance::{Instance, InstanceSpec, Status};
pub use invalid::Invalid;
pub use label::{Description, Metadata, Tags, Version, Zone};
pub use name::{InstanceId, ServiceName, ServiceRef};
pub use number::{MinInstances, Revision, ServiceId, Weight};
pub use policy::{
    Balance, BalanceKind, Breaker, Cache, CallAccess, CookieName, Ejection, FieldName, HashBy,
    HealthCheck, Limits, PanicPercent, Policy, Probe, Protocol, Rate, RateBy, Retry, Sticky,
    Timeouts,
};
pub use receipt::{
    OpaqueId, RECEIPTS_PATH, RECEIVER_HEADER, Receipt, Receiver, ReceiverName, Refused,
    STREAM_HEADER,
};
pub use route::{
    AbsolutePath, HeaderMatch, HostPattern, Method, PathChange, PathMatch, PathPrefix, Redirect,
    RedirectStatus, RedirectTarget, RouteAction, RouteSpec, Routes,
};
pub use service::{Service, ServiceSpec};
pub use source::Source;
pub use span::Span;
pub use timestamp::Timestamp;
