//! Connections to instances: HTTP/1.1, kept and shared, one pool for each connect timeout that services ask for.

use std::{collections::HashMap, time::Duration};

use catalog_api::Span;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;

use super::replay::Attempt;

/// Idle connections kept to one address, and for how long. Below the 10 s after which our own services close them.
const IDLE_MAX: usize = 32;
const IDLE_TIME_MAX: Duration = Duration::from_secs(8);

/// Longest header of an answer, in bytes.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Most pools. A connect timeout is a property of hyper's connector and not of a request, but services that differ in it are few.
const POOLS_MAX: usize = 64;

pub(super) type HttpClient = Client<HttpConnector, Attempt>;

/// The pools.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<Span, HttpClient>>);

// === impl Clients ===

impl Clients {
    /// The client with this connect timeout.
    pub(super) fn get(&self, connect: Span) -> HttpClient {
        let mut clients = self.0.lock();
        if let Some(client) = clients.get(&connect) {
            return client.clone();
        }
        if clients.len() >= POOLS_MAX {
            // Connections in use are not touched: whoever uses them has the pool too.
            clients.clear();
        }
        let client = build(connect.get());
        clients.insert(connect, client.clone());
        client
    }
}

fn build(connect: Duration) -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME_MAX)
        .pool_max_idle_per_host(IDLE_MAX)
        .http1_max_buf_size(HEADER_BYTES_MAX)
        .build(connector)
}
