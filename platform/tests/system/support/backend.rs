//! A service of somebody else: a few lines of HTTP that answer with a name, or misbehave on command.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A running backend. Every path answers 200 with its name.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    manner: watch::Sender<Manner>,
    waiting: Arc<AtomicUsize>,
    running: Option<JoinHandle<()>>,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers.
    Answering,
    /// Accepts connections and requests, and never says anything.
    Silent,
}

impl Backend {
    pub(crate) async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut backend = Self {
            name: name.to_owned(),
            address,
            manner: watch::Sender::new(Manner::Answering),
            waiting: Arc::default(),
            running: None,
        };
        backend.run(listener);
        backend
    }

    /// Several, called `prefix-0`, `prefix-1`, …
    pub(crate) async fn start_many(prefix: &str, count: usize) -> Vec<Self> {
        let mut backends = Vec::with_capacity(count);
        for index in 0..count {
            backends.push(Self::start(&format!("{prefix}-{index}")).await);
        }
        backends
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// Requests that it has not answered yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Dies as a killed process does: listener and connections are gone at once.
    pub(crate) async fn die(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    /// Comes back on the same port.
    pub(crate) async fn revive(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.run(socket.listen(1024).unwrap());
    }

    fn run(&mut self, listener: TcpListener) {
        let (name, manner) = (self.name.clone(), self.manner.subscribe());
        let waiting = Arc::clone(&self.waiting);
        self.running = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(stream, name.clone(), manner.clone(), Arc::clone(&waiting)));
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        }));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    name: String,
    mut manner: watch::Receiver<Manner>,
    waiting: Arc<AtomicUsize>,
) {
    let mut received = Vec::new();
    loop {
        // Requests of these tests have no body.
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            received.drain(..end + 4);
            waiting.fetch_add(1, Ordering::SeqCst);
            let answers = manner.wait_for(|manner| *manner == Manner::Answering);
            let is_gone = answers.await.is_err();
            waiting.fetch_sub(1, Ordering::SeqCst);
            if is_gone {
                return;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
                name.len()
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
            return;
        }
    }
}
