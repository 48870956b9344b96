//! A service instance that does what a test tells it to.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::message::{Connection, Message};

/// How a request is treated.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// 200 with the backend's name.
    Name,
    /// 200 with the request as JSON: `method`, `target`, `headers` (pairs), `body`.
    Echo,
    /// This status, without content.
    Status(u16),
    /// Nothing, ever.
    Silent,
    /// The connection is closed without an answer.
    Close,
    /// An answer as `Name`, then the connection is closed without a warning.
    AnswerThenClose,
    /// The first request of a connection is answered as `Name`, the second closes it without an answer.
    OncePerConnection,
    /// Half of the promised content, then the connection is closed.
    Truncate,
    /// These bytes, then the connection is closed.
    Raw(&'static str),
    /// These bytes, and the connection stays open for more requests.
    RawOpen(&'static str),
    /// A header without an end.
    EndlessHead,
    /// Content that comes in drops and does not end.
    Trickle,
    /// Events that do not end, one every 50 ms.
    Events,
    /// 101, then every byte comes back.
    Tunnel,
    /// As `Name`, once a permit can be had.
    Held(Arc<Semaphore>),
    /// What this makes of the request, once a permit can be had where there are permits.
    Answers(Answers),
}

/// A complete response for each request.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) answer: Arc<dyn Fn(&Message) -> String + Send + Sync>,
    pub(crate) permits: Option<Arc<Semaphore>>,
}

/// A backend on an address that it keeps, also while it refuses connections.
#[derive(Debug)]
pub(crate) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Mutex<Serving>,
}

#[derive(Debug)]
enum Serving {
    /// Accepts; its connections end with the task.
    Open(JoinHandle<()>),
    /// Bound and not listening: nobody else gets the port, and connections are refused.
    Refusing(#[expect(dead_code, reason = "held for its address")] TcpSocket),
}

#[derive(Debug)]
struct Shared {
    name: String,
    behaviour: Mutex<Behaviour>,
    health: Mutex<Behaviour>,
    received: Mutex<Vec<Message>>,
    checks: AtomicUsize,
}

// === impl Answers ===

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers")
    }
}

// === impl Backend ===

impl Backend {
    /// A backend that says its name and is healthy.
    pub(crate) async fn start(name: &str) -> Self {
        Self::behaving(name, Behaviour::Name).await
    }

    /// A healthy backend with this behaviour.
    pub(crate) async fn behaving(name: &str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            behaviour: Mutex::new(behaviour),
            health: Mutex::new(Behaviour::Status(200)),
            received: Mutex::default(),
            checks: AtomicUsize::new(0),
        });
        let serving = Mutex::new(Serving::Open(accept(listener, Arc::clone(&shared))));
        Self {
            address,
            shared,
            serving,
        }
    }

    /// Name, which is also the id of the instance.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it listens, or would.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the next request on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Answers `/health` so from the next check on.
    pub(crate) fn answer_checks(&self, behaviour: Behaviour) {
        *self.shared.health.lock().unwrap() = behaviour;
    }

    /// Breaks every connection and refuses new ones.
    pub(crate) async fn refuse(&self) {
        let before = {
            let mut serving = self.serving.lock().unwrap();
            let placeholder = Serving::Refusing(TcpSocket::new_v4().unwrap());
            std::mem::replace(&mut *serving, placeholder)
        };
        if let Serving::Open(task) = before {
            task.abort();
            let _aborted = task.await;
        }
        let reserved = socket_on(self.address);
        *self.serving.lock().unwrap() = Serving::Refusing(reserved);
    }

    /// Accepts again after [`Backend::refuse`].
    pub(crate) fn accept_again(&self) {
        let mut serving = self.serving.lock().unwrap();
        *serving = Serving::Refusing(TcpSocket::new_v4().unwrap());
        let listener = socket_on(self.address).listen(1024).unwrap();
        *serving = Serving::Open(accept(listener, Arc::clone(&self.shared)));
    }

    /// Requests that arrived, without checks.
    pub(crate) fn received(&self) -> Vec<Message> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many requests arrived, without checks.
    pub(crate) fn hits(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// How many checks arrived.
    pub(crate) fn checks(&self) -> usize {
        self.shared.checks.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Serving::Open(task) = &*self.serving.lock().unwrap() {
            task.abort();
        }
    }
}

