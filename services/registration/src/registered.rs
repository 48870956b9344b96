//! The handle a program holds while it is, or wants to be, in the catalog.

use std::time::Duration;

use service_kit::{
    readiness::Condition,
    shutdown::{self, ShutdownTrigger},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{Config, Failure, renewal::Renewal};

/// Starts registrations. See [`Registration::start`].
#[derive(Debug)]
pub struct Registration;

/// A running registration. Dropping it ends the renewals and leaves the rest to the lease; [`Registered::deregister`] is the
/// clean way.
#[derive(Debug)]
pub struct Registered {
    state: watch::Receiver<State>,
    stop: ShutdownTrigger,
    renewal: AbortOnDrop,
}

/// Whether the catalog knows the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The last renewal was accepted.
    Registered,
    /// The catalog may not know the instance.
    Pending {
        /// Why, for people.
        reason: String,
    },
}

/// The task must not outlive its handle: a renewal after the program thinks it left would bring a ghost back.
#[derive(Debug)]
struct AbortOnDrop(JoinHandle<Renewal>);

// === impl Registration ===

impl Registration {
    /// Registers in the background and renews from then on. `detail` follows the state; it should be one that does not gate
    /// readiness, because a service without its catalog can still serve.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(config: Config, detail: Condition) -> Registered {
        let (stop, stopping) = shutdown::channel();
        let (announce, state) = watch::channel(State::Pending {
            reason: "registering".to_owned(),
        });
        let renewal = Renewal::new(config, announce, detail);
        Registered {
            state,
            stop,
            renewal: AbortOnDrop(tokio::spawn(renewal.run(stopping))),
        }
    }
}

// === impl Registered ===

impl Registered {
    /// Follows the state.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Leaves the catalog, trying its replicas in turn until one confirms, for at most `deadline`.
    ///
    /// The renewal under way is awaited first rather than aborted: the catalog could still carry it out after the removal, and
    /// would then keep an instance that is gone.
    ///
    /// # Errors
    ///
    /// When no replica confirmed in time. The lease ends the registration then.
    pub async fn deregister(mut self, deadline: Duration) -> Result<(), Failure> {
        let until = Instant::now() + deadline;
        self.stop.trigger();
        let joined = timeout_at(until, &mut self.renewal.0).await;
        let Ok(Ok(renewal)) = joined else {
            return Err(Failure::Unreachable {
                catalog: "of the last renewal".to_owned(),
                reason: "the renewal under way did not end in time".to_owned(),
            });
        };
        renewal.leave(until).await
    }
}

// === impl AbortOnDrop ===

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
