//! Scenarios over the whole system, from the outside, as a user would see them: real sockets, real processes, free ports.
//!
//! What goes where: `tour` what the README shows; `membership` instances that come, go, die and return; `outage` parts that are
//! down; `drain` instances that leave slowly; `churn` changes under load; `processes` the programs as processes, with signals and kills; `start` configuration and
//! bad input at the start; `failures` everything that can fail, with several of each role. `support` holds the stack, its clients and the backends.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod churn;
mod drain;
mod failures;
mod membership;
mod outage;
mod processes;
mod start;
mod support;
mod tour;
