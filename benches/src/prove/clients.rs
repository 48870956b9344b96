//! The load: clients that ask all the time, check every answer, and forgive nothing.

mod events;
mod exchange;
mod http1;
mod http2;
mod tunnel;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{net::TcpStream, sync::watch, task::JoinSet};

use super::{fleet::SHARED_PATH, ledger::Ledger, processes::Programs, propagation::Propagation};
use events::Length;
use http1::Connections;

/// How many there are of each.
const KEEPING: usize = 6;
const FRESH: usize = 3;
const MULTIPLEXING: usize = 2;
const TALKING: usize = 6;
const LISTENING: usize = 6;
/// Tunnels, and streams, that last as long as the run.
const LASTING: usize = 2;

/// Longest wait for an answer, a message or an event. Above every timeout of the gateway that could end in an answer.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longest pause between two requests of a client.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// Clients that run.
pub(super) struct Clients {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// What every client knows.
#[derive(Clone)]
struct Surroundings {
    http1: SocketAddr,
    http2: SocketAddr,
    ledger: Arc<Ledger>,
    propagation: Arc<Propagation>,
    stop: watch::Receiver<bool>,
}

// === impl Clients ===

impl Clients {
    pub(super) fn start(
        programs: &Programs,
        ledger: &Arc<Ledger>,
        propagation: &Arc<Propagation>,
        seed: u64,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let around = Surroundings {
            http1: programs.http1,
            http2: programs.http2,
            ledger: Arc::clone(ledger),
            propagation: Arc::clone(propagation),
            stop: stopping,
        };
        let mut clients = Self {
            tasks: JoinSet::new(),
            stop,
        };
        let mut random = StdRng::seed_from_u64(seed);
        let mut next = || StdRng::from_rng(&mut random);
        for number in 0..KEEPING {
            let path = if number % 3 == 0 {
                SHARED_PATH
            } else {
                "/web/"
            };
            let asking = http1::ask(around.clone(), path, Connections::Kept, next());
            clients.spawn(format!("HTTP/1.1 client {number}"), ledger, asking);
        }
        for number in 0..FRESH {
            let path = if number % 3 == 0 {
                SHARED_PATH
            } else {
                "/web/"
            };
            let asking = http1::ask(around.clone(), path, Connections::Fresh, next());
            clients.spawn(format!("HTTP/1.1 client {number}, fresh"), ledger, asking);
        }
        for number in 0..MULTIPLEXING {
            let asking = http2::ask(around.clone(), next());
            clients.spawn(format!("HTTP/2 client {number}"), ledger, asking);
        }
        for number in 0..TALKING {
            let talking = tunnel::talk(around.clone(), next());
            clients.spawn(format!("WebSocket client {number}"), ledger, talking);
        }
        for number in 0..LISTENING {
            let listening = events::listen(around.clone(), Length::Counted, next());
            clients.spawn(format!("SSE client {number}"), ledger, listening);
        }
        for number in 0..LASTING {
            let talking = tunnel::talk_all_the_time(around.clone(), next());
            clients.spawn(
                format!("WebSocket client {number}, lasting"),
                ledger,
                talking,
            );
            let listening = events::listen(around.clone(), Length::Lasting, next());
            clients.spawn(format!("SSE client {number}, lasting"), ledger, listening);
        }
        clients
    }

    fn spawn(
        &mut self,
        name: String,
        ledger: &Arc<Ledger>,
        client: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let ledger = Arc::clone(ledger);
        self.tasks.spawn(async move {
            if let Err(error) = client.await {
                ledger.fail(&name, format_args!("{error:#}"));
            }
        });
    }

    /// Lets every client come to the end of what it does.
    pub(super) async fn finish(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}

// === impl Surroundings ===

impl Surroundings {
    fn is_over(&self) -> bool {
        *self.stop.borrow()
    }

    async fn connect(address: SocketAddr) -> Result<TcpStream> {
        let stream = within("a connection", async {
            Ok(TcpStream::connect(address).await?)
        })
        .await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Waits for something that has to come.
async fn within<T>(what: &'static str, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .with_context(|| format!("waited for {what} in vain"))?
        .context(what)
}

async fn pause(random: &mut StdRng) {
    let pause = PAUSE_MAX.mul_f64(random.random());
    tokio::time::sleep(pause).await;
}
