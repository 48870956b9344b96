//! How an attempt gets its connection: an idle one of the endpoint, or a new one.
//!
//! Pingora asks for it through its hook for custom transports, and takes what it gets for new. What it was is told here.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use pingora_core::{
    connectors::l4::Connect,
    protocols::l4::{socket::SocketAddr, stream::Stream, virt::VirtualSocketStream},
};
use pingora_error::{Error, ErrorType, Result};
use tokio::net::TcpStream;

use super::{AnswerTime, Endpoint, Upload, silence::Silence, socket::ServiceSocket};

/// A way to an endpoint, for one attempt.
#[derive(Debug)]
pub(crate) struct Dial {
    endpoint: Arc<Endpoint>,
    /// The content that follows the head of the request, and what the answer to it is given.
    upload: Option<(Arc<Upload>, AnswerTime)>,
    was_used: AtomicBool,
}

// === impl Dial ===

impl Dial {
    pub(crate) fn new(
        endpoint: &Arc<Endpoint>,
        upload: Option<(Arc<Upload>, AnswerTime)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            endpoint: Arc::clone(endpoint),
            upload,
            was_used: AtomicBool::new(false),
        })
    }

    /// Whether the connection had been used by an earlier request.
    pub(crate) fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    /// An idle connection of the endpoint, or a new one. Whoever asks limits the time.
    ///
    /// # Errors
    /// The endpoint cannot be connected to.
    pub(crate) async fn connection(&self) -> Result<TcpStream> {
        match self.endpoint.idle().take() {
            Some(connection) => {
                self.was_used.store(true, Ordering::Relaxed);
                Ok(connection)
            }
            None => self.open().await,
        }
    }

    async fn open(&self) -> Result<TcpStream> {
        let connection = TcpStream::connect(self.endpoint.address())
            .await
            .map_err(failed)?;
        // Small requests would wait for the acknowledgement of the one before.
        connection.set_nodelay(true).map_err(failed)?;
        Ok(connection)
    }
}

#[async_trait]
impl Connect for Dial {
    async fn connect(&self, _address: &SocketAddr) -> Result<Stream> {
        let connection = self.connection().await?;
        let idle = Arc::clone(self.endpoint.idle());
        let silence =
            (self.upload.as_ref()).map(|(upload, time)| Silence::new(*time, Arc::clone(upload)));
        let socket = ServiceSocket::new(connection, idle, silence);
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}

fn failed(error: io::Error) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ErrorType::ConnectNoRoute
        }
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, "cannot connect", error)
}
