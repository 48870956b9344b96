//! What users of the gateway see, over real sockets: clients, a catalog that follows a script, and backends that do as well.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod access_log;
mod admin;
mod affinity;
mod applier;
mod balancing;
mod cache;
mod cache_faults;
mod cache_purge;
mod cache_rules;
mod catalog_stream;
mod changes;
mod connections;
mod disk_copy;
mod drain;
mod drain_counts;
mod failures;
mod files;
mod forwarding;
mod frames;
mod grpc;
mod harness;
mod health;
mod hostile_services;
mod http2;
mod limits;
mod metrics;
mod options;
mod policies;
mod program;
mod protocol;
mod receipts;
mod relay;
mod relay_streams;
mod retry;
mod routing;
mod streams;
mod strict;
mod tls;
mod trusted_proxies;
mod upgrade;
mod uploads;
