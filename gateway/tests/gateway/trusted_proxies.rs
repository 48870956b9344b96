//! Whose word about earlier hops is believed.

use serde_json::{Value, json};

use crate::harness::{Backend, Behaviour, Rig, service, with};

const CHAIN: [(&str, &str); 5] = [
    ("X-Forwarded-For", "203.0.113.9, 198.51.100.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "public.test"),
    ("Forwarded", "for=198.51.100.7"),
    ("X-Forwarded-Port", "443"),
];

async fn rig(trusted: &[&str]) -> (Rig, Backend) {
    let rig = Rig::configured(|config| {
        config.trusted_proxies = trusted
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
    })
    .await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    rig.put(service("hold", &[&backend])).await;
    (rig, backend)
}

fn received(answer: &Value, name: &str) -> Vec<String> {
    let headers = answer["headers"].as_array().unwrap();
    let values = headers.iter().filter(|header| header[0] == name);
    values
        .map(|header| header[1].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_stranger_is_not_believed() {
    let (rig, _backend) = rig(&["10.0.0.0/8"]).await;
    let answer = rig.send("GET", "/hold/", &CHAIN, "").await.json();
    assert_eq!(received(&answer, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received(&answer, "x-forwarded-proto"), ["http"]);
    assert_eq!(received(&answer, "x-forwarded-host"), ["gateway.test"]);
    assert_eq!(
        received(&answer, "forwarded"),
        ["for=127.0.0.1;host=\"gateway.test\";proto=http"]
    );
    assert!(received(&answer, "x-forwarded-port").is_empty());
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_the_gateway_adds_itself() {
    let (rig, _backend) = rig(&["127.0.0.0/8"]).await;
    let answer = rig.send("GET", "/hold/", &CHAIN, "").await.json();
    let chain = "203.0.113.9, 198.51.100.7, 127.0.0.1";
    assert_eq!(received(&answer, "x-forwarded-for"), [chain]);
    assert_eq!(received(&answer, "x-forwarded-proto"), ["https"]);
    assert_eq!(received(&answer, "x-forwarded-host"), ["public.test"]);
    let forwarded = "for=198.51.100.7, for=127.0.0.1;host=\"gateway.test\";proto=https";
    assert_eq!(received(&answer, "forwarded"), [forwarded]);
    assert_eq!(received(&answer, "x-forwarded-port"), ["443"]);
}

#[tokio::test]
async fn the_client_that_a_trusted_proxy_names_keeps_its_endpoint() {
    let (rig, _backend) = rig(&["127.0.0.1"]).await;
    let backends = [
        Backend::start("b0").await,
        Backend::start("b1").await,
        Backend::start("b2").await,
    ];
    let balance = json!({"kind": "consistent_hash", "by": "client_address"});
    let all: Vec<_> = backends.iter().collect();
    rig.put(with(service("spread", &all), "policy/balance", balance))
        .await;
    let mut seen = std::collections::BTreeSet::new();
    for client in 0..40 {
        let claimed = format!("203.0.113.{client}");
        let mut of_one = std::collections::BTreeSet::new();
        for made_up in ["1.1.1.1", "2.2.2.2", "3.3.3.3"] {
            let chain = format!("{made_up}, {claimed}");
            let answer = rig
                .send("GET", "/spread/", &[("X-Forwarded-For", &chain)], "")
                .await;
            of_one.insert(answer.text());
        }
        assert_eq!(of_one.len(), 1, "{claimed}");
        seen.extend(of_one);
    }
    assert!(seen.len() > 1, "{seen:?}");
}
