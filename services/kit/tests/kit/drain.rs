//! The end of the serving: nothing in flight is lost, and nothing holds the end up for ever.

use std::time::Duration;

use service_kit::http::{Drained, Limits};
use service_kit::shutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;
use crate::wire::{Wire, within};

const ALL_FINISHED: Drained = Drained {
    finished: true,
    cut: 0,
};

fn patient() -> Limits {
    Limits {
        header_read_timeout: Duration::from_secs(3600),
        drain_timeout: Duration::from_secs(3600),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_no_connection_accepted() {
    let server = Server::start(patient()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("GET /hold HTTP/1.1\r\nhost: t\r\n\r\n").await;
    server.example.entered().await;
    server.trigger.trigger();
    // The listener closes while the request is still held.
    within(async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.example.release();
    let answer = wire.answer(true).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "released"));
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(server.drained().await, ALL_FINISHED);
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_drain_up() {
    let server = Server::start(patient()).await;
    let mut used = Wire::connect(server.address).await;
    assert_eq!(used.request("GET /hello").await.status, 200);
    let silent = Wire::connect(server.address).await;
    server.trigger.trigger();
    assert_eq!(server.drained().await, ALL_FINISHED);
    drop((used, silent));
}

#[tokio::test]
async fn what_does_not_finish_is_cut_at_the_deadline() {
    let server = Server::start(Limits {
        drain_timeout: Duration::from_millis(50),
        ..patient()
    })
    .await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("GET /hold HTTP/1.1\r\nhost: t\r\n\r\n").await;
    server.example.entered().await;
    server.trigger.trigger();
    assert_eq!(
        server.drained().await,
        Drained {
            finished: false,
            cut: 1
        }
    );
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn connections_that_wait_in_the_kernel_when_the_stop_comes_are_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // So many that a server which stops accepting at once cannot have taken them all by luck.
    let mut wires = Vec::new();
    for _ in 0..32 {
        let mut wire = Wire::connect(listener.local_addr().unwrap()).await;
        wire.send("GET /hello HTTP/1.1\r\nhost: t\r\n\r\n").await;
        wires.push(wire);
    }
    let (trigger, shutdown) = shutdown::channel();
    trigger.trigger();
    let server = Server::start_on(listener, patient(), trigger, shutdown);
    for mut wire in wires {
        let answer = wire.answer(true).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("connection"), "close");
    }
    assert_eq!(server.drained().await, ALL_FINISHED);
}
