//! Taking connections from a listener, also when the process has no file descriptor left.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::backoff::Backoff;

/// Pauses after an error that concerns the whole process, mostly "too many open files". Without them the loop would
/// spin; with longer ones the recovery would be late.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A listener that survives errors.
pub(super) struct Acceptor {
    listener: TcpListener,
    backoff: Backoff,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
        }
    }

    /// The next connection. Cancel-safe.
    pub(super) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.backoff.reset();
                    return accepted;
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    let pause = self.backoff.next_delay();
                    tracing::warn!(%error, ?pause, "cannot accept connections");
                    sleep(pause).await;
                }
            }
        }
    }

    /// A connection that already waits, if there is one. Closing the listener would reset those.
    pub(super) fn waiting(&mut self) -> Option<(TcpStream, SocketAddr)> {
        self.listener.accept().now_or_never()?.ok()
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
