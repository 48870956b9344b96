//! One gateway after the other on the same listeners, under load that must not notice.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    harness::{Backend, Behaviour, Catalog, Connection, eventually, get, request, service},
    program::{Process, command},
};

/// Requests without a pause, each of which must succeed.
struct Load {
    answered: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

// === impl Load ===

impl Load {
    fn start(address: SocketAddr) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let clients = (0..6)
            .map(|client| {
                let (answered, over) = (Arc::clone(&answered), Arc::clone(&over));
                tokio::spawn(async move {
                    while !over.load(Ordering::SeqCst) {
                        let kept = client % 2 == 0;
                        session(address, kept, &answered, &over).await;
                    }
                })
            })
            .collect();
        Self {
            answered,
            over,
            clients,
        }
    }

    /// Waits for so many answers from now on.
    async fn goes_on(&self, count: usize) {
        let enough = self.answered.load(Ordering::SeqCst) + count;
        eventually("the load goes on", async || {
            assert!(
                self.clients.iter().all(|client| !client.is_finished()),
                "a client has failed"
            );
            self.answered.load(Ordering::SeqCst) >= enough
        })
        .await;
    }

    async fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

/// Requests on one connection until the gateway says that it ends.
async fn session(address: SocketAddr, kept: bool, answered: &AtomicUsize, over: &AtomicBool) {
    let mut connection = Connection::open(address).await.unwrap();
    loop {
        let close = [("Connection", "close")];
        let headers = if kept { &[][..] } else { &close };
        connection
            .send(request("GET", "/hold/", headers, ""))
            .await
            .unwrap();
        let answer = connection.response().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answered.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection") == Some("close") || over.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Opens a tunnel to a service `socket` that sends everything back.
pub(crate) async fn tunnel(address: SocketAddr) -> Connection {
    let mut tunnel = Connection::open(address).await.unwrap();
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    tunnel
        .send(request("GET", "/socket/", &upgrade, ""))
        .await
        .unwrap();
    assert_eq!(tunnel.response_head().await.unwrap().status(), 101);
    tunnel
}

pub(crate) async fn echoes(tunnel: &mut Connection) {
    tunnel.send("still here").await.unwrap();
    assert_eq!(tunnel.exactly(10).await.unwrap(), b"still here");
}

fn gateway(data: &Path, catalog: &Catalog) -> std::process::Command {
    let mut command = command(data);
    command.env("CATALOG_URL", catalog.url().to_string());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_upgrades_under_load_fail_no_request_and_cut_no_tunnel() {
    let data = TempDir::new().unwrap();
    let catalog = Catalog::start().await;
    let backend = Backend::start("b").await;
    let echo = Backend::behaving("e", Behaviour::Tunnel).await;
    catalog.put(service("hold", &[&backend]));
    catalog.put(service("socket", &[&echo]));
    let mut first = Process::start(&mut gateway(data.path(), &catalog));
    let address = first.address;
    eventually("the backends are in rotation", async || {
        get(address, "/hold/").await.status() == 200
            && get(first.admin, "/routes")
                .await
                .text()
                .matches("\"healthy\"")
                .count()
                == 2
    })
    .await;

    let load = Load::start(address);
    load.goes_on(200).await;
    let mut tunnel = tunnel(address).await;

    // It starts its successor itself, and stays only for the tunnel.
    first.signal("-QUIT");
    eventually("the operators ask the successor", async || {
        let ready = Connection::open(first.admin).await.is_ok();
        ready && data.path().join("gateway-upgrade.sock").exists()
    })
    .await;
    load.goes_on(500).await;
    echoes(&mut tunnel).await;
    drop(tunnel);
    assert_eq!(first.exit_code().await, Some(0));

    // Two more, started by hand; each ends the one before.
    let mut second = Process::start(gateway(data.path(), &catalog).env("GATEWAY_UPGRADE", "true"));
    assert_eq!((second.address, second.admin), (address, first.admin));
    load.goes_on(500).await;
    let third = Process::start(gateway(data.path(), &catalog).env("GATEWAY_UPGRADE", "true"));
    assert_eq!(third.address, address);
    assert_eq!(second.exit_code().await, Some(0));
    load.goes_on(500).await;
    assert_eq!(get(third.admin, "/readyz").await.status(), 200);
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_is_cut_when_the_time_after_an_upgrade_is_over() {
    let data = TempDir::new().unwrap();
    let catalog = Catalog::start().await;
    let echo = Backend::behaving("e", Behaviour::Tunnel).await;
    catalog.put(service("socket", &[&echo]));
    let mut first =
        Process::start(gateway(data.path(), &catalog).env("GATEWAY_UPGRADE_TIMEOUT", "200ms"));
    eventually("the backend is in rotation", async || {
        let table = get(first.admin, "/routes").await.text();
        table.contains("\"healthy\"")
    })
    .await;
    let mut tunnel = tunnel(first.address).await;
    echoes(&mut tunnel).await;
    let _second = Process::start(gateway(data.path(), &catalog).env("GATEWAY_UPGRADE", "true"));
    // The tunnel is still open, and nobody closes it.
    assert_eq!(first.exit_code().await, Some(0));
    drop(tunnel);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_cannot_start_changes_nothing() {
    let data = TempDir::new().unwrap();
    let catalog = Catalog::start().await;
    let backend = Backend::start("b").await;
    catalog.put(service("hold", &[&backend]));
    let mut running = Process::start(&mut gateway(data.path(), &catalog));
    eventually("it serves", async || {
        get(running.address, "/hold/").await.status() == 200
    })
    .await;

    // It gets the sockets and dies of an address that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let failed = gateway(data.path(), &catalog)
        .env("GATEWAY_UPGRADE", "true")
        .env(
            "GATEWAY_H2C_LISTEN",
            taken.local_addr().unwrap().to_string(),
        )
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(2));
    assert_eq!(get(running.address, "/hold/").await.status(), 200);
    assert_eq!(get(running.admin, "/readyz").await.status(), 200);

    // A good one is still welcome, also with an address more.
    let successor = Process::start(
        gateway(data.path(), &catalog)
            .env("GATEWAY_UPGRADE", "true")
            .env("GATEWAY_H2C_LISTEN", "127.0.0.1:0"),
    );
    assert_eq!(running.exit_code().await, Some(0));
    assert_eq!(get(successor.address, "/hold/").await.status(), 200);
}

#[test]
fn without_anybody_to_follow_it_says_so() {
    let data = TempDir::new().unwrap();
    let output = command(data.path())
        .env("GATEWAY_UPGRADE", "true")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("gateway-upgrade.sock"), "{text}");
    assert!(text.contains("without GATEWAY_UPGRADE"), "{text}");
}
