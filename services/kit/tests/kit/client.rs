//! Outgoing requests: every outcome is told apart, and none takes for ever.

use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use service_kit::client::{Client, ClientError};
use service_kit::http::{Body, Limits, body};
use tokio::net::TcpListener;

use crate::server::Server;
use crate::wire::{DEADLINE, within};

const SHORT: Duration = Duration::from_millis(50);

fn get(address: SocketAddr, path: &str) -> Request<Body> {
    Request::builder()
        .uri(format!("http://{address}{path}"))
        .body(body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_response_is_fetched_whole_up_to_the_limit() {
    let server = Server::start(Limits::default()).await;
    let client = Client::new();
    let response = client
        .fetch(get(server.address, "/stream"), DEADLINE, 3)
        .await
        .unwrap();
    assert_eq!(response.body(), "abc");
    let error = client
        .fetch(get(server.address, "/stream"), DEADLINE, 2)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::BodyTooLarge), "{error:?}");
    let response = client
        .fetch(get(server.address, "/nothing"), DEADLINE, 4096)
        .await
        .unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_timeout() {
    let server = Server::start(Limits::default()).await;
    let client = Client::new();
    let error = within(client.send(get(server.address, "/hold"), SHORT))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = within(Client::new().send(get(address, "/"), DEADLINE))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_failed_exchange() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let error = within(Client::new().send(get(address, "/"), DEADLINE))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Failed(_)), "{error:?}");
}
