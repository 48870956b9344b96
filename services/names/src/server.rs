//! Puts an instance together: socket, endpoints, metrics, registration, and the order in which they end.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use catalog_api::{InstanceId, Invalid};
use http::HeaderValue;
use registration::{Registered, Registration};
use service_kit::{
    VERSION,
    http::{Drained, Limits, Operations, Service, serve},
    metrics::{Metrics, RequestMetrics},
    readiness::Readiness,
    shutdown::{self, Shutdown, ShutdownTrigger},
};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinHandle},
    time::sleep,
};
use tracing::warn;

use crate::{Config, api::Api, config::service_spec, instance};

/// Longest time for leaving the catalog. The lease does it when the catalog does not answer.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between leaving the catalog and closing the socket: the removal has to reach the gateways, which still send requests
/// until then. Well above the 50 ms in which a change is to be applied everywhere.
const PROPAGATION_PAUSE: Duration = Duration::from_millis(250);

/// Starts instances. See [`Names::start`].
#[derive(Debug)]
pub struct Names;

/// A running instance. It goes on when this is dropped; only the [`Shutdown`] it was given ends it.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, with its real port.
    pub address: SocketAddr,
    /// Its name.
    pub instance: InstanceId,
    serving: JoinHandle<Drained>,
}

/// Why an instance does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket cannot be used.
    #[error("cannot use the listening socket")]
    Listener(#[from] io::Error),
    /// The instance or the service has a name that the catalog would refuse.
    #[error("cannot describe the service")]
    Description(#[from] Invalid),
}

// === impl Names ===

impl Names {
    /// Serves on `listener` from now on, and registers when the configuration says so. When `shutdown` is requested: readiness
    /// fails, the instance leaves the catalog, the gateways are given a moment to see it, and the requests in flight are
    /// finished; each step is bounded.
    ///
    /// Must be called within a tokio runtime. `listener` must be non-blocking.
    ///
    /// # Errors
    ///
    /// [`StartError`]. A catalog that does not answer is none.
    pub fn start(
        config: Config,
        listener: std::net::TcpListener,
        shutdown: Shutdown,
    ) -> Result<Running, StartError> {
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let instance = match config.instance {
            Some(instance) => instance,
            None => instance::default_id(address.port())?,
        };
        let operations = Operations {
            readiness: Readiness::new(),
            metrics: Metrics::new("service-api", VERSION),
        };
        let registered = match config.registration {
            Some(settings) => {
                let detail = operations.readiness.detail("registration");
                let registration =
                    registration::Config::new(settings, service_spec()?, instance.clone(), address);
                Some(Registration::start(registration, detail))
            }
            None => None,
        };
        let service = service(&instance, &operations)?;
        let (drain, draining) = shutdown::channel();
        let serving = tokio::spawn(serve(listener, service, Limits::default(), draining));
        tokio::spawn(leave(shutdown, operations.readiness, registered, drain));
        Ok(Running {
            address,
            instance,
            serving,
        })
    }
}

fn service(
    instance: &InstanceId,
    operations: &Operations,
) -> Result<Arc<Service<Api>>, StartError> {
    let header = HeaderValue::from_str(instance.as_str()).map_err(io::Error::other)?;
    let requests = RequestMetrics::new(&operations.metrics, "service_api");
    let api = Api::new(instance.clone(), header, Instant::now(), operations.clone());
    Ok(Service::new(Arc::new(api), operations.clone(), requests))
}

/// Everything that comes before the drain, in the order that loses no request.
async fn leave(
    shutdown: Shutdown,
    readiness: Readiness,
    registered: Option<Registered>,
    drain: ShutdownTrigger,
) {
    shutdown.requested().await;
    readiness.begin_shutdown();
    if let Some(registered) = registered {
        match registered.deregister(DEREGISTER_TIMEOUT).await {
            Ok(()) => sleep(PROPAGATION_PAUSE).await,
            Err(error) => warn!("cannot leave the catalog, the lease will end it: {error}"),
        }
    }
    drain.trigger();
}

// === impl Running ===

impl Running {
    /// Resolves when the last request is finished or cut.
    ///
    /// # Errors
    ///
    /// When the serving task panicked.
    pub async fn finished(self) -> Result<Drained, JoinError> {
        self.serving.await
    }
}
