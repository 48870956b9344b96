//! The stop signal of a process: asked for once, seen by every loop, never lost.

use std::io;

use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;

use crate::notify;

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

/// A second INT ended the program before its drain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped at once by a second interrupt, before everything under way was finished")]
pub struct Interrupted;

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

    /// Resolves when the program is asked to stop, by TERM or INT. Every HUP until then calls `reload`.
    pub async fn stop_asked(&mut self, mut reload: impl AsyncFnMut()) {
        while self.next().await == Signal::Hangup {
            notify::reloading(reload()).await;
        }
        notify::stopping();
    }

    /// Waits for a stop to end, unless a further INT asks not to.
    ///
    /// # Errors
    ///
    /// [`Interrupted`], at the INT; the stop is dropped then.
    pub async fn unless_interrupted<T>(
        &mut self,
        stop: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let interrupt = async { while self.next().await != Signal::Interrupt {} };
        tokio::select! {
            ended = stop => Ok(ended),
            () = interrupt => Err(Interrupted),
        }
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
