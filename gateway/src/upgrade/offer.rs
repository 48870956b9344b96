//! The conversation of the two gateways.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{net::UnixListener, task};

use super::passing::{self, NamedSockets};
use crate::Listeners;

/// Name of the socket in the data folder.
const SOCKET: &str = "gateway-upgrade.sock";
/// Longest wait for a successor to get ready, and for each other's words.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A gateway's offer to hand over its listeners.
pub struct Offer {
    socket: UnixListener,
    listeners: Listeners,
}

/// A gateway that takes the listeners of another one over.
pub struct Successor(UnixStream);

/// Why listeners cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Nobody listens in the data folder.
    #[error(
        "no gateway hands over its listeners at {}; start without GATEWAY_UPGRADE, or with the data folder of the running one",
        path.display()
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot listen for a successor at {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The other one has said something else.
    #[error("the listeners were not handed over")]
    Broken(#[from] io::Error),
}

/// Gets the listeners of the gateway that runs with this data folder. It goes on serving until [`Successor::ready`].
///
/// # Errors
/// [`UpgradeError`]; nothing has changed then.
pub fn take_over(data_dir: &Path) -> Result<(Successor, NamedSockets), UpgradeError> {
    let path = data_dir.join(SOCKET);
    let stream =
        UnixStream::connect(&path).map_err(|source| UpgradeError::Nobody { path, source })?;
    stream.set_read_timeout(Some(READY_TIMEOUT))?;
    let sockets = passing::receive(&stream)?;
    Ok((Successor(stream), sockets))
}

// === impl Successor ===

impl Successor {
    /// Tells the old gateway that this one serves; returns when it has begun its end.
    ///
    /// # Errors
    /// When the old one is gone, which makes no difference any more.
    pub fn ready(mut self) -> Result<(), UpgradeError> {
        self.0.write_all(&std::process::id().to_be_bytes())?;
        // The end of the conversation is the answer.
        let _ = self.0.read(&mut [0])?;
        Ok(())
    }
}

// === impl Offer ===

impl Offer {
    /// Begins to listen for a successor. `listeners` are copies of what is to be handed over.
    ///
    /// # Errors
    /// [`UpgradeError::Listen`].
    pub fn new(data_dir: &Path, listeners: Listeners) -> Result<Self, UpgradeError> {
        let path = data_dir.join(SOCKET);
        let bind = || {
            // A file that is left over, or that of the gateway whose successor this is.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let socket = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(socket)
        };
        let socket = bind().map_err(|source| UpgradeError::Listen {
            path: path.clone(),
            source,
        })?;
        Ok(Self { socket, listeners })
    }

    /// Waits until a successor is ready. Whoever is told has to begin the end and then to drop the answer, which lets the
    /// successor know. Attempts that fail are logged.
    pub async fn taken(self) -> (u32, UnixStream) {
        let sockets = std::sync::Arc::new(self.listeners.into_named());
        loop {
            let accepted = self
                .socket
                .accept()
                .await
                .and_then(|(stream, _)| stream.into_std());
            let sockets = std::sync::Arc::clone(&sockets);
            let attempt = task::spawn_blocking(move || {
                let mut stream = accepted?;
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(READY_TIMEOUT))?;
                passing::send(&stream, &sockets)?;
                let mut process = [0; 4];
                stream.read_exact(&mut process)?;
                Ok::<_, io::Error>((u32::from_be_bytes(process), stream))
            });
            match attempt.await {
                Ok(Ok(taken)) => return taken,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the successor did not get ready; this gateway goes on");
                }
                Err(error) => tracing::error!(%error, "cannot talk with a successor"),
            }
        }
    }
}