fn socket_on(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            // A gateway that hangs up is no failure of the backend.
            connections.spawn(async move { shared.serve(Connection::on(stream)).await.ok() });
        }
    })
}

// === impl Shared ===

impl Shared {
    async fn serve(&self, mut connection: Connection) -> io::Result<()> {
        let mut earlier = 0;
        while let Some(request) = connection.request().await? {
            let behaviour = if request.target() == "/health" {
                self.checks.fetch_add(1, Ordering::SeqCst);
                self.health.lock().unwrap().clone()
            } else {
                self.received.lock().unwrap().push(request.clone());
                self.behaviour.lock().unwrap().clone()
            };
            let behaviour = match (behaviour, earlier) {
                (Behaviour::OncePerConnection, 0) => Behaviour::Name,
                (Behaviour::OncePerConnection, _) => Behaviour::Close,
                (behaviour, _) => behaviour,
            };
            if !self.answer(&mut connection, &request, behaviour).await? {
                break;
            }
            earlier += 1;
        }
        Ok(())
    }

    /// Answers one request; false when the connection is to be closed.
    async fn answer(
        &self,
        connection: &mut Connection,
        request: &Message,
        behaviour: Behaviour,
    ) -> io::Result<bool> {
        let is_head = request.method() == "HEAD";
        match behaviour {
            Behaviour::Name => connection.send(ok(&self.name, is_head)).await?,
            Behaviour::Echo => {
                let echo = json!({
                    "method": request.method(),
                    "target": request.target(),
                    "headers": request.headers,
                    "body": request.text(),
                });
                connection.send(ok(&echo.to_string(), is_head)).await?;
            }
            Behaviour::Status(status) => {
                let answer = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: 0\r\n\r\n");
                connection.send(answer).await?;
            }
            Behaviour::Silent => std::future::pending().await,
            // The first is told from the second by whoever has the connection.
            Behaviour::Close | Behaviour::OncePerConnection => return Ok(false),
            Behaviour::AnswerThenClose => {
                connection.send(ok(&self.name, is_head)).await?;
                return Ok(false);
            }
            Behaviour::Truncate => {
                let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
                connection.send(half).await?;
                return Ok(false);
            }
            Behaviour::Raw(bytes) => {
                connection.send(bytes).await?;
                return Ok(false);
            }
            Behaviour::RawOpen(bytes) => connection.send(bytes).await?,
            Behaviour::EndlessHead => {
                connection.send("HTTP/1.1 200 OK\r\n").await?;
                let fields = "x-field: 0123456789abcdef\r\n".repeat(1000);
                loop {
                    connection.send(&fields).await?;
                }
            }
            Behaviour::Trickle => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
                connection.send(head).await?;
                loop {
                    connection.send("drop").await?;
                    sleep(Duration::from_millis(10)).await;
                }
            }
            Behaviour::Events => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                connection.send(head).await?;
                loop {
                    connection.send("data: x\n\n").await?;
                    sleep(Duration::from_millis(50)).await;
                }
            }
            Behaviour::Tunnel => {
                let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                connection.send(switch).await?;
                loop {
                    let byte = connection.exactly(1).await?;
                    connection.send(byte).await?;
                }
            }
            Behaviour::Answers(answers) => {
                if let Some(permits) = &answers.permits {
                    let _used = permits.acquire().await.map(|permit| permit.forget());
                }
                let answer = (answers.answer)(request);
                let end = answer.find("\r\n\r\n").map_or(answer.len(), |end| end + 4);
                let sent = if is_head { &answer[..end] } else { &answer };
                connection.send(sent).await?;
            }
            Behaviour::Held(permits) => {
                let _used = permits.acquire().await.map(|permit| permit.forget());
                connection.send(ok(&self.name, is_head)).await?;
            }
        }
        Ok(true)
    }
}

fn ok(body: &str, is_head: bool) -> String {
    let length = body.len();
    let body = if is_head { "" } else { body };
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
}
