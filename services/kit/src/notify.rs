//! What a service manager wants to know: that the program is ready, reads its files again, or stops (sd_notify(3), `Type=notify`).
//!
//! Written out rather than taken from a crate: it is one datagram, and what it says must come from the places that announce the
//! same to people. Without a `NOTIFY_SOCKET` nothing happens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

const SOCKET: &str = "NOTIFY_SOCKET";

/// Whether the manager has heard that the program is ready. Like the socket's name, there is one of it in a process.
static READY: AtomicBool = AtomicBool::new(false);

/// A step in the life of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It serves. Also ends [`Step::Reloading`].
    Ready,
    /// It reads its files again.
    Reloading,
    /// It was asked to stop.
    Stopping,
}

/// Tells the service manager, if there is one, that the program serves.
pub fn ready() {
    READY.store(true, Ordering::Relaxed);
    tell(Step::Ready);
}

/// Tells the service manager that the program reads its files again, for as long as `reload` takes. A program that is not ready yet
/// says nothing: the end of the reload would be taken for the end of the start.
pub async fn reloading(reload: impl Future<Output = ()>) {
    let ready = READY.load(Ordering::Relaxed);
    if ready {
        tell(Step::Reloading);
    }
    reload.await;
    if ready {
        tell(Step::Ready);
    }
}

/// Tells the service manager that the program was asked to stop.
pub fn stopping() {
    tell(Step::Stopping);
}

/// Tells the service manager that another process is the program from now on: a successor that has taken over.
pub fn succeeded_by(process: u32) {
    tell_text(&format!("MAINPID={process}"));
}

/// A manager that does not listen is logged and no obstacle.
fn tell_text(message: &str) {
    if let Some(socket) = std::env::var_os(SOCKET)
        && let Err(error) = send(&socket, message)
    {
        tracing::warn!(%error, socket = %socket.display(), "the service manager cannot be told");
    }
}

fn tell(step: Step) {
    tell_text(step.message());
}

fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // A name without a file, as systemd writes it.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // A manager whose queue is full must not hold the program up.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

// === impl Step ===

impl Step {
    fn message(self) -> &'static str {
        match self {
            Self::Ready => "READY=1",
            Self::Reloading => "RELOADING=1",
            Self::Stopping => "STOPPING=1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_either_kind_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let named = UnixDatagram::bind(&path).unwrap();
        let name = format!("notify-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let nameless = UnixDatagram::bind_addr(&abstract_address).unwrap();
        for (socket, text) in [
            (named, path.into_os_string()),
            (nameless, format!("@{name}").into()),
        ] {
            for (step, message) in [
                (Step::Ready, "READY=1"),
                (Step::Reloading, "RELOADING=1"),
                (Step::Stopping, "STOPPING=1"),
            ] {
                send(&text, step.message()).unwrap();
                let mut received = [0; 64];
                let length = socket.recv(&mut received).unwrap();
                assert_eq!(&received[..length], message.as_bytes());
            }
        }
    }

    #[test]
    fn a_manager_that_is_not_there_is_an_error_to_log() {
        assert!(send(OsStr::new("/nowhere/notify"), "READY=1").is_err());
    }
}
