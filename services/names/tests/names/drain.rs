//! The stop: nothing in flight is lost, and the order is the promised one.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use names::Config;
use registration::RegistrationSettings;
use serde_json::Value;
use service_kit::{http::Drained, secret::Secret};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    instance::start,
    recording_catalog::{Behaviour, PATIENCE, RecordingCatalog, TOKEN, urls},
};

/// Bytes of an answer that the slow client lets through before it reads. An answer of 100 names is many times as long.
const WINDOW_BYTES: u32 = 64;

/// An answer of 100 names whose body is held up by HTTP/2 flow control until it is read: a request that stays in flight for as
/// long as the test wants, whatever the kernel buffers.
pub(crate) async fn slow_answer(address: SocketAddr) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{address}/names/100?seed=1");
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// Reads the rest of a slow answer and checks that nothing of it is missing.
pub(crate) async fn read_whole(answer: Response<Incoming>) {
    let body = timeout(PATIENCE, answer.into_body().collect())
        .await
        .unwrap()
        .unwrap()
        .to_bytes();
    let names: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(names["names"].as_array().unwrap().len(), 100);
}

/// Waits until nobody accepts connections any more.
pub(crate) async fn until_closed(address: SocketAddr) {
    let closed = timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    closed.await.unwrap();
}

#[tokio::test]
async fn a_request_in_flight_is_finished_before_the_instance_ends() {
    let instance = start(Config::default());
    let address = instance.running.address;
    let answer = slow_answer(address).await;
    instance.stop.trigger();
    let finished = tokio::spawn(instance.running.finished());
    until_closed(address).await;
    assert!(!finished.is_finished(), "the answer is not read yet");
    read_whole(answer).await;
    let drained = timeout(PATIENCE, finished).await.unwrap().unwrap().unwrap();
    assert_eq!(
        drained,
        Drained {
            finished: true,
            cut: 0
        }
    );
}

#[tokio::test]
async fn readiness_fails_first_then_the_catalog_is_left_then_the_socket_closes() {
    let catalog = RecordingCatalog::start().await;
    let registration = RegistrationSettings {
        catalog_urls: urls(&[catalog.address()]),
        token: Some(Secret::new(TOKEN.to_owned())),
        advertise: None,
        lease: "1m".parse().unwrap(),
    };
    let instance = start(Config {
        registration: Some(registration),
        ..Config::default()
    });
    let (address, asker) = (instance.running.address, instance.asker());
    let registered = catalog
        .until(|requests| requests.iter().any(|request| request.line() == "PUT 201"))
        .await;
    catalog.behave(Behaviour::Hold);
    instance.stop.trigger();
    // The removal is under way and held: not ready any more, and still answering.
    catalog.until_arrived(registered.len() + 1).await;
    assert_eq!(asker.json("/health").await["status"], "stopping");
    assert_eq!(asker.get("/readyz").await.status(), 503);
    assert_eq!(asker.get("/name").await.status(), 200);
    catalog.behave(Behaviour::Normal);
    catalog
        .until(|requests| {
            requests
                .iter()
                .any(|request| request.line() == "DELETE 204")
        })
        .await;
    until_closed(address).await;
    let drained = timeout(PATIENCE, instance.running.finished())
        .await
        .unwrap()
        .unwrap();
    assert!(drained.finished);
}
