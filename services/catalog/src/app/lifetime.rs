//! What runs, and the order in which it ends: not ready, own entry out, requests answered, store closed.

use std::sync::Arc;

use service_kit::{
    http::{Drained, Limits, Service, serve},
    readiness::Readiness,
    shutdown::{Shutdown, ShutdownTrigger},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{StartError, assembly::Assembly, core::Core, gate::Gate};
use crate::{opening::OpenStore, presence::Presence};

/// The server, and what stops it and everything else.
pub(super) struct Lifetime {
    pub(super) readiness: Readiness,
    /// Stops server, watchers and keeper, after the own entry is out.
    pub(super) stop: ShutdownTrigger,
    pub(super) stopped: Shutdown,
    /// Of the server.
    pub(super) limits: Limits,
}

/// A catalog at work.
pub(super) struct Work {
    pub(super) core: Core,
    pub(super) presence: Presence,
    pub(super) tasks: Tasks,
}

/// What runs beside the server.
pub(super) struct Tasks {
    pub(super) keeper: JoinHandle<()>,
    pub(super) discovery: Option<JoinHandle<()>>,
    pub(super) checks: JoinHandle<()>,
    /// It ends before what keeps a Redis up to date: calls end during its drain.
    pub(super) deferred: JoinHandle<()>,
    pub(super) drains: JoinHandle<()>,
    pub(super) outages: JoinHandle<()>,
    pub(super) sharing: Option<JoinHandle<()>>,
    pub(super) receipts: Option<JoinHandle<()>>,
    /// What keeps a Redis up to date. It ends with the follower: calls end during the drain.
    pub(super) redis: Vec<JoinHandle<()>>,
    pub(super) follower: JoinHandle<()>,
    /// The follower ends last: writes are answered when they are published, also during the drain.
    pub(super) end_following: ShutdownTrigger,
}

// === impl Lifetime ===

impl Lifetime {
    /// Serves. With a store that is open it returns when everything runs and the catalog is registered in itself; else that happens
    /// as soon as the store can be opened.
    pub(super) async fn begin(
        self,
        listener: TcpListener,
        service: Arc<Service<Gate>>,
        shutdown: Shutdown,
        assembly: Assembly,
        opened: Result<OpenStore, StartError>,
    ) -> JoinHandle<Drained> {
        let server = tokio::spawn(serve(listener, service, self.limits, self.stopped.clone()));
        let (readiness, stop, stopped) = (self.readiness, self.stop, self.stopped);
        let begun = match opened {
            Ok(opened) => Ok(assembly.begin(opened, &stopped).await),
            Err(error) => Err((assembly, error)),
        };
        tokio::spawn(async move {
            let work = match begun {
                Ok(work) => Some(work),
                Err((assembly, error)) => assembly.wait(error, &shutdown, &stopped).await,
            };
            if let Some(work) = &work {
                work.presence.run(&shutdown).await;
            }
            readiness.begin_shutdown();
            if let Some(work) = &work {
                work.presence.leave().await;
            }
            stop.trigger();
            let drained = server.await.unwrap_or(Drained {
                finished: false,
                cut: 0,
            });
            if let Some(work) = work {
                work.end().await;
            }
            drained
        })
    }
}

// === impl Work ===

impl Work {
    /// After the stop and the drain. A task that panicked was reported by the panic hook; the others still have to end.
    async fn end(self) {
        let Tasks {
            keeper,
            discovery,
            checks,
            deferred,
            drains,
            outages,
            sharing,
            receipts,
            redis,
            follower,
            end_following,
        } = self.tasks;
        drop(keeper.await);
        if let Some(discovery) = discovery {
            drop(discovery.await);
        }
        drop(checks.await);
        drop(deferred.await);
        drop(drains.await);
        drop(outages.await);
        for exchange in [sharing, receipts].into_iter().flatten() {
            drop(exchange.await);
        }
        end_following.trigger();
        drop(follower.await);
        for task in redis {
            drop(task.await);
        }
        // Closing waits for the disk. The last owners of the store are these two, and the interface that nobody asks any more.
        let (presence, core) = (self.presence, self.core);
        drop(tokio::task::spawn_blocking(move || drop((presence, core))).await);
    }
}
