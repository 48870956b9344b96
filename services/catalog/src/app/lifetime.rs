//! What runs, and the order in which it ends: not ready, own entry out, requests answered, store closed.

use std::sync::Arc;

use service_kit::{
    http::{Drained, Limits, Service, serve},
    readiness::Readiness,
    shutdown::{self, Shutdown, ShutdownTrigger},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::core::Core;
use crate::{api::Api, drain, follower::chain, presence::Presence};

/// What runs besides the server, and its order at the end.
pub(super) struct Lifetime {
    pub(super) core: Core,
    pub(super) presence: Presence,
    pub(super) readiness: Readiness,
    /// Stops server, watchers and keeper, after the own entry is out.
    pub(super) stop: ShutdownTrigger,
    pub(super) stopped: Shutdown,
    /// Of the server.
    pub(super) limits: Limits,
}

// === impl Lifetime ===

impl Lifetime {
    /// Returns when everything runs and the catalog is registered in itself.
    pub(super) async fn begin(
        self,
        listener: TcpListener,
        service: Arc<Service<Api>>,
        shutdown: Shutdown,
    ) -> JoinHandle<Drained> {
        // Ends last: writes are answered when they are published, also during the drain.
        let (end_following, following) = shutdown::channel();
        let follower = tokio::spawn(self.core.follower().run(following));
        let keeper = tokio::spawn(self.core.keeper().run(self.stopped.clone()));
        let registry = Arc::clone(&self.core.registry);
        let drains = tokio::spawn(drain::run(registry, self.stopped.clone()));
        let server = tokio::spawn(serve(listener, service, self.limits, self.stopped));
        if let Err(error) = self.presence.announce().await {
            tracing::warn!(error = %chain(&error), "cannot register the catalog in itself yet");
        }
        let (presence, readiness, stop, core) =
            (self.presence, self.readiness, self.stop, self.core);
        tokio::spawn(async move {
            presence.run(&shutdown).await;
            readiness.begin_shutdown();
            presence.leave().await;
            stop.trigger();
            let drained = server.await.unwrap_or(Drained {
                finished: false,
                cut: 0,
            });
            // A task that panicked was reported by the panic hook; the others still have to end.
            drop(keeper.await);
            drop(drains.await);
            end_following.trigger();
            drop(follower.await);
            // Closing waits for the disk. The last owners of the store are these two.
            let closed = tokio::task::spawn_blocking(move || drop((presence, core)));
            drop(closed.await);
            drained
        })
    }
}
