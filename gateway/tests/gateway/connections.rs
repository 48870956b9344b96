//! Connections to services: what is used again, and what goes out together.

use serde_json::json;

use crate::harness::{Backend, Behaviour, Connection, Rig, request, steady_service, with};

async fn connections(rig: &Rig, reused: bool) -> f64 {
    let series =
        format!(r#"gateway_upstream_connections_total{{reused="{reused}",service="hold"}}"#);
    rig.metric(&series).await.unwrap_or_default()
}

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    rig.put(steady_service("hold", &[&backend])).await;
    let content = "x".repeat(10 << 10);
    let mut client = Connection::open(rig.address()).await.unwrap();
    for round in 0..30 {
        let (method, content) = match round % 3 {
            0 => ("GET", ""),
            1 => ("POST", &*content),
            _ => ("PUT", "short"),
        };
        client
            .send(request(method, "/hold/", &[], content))
            .await
            .unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.json()["body"], content, "{method}");
    }
    assert_eq!(connections(&rig, false).await, 1.0);
    assert_eq!(connections(&rig, true).await, 29.0);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_connection_with_it() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Silent).await;
    let service = steady_service("hold", &[&backend]);
    rig.put(with(service, "policy/timeouts", json!({"read": "20s"})))
        .await;
    let mut leaving = Connection::open(rig.address()).await.unwrap();
    leaving
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    crate::harness::eventually("the service has the request", async || backend.hits() == 1).await;
    drop(leaving);
    backend.behave(Behaviour::Name);
    for _ in 0..3 {
        assert_eq!(rig.get("/hold/").await.text(), "b");
    }
    assert_eq!(connections(&rig, false).await, 2.0);
}
