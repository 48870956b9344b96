//! Taking connections from a listener, also when the process has no file descriptor left.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

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

    /// The connections that already wait; closing the listener without taking them would reset them. The runtime may
    /// not have noticed them yet, so the operating system is asked.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
        let listener = self.listener.into_std().ok();
        std::iter::from_fn(move || {
            let (stream, peer) = listener.as_ref()?.accept().ok()?;
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, peer))
        })
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
