//! The stores against their contract, through the public interface only.

mod cache;
mod conformance;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod fixture;
mod history;
mod jobs;
mod kill;
mod model;
#[path = "../support/servers.rs"]
mod servers;

mod postgres;
mod postgres_faults;
mod postgres_replicas;
mod redis;
mod sqlite;
