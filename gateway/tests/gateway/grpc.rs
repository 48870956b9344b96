//! gRPC: HTTP/2 on both sides, calls that stream, trailers, and errors that its callers understand.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt as _, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

use crate::harness::{Http2, Rig};

/// Messages of a call that streams.
const MESSAGES: usize = 12;
/// Together they take longer than the total time of the service.
const PAUSE: Duration = Duration::from_millis(250);

/// A server of gRPC, without a library of gRPC: a message is a flag, a length and bytes.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serving = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(serving);
        }
    });
    address
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    let te = request.headers().get("te").cloned();
    let authority = request.uri().authority().map(ToString::to_string);
    let streams = request.uri().path().ends_with("/Watch");
    let said = request.into_body().collect().await.unwrap().to_bytes();
    let messages = if streams {
        vec![message(b"tick"); MESSAGES]
    } else {
        vec![said]
    };
    let data = stream::unfold(messages.into_iter(), move |mut left| async move {
        let next = left.next()?;
        if streams {
            sleep(PAUSE).await;
        }
        Some((Ok(Frame::data(next)), left))
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let end = stream::iter([Ok(Frame::trailers(trailers))]);
    let body = StreamBody::new(futures_util::StreamExt::chain(data, end));
    let mut response = Response::new(BoxBody::new(body));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert(
        "x-authority",
        authority.unwrap_or_default().parse().unwrap(),
    );
    if let Some(te) = te {
        headers.insert("x-te", te);
    }
    Ok(response)
}

fn message(content: &[u8]) -> Bytes {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[0], &length[..], content].concat().into()
}

async fn rig(instances: Value) -> Rig {
    let rig =
        Rig::configured(|config| config.h2c_listen = Some("127.0.0.1:0".parse().unwrap())).await;
    rig.put(json!({
        "name": "greeter",
        "routes": [{"path_prefix": "/test.Greeter/"}],
        "policy": {"protocol": "h2", "timeouts": {"total": "2s"}},
        "instances": instances,
    }))
    .await;
    rig
}

async fn call(client: &mut Http2, path: &str) -> Response<Incoming> {
    let request = Request::post(format!("http://shop.test{path}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body("\0\0\0\0\x05hello")
        .unwrap();
    client.send(request).await.unwrap()
}

async fn served() -> (Rig, Http2) {
    let address = server().await.to_string();
    let rig = rig(json!([{"id": "a", "address": address}])).await;
    let client = Http2::open(rig.gateway.h2c_address().unwrap()).await;
    (rig, client)
}

#[tokio::test]
async fn a_call_and_its_trailers_pass() {
    let (_rig, mut client) = served().await;
    for _ in 0..3 {
        let answer = call(&mut client, "/test.Greeter/Hello").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-te"], "trailers");
        assert_eq!(answer.headers()["x-authority"], "shop.test");
        let whole = answer.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(whole.to_bytes(), message(b"hello"));
    }
}

#[tokio::test]
async fn a_call_that_streams_outlives_the_total_time() {
    let (_rig, mut client) = served().await;
    let answer = call(&mut client, "/test.Greeter/Watch").await;
    let whole = answer.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(whole.to_bytes().len(), MESSAGES * message(b"tick").len());
}

#[tokio::test]
async fn errors_of_the_gateway_are_statuses_of_grpc() {
    let rig = rig(json!([])).await;
    let mut client = Http2::open(rig.gateway.h2c_address().unwrap()).await;
    for (path, code) in [("/test.Greeter/Hello", "14"), ("/test.Greeter/%zz", "13")] {
        let answer = call(&mut client, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        assert_eq!(answer.headers()["grpc-status"], code, "{path}");
        assert!(answer.headers().contains_key("grpc-message"));
        assert!(answer.headers().contains_key("proxy-status"));
    }
    let counted = rig
        .metric("gateway_rejected_total{reason=\"no_endpoint\"}")
        .await;
    assert_eq!(counted, Some(1.0));
}

#[tokio::test]
async fn a_client_of_http_1_is_served_by_a_service_of_http_2() {
    let (rig, _client) = served().await;
    let answer = rig
        .send("POST", "/test.Greeter/Hello", &[], "content")
        .await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "content"));
    assert_eq!(answer.header("x-authority"), Some("gateway.test"));
}
