//! What the gateway adds to, replaces in and removes from messages on their way.

use serde_json::json;

use crate::harness::{Backend, Behaviour, Message, Rig, service, with};

async fn rig_with(behaviour: Behaviour) -> (Rig, Backend) {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", behaviour).await;
    rig.put(service("hold", &[&backend])).await;
    (rig, backend)
}

/// The values of a field as the backend got it.
fn arrived(answer: &Message, name: &str) -> Vec<String> {
    let fields: Vec<(String, String)> =
        serde_json::from_value(answer.json()["headers"].clone()).unwrap();
    fields
        .into_iter()
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value)
        .collect()
}

#[tokio::test]
async fn what_clients_claim_about_themselves_is_replaced() {
    let (rig, _backend) = rig_with(Behaviour::Echo).await;
    let claims = [
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-For", "10.0.0.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "bank.test"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Server", "bank"),
        ("X-Forwarded-Prefix", "/admin"),
        ("Forwarded", "for=10.0.0.1;host=bank.test"),
    ];
    let answer = rig.send("GET", "/hold/x", &claims, "").await;
    for (name, expected) in [
        ("x-forwarded-for", &["127.0.0.1"][..]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-host", &["gateway.test"]),
        ("x-forwarded-prefix", &["/hold"]),
        ("x-forwarded-port", &[]),
        ("x-forwarded-server", &[]),
        (
            "forwarded",
            &["for=127.0.0.1;host=\"gateway.test\";proto=http"],
        ),
        ("host", &["gateway.test"]),
    ] {
        assert_eq!(arrived(&answer, name), expected, "{name}");
    }
}

#[tokio::test]
async fn without_a_stripped_prefix_none_is_claimed() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    let whole = json!([{"path_prefix": "/whole"}]);
    rig.put(with(service("hold", &[&backend]), "routes", whole))
        .await;
    let spoofed = [("X-Forwarded-Prefix", "/admin")];
    let answer = rig.send("GET", "/whole/x", &spoofed, "").await;
    assert_eq!(answer.json()["target"], "/whole/x");
    assert!(arrived(&answer, "x-forwarded-prefix").is_empty());
}

#[tokio::test]
async fn both_directions_say_that_the_gateway_was_there() {
    let (rig, _backend) = rig_with(Behaviour::Echo).await;
    let answer = rig
        .send("GET", "/hold/", &[("Via", "1.0 before")], "")
        .await;
    assert_eq!(
        arrived(&answer, "via").join(", "),
        "1.0 before, 1.1 gateway"
    );
    assert_eq!(answer.header("via"), Some("1.1 gateway"));
}

#[tokio::test]
async fn a_request_id_is_taken_over_when_it_is_harmless() {
    let (rig, _backend) = rig_with(Behaviour::Echo).await;
    let answer = rig
        .send("GET", "/hold/", &[("X-Request-ID", "abc-1.2_3")], "")
        .await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1.2_3"));
    assert_eq!(arrived(&answer, "x-request-id"), ["abc-1.2_3"]);
    let long = "a".repeat(300);
    for bad in ["a b", "<script>", long.as_str()] {
        let answer = rig
            .send("GET", "/hold/", &[("X-Request-ID", bad)], "")
            .await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(arrived(&answer, "x-request-id"), [id]);
    }
}

#[tokio::test]
async fn fields_of_one_hop_stay_on_it() {
    let (rig, _backend) = rig_with(Behaviour::Echo).await;
    let hop = [
        ("Connection", "X-Secret, keep-alive"),
        ("X-Secret", "1"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Proxy-Connection", "keep-alive"),
        ("Upgrade", "h2c"),
        ("X-Kept", "1"),
    ];
    let answer = rig.send("GET", "/hold/", &hop, "").await;
    for name in [
        "x-secret",
        "keep-alive",
        "te",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
    ] {
        assert_eq!(arrived(&answer, name), [""; 0], "{name}");
    }
    assert_eq!(arrived(&answer, "x-kept"), ["1"]);
}

#[tokio::test]
async fn fields_of_the_services_hop_do_not_reach_the_client() {
    let (rig, _backend) = rig_with(Behaviour::Raw(
        "HTTP/1.1 200 OK\r\nconnection: x-internal, close\r\nx-internal: 1\r\nkeep-alive: timeout=5\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\nok",
    ))
    .await;
    let answer = rig.get("/hold/").await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.header("x-kept"), Some("1"));
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    for name in ["x-internal", "keep-alive"] {
        assert!(answer.all(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn nominating_a_field_that_the_gateway_relies_on_does_not_remove_it() {
    let (rig, backend) = rig_with(Behaviour::Echo).await;
    for nominated in ["X-Forwarded-For", "Host", "X-Request-ID"] {
        let before = backend.hits();
        let answer = rig
            .send("GET", "/hold/", &[("Connection", nominated)], "")
            .await;
        if backend.hits() == before {
            assert_eq!(answer.status(), 400, "{nominated}");
        } else {
            let name = nominated.to_ascii_lowercase();
            assert_eq!(arrived(&answer, &name).len(), 1, "{nominated}");
        }
    }
}

#[tokio::test]
async fn cookies_and_bodies_arrive_as_they_were() {
    let (rig, _backend) = rig_with(Behaviour::Echo).await;
    let cookies = [("Cookie", "a=1; b=2"), ("Content-Type", "text/plain")];
    let answer = rig.send("PUT", "/hold/x", &cookies, "hello ☃").await;
    assert_eq!(arrived(&answer, "cookie"), ["a=1; b=2"]);
    assert_eq!(answer.json()["body"], "hello ☃");
    assert_eq!(answer.json()["method"], "PUT");
    let split = [("Cookie", "a=1"), ("Cookie", "b=2")];
    let answer = rig.send("GET", "/hold/x", &split, "").await;
    assert_eq!(arrived(&answer, "cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn answers_carry_the_revision_only_when_asked_for() {
    let (rig, _backend) = rig_with(Behaviour::Echo).await;
    assert_eq!(rig.get("/hold/").await.header("x-config-revision"), None);
    let rig = Rig::configured(|config| config.expose_revision = true).await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    let revision = rig.snapshot().revision().to_string();
    let answer = rig.get("/hold/").await;
    assert_eq!(answer.header("x-config-revision"), Some(revision.as_str()));
}

#[tokio::test]
async fn a_status_of_the_service_is_the_services_own() {
    let (rig, backend) = rig_with(Behaviour::Echo).await;
    for status in [201, 204, 304, 404, 429, 500, 503] {
        backend.behave(Behaviour::Status(status));
        let answer = rig.get("/hold/").await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.header("proxy-status"), None);
        assert_eq!(answer.text(), "");
    }
}
