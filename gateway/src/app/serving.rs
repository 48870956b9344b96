//! Sockets and who answers on them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use service_kit::{
    http::{Limits, Operations, Service, serve},
    metrics::RequestMetrics,
    shutdown::{self, ShutdownTrigger},
};
use tokio::task::JoinHandle;

use crate::{
    admin::Admin,
    config::Config,
    downstream::{Front, Speaks, Stage},
    proxy::{GatewayProxy, Phases},
    tls,
};

/// Connections of HTTP/2 to endpoints kept open for reuse, over all endpoints. Those of HTTP/1 are kept by each endpoint.
const UPSTREAM_POOL_MAX: usize = 1024;
/// Attempts that Pingora allows; ours, by policy, are never more.
const ATTEMPTS_MAX: usize = 11;
/// A part that serves a socket.
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    stop: ShutdownTrigger,
    task: JoinHandle<()>,
}

// === impl Serving ===

impl Serving {
    /// Stops accepting. Requests under way go on.
    pub(super) async fn stop(self) {
        self.stop.trigger();
        // A panic inside has been logged by the panic hook.
        let _ = self.task.await;
    }
}

/// Sockets for clients, by what is spoken on them.
pub(super) struct ClientSockets {
    pub(super) plain: std::net::TcpListener,
    pub(super) tls: Option<std::net::TcpListener>,
    pub(super) h2c: Option<std::net::TcpListener>,
    pub(super) of_services: Vec<std::net::TcpListener>,
}

/// The listeners of clients.
pub(super) struct Clients {
    pub(super) address: SocketAddr,
    front: Arc<Front>,
    accepting: Vec<JoinHandle<()>>,
}

// === impl Clients ===

impl Clients {
    /// Serves clients on sockets that are already bound.
    pub(super) fn start(
        proxy: GatewayProxy,
        config: &Config,
        sockets: ClientSockets,
    ) -> io::Result<Self> {
        let conf = Arc::new(ServerConf {
            upstream_keepalive_pool_size: UPSTREAM_POOL_MAX,
            max_retries: ATTEMPTS_MAX,
            ..ServerConf::default()
        });
        let proxy = Arc::new(proxy);
        // Without Pingora's modules: the gateway has none, and every request would carry those of Pingora's default.
        let pingora = HttpProxy::new(Phases(Arc::clone(&proxy)), conf);
        let front = Front::new(pingora, proxy, config.limits);
        let (address, accepting) = front.listen(sockets.plain, Speaks::Http1)?;
        let mut accepting = vec![accepting];
        for socket in sockets.of_services {
            accepting.push(front.listen(socket, Speaks::Http1)?.1);
        }
        if let Some(socket) = sockets.h2c {
            accepting.push(front.listen(socket, Speaks::Http2)?.1);
        }
        if let (Some(socket), Some(config)) = (sockets.tls, &config.tls) {
            let acceptor =
                tls::acceptor(Arc::clone(&config.certificates)).map_err(io::Error::other)?;
            accepting.push(front.listen(socket, Speaks::Tls(acceptor))?.1);
        }
        Ok(Self {
            address,
            front,
            accepting,
        })
    }

    /// Stops accepting, and waits until every connection has ended by itself, `limit` at most.
    pub(super) async fn hand_over(self, limit: Duration) {
        self.front.enter(Stage::HandingOver).await;
        for accepting in self.accepting {
            // A panic inside has been logged by the panic hook.
            let _ = accepting.await;
        }
        self.front.closed(limit).await;
        self.front.enter(Stage::Draining).await;
    }

    /// Stops accepting and closes what is idle. Requests under way go on.
    pub(super) async fn stop(self) {
        self.front.enter(Stage::Draining).await;
        for accepting in self.accepting {
            // A panic inside has been logged by the panic hook.
            let _ = accepting.await;
        }
    }
}

/// Serves operators.
pub(super) fn operators(admin: Admin, socket: std::net::TcpListener) -> io::Result<Serving> {
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let operations = Operations {
        readiness: admin.readiness.clone(),
        metrics: admin.metrics.exported().clone(),
    };
    let requests = RequestMetrics::new(&operations.metrics, "gateway_admin");
    let service = Service::new(Arc::new(admin), operations, requests);
    let (stop, stopping) = shutdown::channel();
    let task = tokio::spawn(async move {
        serve(socket, service, Limits::default(), stopping).await;
    });
    Ok(Serving {
        address,
        stop,
        task,
    })
}
