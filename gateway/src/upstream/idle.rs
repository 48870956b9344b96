//! Connections to an endpoint that wait for their next request.
//!
//! Pingora's own pool is not used for HTTP/1: it starts a task for each connection that is given back and asks the kernel for the peer's
//! name before each reuse. Here a connection is on a stack; the last one given back is taken first, so that those that are not needed
//! grow old. Whether the endpoint has closed one is seen when it is taken, from what the reactor has heard already, which costs no
//! system call. One task per endpoint, and only while there are idle connections, closes those that nobody wanted for
//! [`IDLE_TIMEOUT`].

use std::{
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{net::TcpStream, time};

/// Idle time after which a connection to an endpoint is not used again. Below the shortest keep-alive time that is common among
/// servers (Node.js: 5 s), so that a request does not meet a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Idle connections kept per endpoint. A pool below the concurrency doubles the CPU per request; how many there are at all is
/// limited by the requests that were under way at once.
const IDLE_MAX: usize = 1024;

/// The idle connections of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct IdleConnections {
    /// Held for a push or a pop only.
    stack: Mutex<Stack>,
}

#[derive(Debug, Default)]
struct Stack {
    /// Oldest first.
    idle: Vec<Idle>,
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    connection: TcpStream,
    since: Instant,
}

// === impl IdleConnections ===

impl IdleConnections {
    /// A connection that the endpoint has not closed, as far as is known.
    pub(crate) fn take(&self) -> Option<TcpStream> {
        loop {
            let Idle { connection, since } = self.stack.lock().idle.pop()?;
            if since.elapsed() < IDLE_TIMEOUT && is_quiet(&connection) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose exchange is over. Needs a tokio runtime.
    pub(crate) fn keep(self: &Arc<Self>, connection: TcpStream) {
        let mut stack = self.stack.lock();
        if stack.idle.len() >= IDLE_MAX {
            return;
        }
        stack.idle.push(Idle {
            connection,
            since: Instant::now(),
        });
        if !stack.is_swept {
            stack.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Keeps a connection whose exchange is over, unless something has come after it. Needs a tokio runtime.
    pub(crate) fn keep_quiet(self: &Arc<Self>, connection: TcpStream) {
        if is_quiet(&connection) {
            self.keep(connection);
        }
    }

    /// Closes what is too old. Answers whether anything is left.
    fn close_old(&self) -> bool {
        let old: Vec<Idle> = {
            let mut stack = self.stack.lock();
            let young = stack
                .idle
                .partition_point(|idle| idle.since.elapsed() >= IDLE_TIMEOUT);
            let old = stack.idle.drain(..young).collect();
            stack.is_swept = !stack.idle.is_empty();
            old
        };
        let is_left = self.stack.lock().is_swept;
        // Closing is a system call each, and not for the time of a lock.
        drop(old);
        is_left
    }
}

async fn sweep(connections: Weak<IdleConnections>) {
    loop {
        time::sleep(IDLE_TIMEOUT).await;
        match connections.upgrade() {
            Some(connections) if connections.close_old() => {}
            _ => return,
        }
    }
}

/// Whether nothing has come on a connection: neither its end nor bytes that nobody asked for.
pub(super) fn is_quiet(connection: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(connection.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
