//! Sockets and who answers on them.

use std::{io, net::SocketAddr, os::fd::IntoRawFd, sync::Arc};

use parking_lot::Mutex;
use pingora_core::{
    apps::HttpServerOptions,
    listeners::{L4BufferSettings, ListenerConfig},
    server::{Fds, ListenFds, configuration::ServerConf},
    services::{Service as _, listening},
};
use pingora_proxy::{HttpProxy, ProxyServiceBuilder};
use service_kit::{
    http::{Limits, Operations, Service, serve},
    metrics::RequestMetrics,
    shutdown::{self, ShutdownTrigger},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{admin::Admin, proxy::GatewayProxy};

/// Connections to endpoints kept open for reuse, over all endpoints. A pool below the concurrency doubles the CPU per request.
const UPSTREAM_POOL_MAX: usize = 1024;
/// Attempts that Pingora allows; ours, by policy, are never more.
const ATTEMPTS_MAX: usize = 11;
/// Buffers of a client's connection, in bytes. 16 KiB take a 10 KiB body in one system call; Pingora's default keeps 64 KiB.
const CLIENT_BUFFER_BYTES: usize = 16 << 10;
/// Requests on one connection before it is closed, so that its memory is freed now and then.
const REQUESTS_PER_CONNECTION_MAX: u32 = 100_000;

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

/// Serves clients by Pingora on a socket that is already bound.
pub(super) fn clients(proxy: GatewayProxy, socket: std::net::TcpListener) -> io::Result<Serving> {
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    // Pingora finds the socket by this text.
    let key = address.to_string();
    let sockets: ListenFds = Arc::new(Mutex::new(Fds::new()));
    sockets.lock().add(key.clone(), socket.into_raw_fd());

    let conf = Arc::new(ServerConf {
        upstream_keepalive_pool_size: UPSTREAM_POOL_MAX,
        max_retries: ATTEMPTS_MAX,
        ..ServerConf::default()
    });
    let mut options = HttpServerOptions::default();
    options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX);
    let mut service: listening::Service<HttpProxy<GatewayProxy>> =
        ProxyServiceBuilder::new(&conf, proxy)
            .name("gateway")
            .server_options(options)
            .build();
    service.add_listener(ListenerConfig::tcp(key).l4_buffer(L4BufferSettings::new(
        CLIENT_BUFFER_BYTES,
        CLIENT_BUFFER_BYTES,
    )));

    let (stop, stopping) = shutdown::channel();
    let (told, pingora_stopping) = watch::channel(false);
    let task = tokio::spawn(async move {
        let serving = service.start_service(Some(sockets), pingora_stopping, 1);
        let telling = async {
            stopping.requested().await;
            // Pingora has gone by itself when nobody listens.
            let _ = told.send(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            () = telling => {}
        }
    });
    Ok(Serving {
        address,
        stop,
        task,
    })
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
