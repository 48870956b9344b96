//! Where requests go: pools of endpoints per service, how one is picked, and what is known about each.
//!
//! A [`Pool`] is part of a snapshot and dies with it. An [`Endpoint`] outlives snapshots: health and load belong to the address
//! that has them, not to the configuration that mentions it. A [`Load`] outlives even the question of the health check.

mod affinity;
mod alias;
mod balance;
mod breaker;
mod carried;
mod check;
mod choice;
mod concurrency;
mod dial;
mod draw;
mod ejection;
mod endpoint;
mod idle;
mod latency;
mod least_request;
mod load;
mod panic;
mod pool;
mod random;
mod registry;
mod rendezvous;
mod round_robin;
mod silence;
mod slow_start;
mod socket;

pub use affinity::{Affinity, Client};
pub use alias::{Alias, AliasKey};
pub use balance::{Balancer, Start, Turn};
pub use breaker::{Breaker, Passage};
pub use carried::Carried;
pub use check::HealthChecker;
pub(crate) use check::is_refusal;
pub use choice::{Because, Choice, Standing};
pub use concurrency::{Concurrency, Place};
pub(crate) use dial::Dial;
pub use endpoint::{Endpoint, EndpointKey, Health, InFlight, ProbeKey, Transition};
pub use least_request::LeastRequest;
pub use load::{Draining, Load};
pub use pool::{Member, NoEndpoint, Pool, Tried};
pub use registry::Endpoints;
pub use round_robin::RoundRobin;
pub(crate) use silence::{AnswerTime, Unsent, Upload};
