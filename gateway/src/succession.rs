//! One gateway after the other on the same listeners: this process follows another one, and another one follows it.

use std::{
    ffi::OsString,
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use gateway::{
    Config, Listeners,
    upgrade::{NamedSockets, Offer, Successor, take_over},
};
use service_kit::{notify, program::RunError};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task,
};

/// Setting of the successor that a QUIT starts.
const UPGRADE: &str = "GATEWAY_UPGRADE";

/// What a successor needs.
pub(crate) struct Succession {
    data_dir: PathBuf,
    /// Copies of the listeners until there is an offer, which is made when this gateway serves.
    copies: Option<Listeners>,
    quit: Signal,
    /// Where the program lay when it was started. By the time of an upgrade something else may lie there, which is the point.
    executable: PathBuf,
    arguments: Vec<OsString>,
}

/// The listeners of the gateway that runs, when the configuration says so.
pub(crate) fn predecessor(config: &Config) -> Result<(Option<Successor>, NamedSockets), RunError> {
    if !config.upgrade {
        return Ok((None, Vec::new()));
    }
    let (successor, sockets) = take_over(&config.data_dir).map_err(RunError::runtime)?;
    Ok((Some(successor), sockets))
}

/// Tells the successor and the service manager that this process is no longer the gateway.
pub(crate) fn done((process, stream): (u32, UnixStream)) {
    tracing::info!(process, "listeners handed over");
    notify::succeeded_by(process);
    drop(stream);
}

// === impl Succession ===

impl Succession {
    pub(crate) fn new(data_dir: &Path, listeners: &Listeners) -> io::Result<Self> {
        Ok(Self {
            data_dir: data_dir.to_owned(),
            copies: Some(listeners.try_clone()?),
            quit: signal(SignalKind::quit())?,
            executable: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
        })
    }

    /// Sends the gateway before this one away, now that this one serves.
    pub(crate) async fn follow(&self, predecessor: Option<Successor>) {
        let Some(predecessor) = predecessor else {
            return;
        };
        match task::spawn_blocking(|| predecessor.ready()).await {
            Ok(Ok(())) => tracing::info!("listeners taken over"),
            // It is gone, or will notice that its listeners have more than one owner; this one serves in any case.
            failed => tracing::warn!(?failed, "the gateway before did not answer"),
        }
    }

    /// Waits for a successor that is ready. Each QUIT until then starts one.
    pub(crate) async fn next(&mut self) -> (u32, UnixStream) {
        let offer = self
            .copies
            .take()
            .map(|copies| Offer::new(&self.data_dir, copies));
        let taken = async {
            match offer {
                Some(Ok(offer)) => offer.taken().await,
                Some(Err(error)) => {
                    tracing::warn!(%error, "there can be no hand-over");
                    std::future::pending().await
                }
                None => std::future::pending().await,
            }
        };
        tokio::pin!(taken);
        loop {
            tokio::select! {
                taken = &mut taken => return taken,
                _ = self.quit.recv() => {
                    if let Err(error) = start_successor(&self.executable, &self.arguments) {
                        tracing::error!(%error, executable = %self.executable.display(), "cannot start a successor");
                    }
                }
            }
        }
    }
}

/// The same program with the same arguments, and whatever lies in its place now.
fn start_successor(executable: &Path, arguments: &[OsString]) -> io::Result<()> {
    let mut child = Command::new(executable)
        .args(arguments)
        .env(UPGRADE, "true")
        .stdin(Stdio::null())
        .spawn()?;
    tracing::info!(process = child.id(), "started a successor");
    task::spawn_blocking(move || match child.wait() {
        Ok(status) if status.success() => {}
        failed => tracing::error!(?failed, "the successor has ended"),
    });
    Ok(())
}
