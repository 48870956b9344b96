//! The catalog through real sockets: every promise of its interface, and what happens around restarts and deaths.

mod backend;
mod binary;
mod cached_calls;
mod calls;
mod console;
mod deferred_calls;
mod deferred_limits;
mod discovery;
mod drain;
mod drain_counts;
mod failing_calls;
#[path = "../../../../database/tests/support/fault_proxy.rs"]
mod fault_proxy;
mod harness;
mod health;
mod history;
mod instances;
mod lease;
mod lifecycle;
mod name_server;
mod openapi;
mod property;
mod reading;
mod receipts;
mod replicas;
mod schema;
mod selection;
#[path = "../../../../database/tests/support/servers.rs"]
mod servers;
mod shared;
mod shared_deferred;
mod shared_deferred_faults;
mod shared_discovery;
mod shared_history;
mod shared_outage;
mod watch;
mod writing;
