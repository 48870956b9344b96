//! The stop signal of a process: asked for once, seen by every loop, never lost.

use std::io;

use tokio::signal::unix::{self, SignalKind};
use tokio::sync::{Mutex, watch};

/// Sees whether the process was asked to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

/// Asks for the stop. When the last clone is dropped, that counts as asking: a loop never outlives its owner.
#[derive(Clone, Debug)]
pub struct ShutdownTrigger {
    request: watch::Sender<bool>,
}

/// A connected pair.
pub fn channel() -> (ShutdownTrigger, Shutdown) {
    let (request, requested) = watch::channel(false);
    (ShutdownTrigger { request }, Shutdown { requested })
}

/// What the operating system told the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// TERM: fail readiness, deregister, drain, exit 0.
    Terminate,
    /// INT (Ctrl-C): the same; a second one exits at once.
    Interrupt,
    /// HUP: reload files, keep the old ones on error.
    Hangup,
}

/// The signals of the process as a stream. From its creation on, no TERM, INT or HUP kills the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

// === impl ShutdownTrigger ===

impl ShutdownTrigger {
    /// Asks every [`Shutdown`] of this pair to stop. More calls change nothing.
    pub fn trigger(&self) {
        self.request.send_replace(true);
    }
}

// === impl Shutdown ===

impl Shutdown {
    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        // `has_changed` fails exactly when every trigger is gone.
        *self.requested.borrow() || self.requested.has_changed().is_err()
    }

    /// Resolves once the stop was asked for, at once when that is past. Cancel-safe.
    pub async fn requested(&self) {
        let mut requested = self.requested.clone();
        // An error means that every trigger is gone, which counts as asked for.
        let _ = requested.wait_for(|requested| *requested).await;
    }
}

// === impl Signals ===

impl Signals {
    /// Registers the handlers. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a handler.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next signal. Cancel-safe: one that arrives between two calls is seen by the second.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.hangup.recv() => Signal::Hangup,
        }
    }
}

/// The next signal of the process, for programs that need no stream of their own. The handlers are registered by the
/// first call and stay, so that a signal between two calls is not lost; one caller at a time gets each signal.
///
/// Where handlers cannot be registered it never resolves, and the operating system's default action stays.
pub async fn signals() -> Signal {
    static PROCESS: Mutex<Option<Signals>> = Mutex::const_new(None);
    let mut process = PROCESS.lock().await;
    if process.is_none() {
        match Signals::new() {
            Ok(signals) => *process = Some(signals),
            Err(error) => tracing::error!(%error, "cannot handle signals"),
        }
    }
    match process.as_mut() {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_trigger_also_afterwards() {
        let (trigger, shutdown) = channel();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        assert!(!shutdown.is_requested());
        trigger.trigger();
        waiting.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn dropping_the_last_trigger_counts_as_asking() {
        let (trigger, shutdown) = channel();
        let second = trigger.clone();
        drop(trigger);
        assert!(!shutdown.is_requested());
        drop(second);
        assert!(shutdown.is_requested());
        shutdown.requested().await;
    }
}
