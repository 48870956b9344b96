//! Clients that stay with their instance: consistent hashing and sticky sessions.

use std::collections::{BTreeMap, BTreeSet};

use gateway::upstream::Health;
use serde_json::{Value, json};

use crate::harness::{Backend, Behaviour, Message, Rig, service, with};

async fn three() -> [Backend; 3] {
    [
        Backend::start("a").await,
        Backend::start("b").await,
        Backend::start("c").await,
    ]
}

fn balanced(backends: &[&Backend], balance: Value) -> Value {
    with(service("hold", backends), "policy/balance", balance)
}

async fn with_header(rig: &Rig, name: &str, value: &str) -> Message {
    let answer = rig.send("GET", "/hold/", &[(name, value)], "").await;
    assert_eq!(answer.status(), 200);
    answer
}

/// Who answers each of 40 users, asked twice.
async fn homes(rig: &Rig, header: &str, prefix: &str) -> BTreeMap<usize, String> {
    let mut homes = BTreeMap::new();
    for user in 0..40 {
        let value = format!("{prefix}{user}");
        let home = with_header(rig, header, &value).await.text();
        assert_eq!(with_header(rig, header, &value).await.text(), home);
        homes.insert(user, home);
    }
    homes
}

#[tokio::test]
async fn users_stay_and_only_those_of_a_lost_instance_move() {
    let rig = Rig::start().await;
    let [a, b, c] = three().await;
    let by = json!({"kind": "consistent_hash", "by": {"header": "X-User"}});
    rig.put(balanced(&[&a, &b, &c], by.clone())).await;
    let before = homes(&rig, "x-user", "").await;
    assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 3);
    rig.put(balanced(&[&a, &b], by)).await;
    for (user, home) in homes(&rig, "x-user", "").await {
        assert!(before[&user] == home || before[&user] == "c", "{user}");
    }
}

#[tokio::test]
async fn a_lost_instance_costs_its_users_no_request() {
    let rig = Rig::start().await;
    let [a, b, c] = three().await;
    let by = json!({"kind": "consistent_hash", "by": {"header": "x-user"}});
    rig.put(balanced(&[&a, &b, &c], by)).await;
    let before = homes(&rig, "x-user", "").await;
    c.refuse().await;
    for (user, home) in homes(&rig, "x-user", "").await {
        assert!(before[&user] == home || before[&user] == "c", "{user}");
    }
}

#[tokio::test]
async fn a_cookie_can_be_the_key() {
    let rig = Rig::start().await;
    let [a, b, c] = three().await;
    let by = json!({"kind": "consistent_hash", "by": {"cookie": "session"}});
    rig.put(balanced(&[&a, &b, &c], by)).await;
    let homes = homes(&rig, "cookie", "theme=dark; session=").await;
    assert_eq!(homes.values().collect::<BTreeSet<_>>().len(), 3);
}

#[tokio::test]
async fn the_client_address_can_be_the_key() {
    let rig = Rig::start().await;
    let [a, b, c] = three().await;
    let by = json!({"kind": "consistent_hash", "by": "client_address"});
    rig.put(balanced(&[&a, &b, &c], by)).await;
    // Every connection has another port.
    assert_eq!(
        homes(&rig, "x-user", "")
            .await
            .values()
            .collect::<BTreeSet<_>>()
            .len(),
        1
    );
}

#[tokio::test]
async fn requests_without_the_key_are_shared() {
    let rig = Rig::start().await;
    let [a, b, c] = three().await;
    let by = json!({"kind": "consistent_hash", "by": {"header": "x-user"}});
    rig.put(balanced(&[&a, &b, &c], by)).await;
    for _ in 0..100 {
        assert_eq!(rig.get("/hold/").await.status(), 200);
    }
    // 33 of 100 on average; less than 5 has a probability of 10⁻¹².
    for backend in [&a, &b, &c] {
        assert!(backend.hits() >= 5, "{}", backend.hits());
    }
}

/// The `name=value` of the cookie that an answer sets.
fn cookie(answer: &Message) -> Option<String> {
    let field = answer.header("set-cookie")?;
    assert!(
        field.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{field}"
    );
    Some(field.split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_sticky_client_stays_until_its_instance_is_gone() {
    let rig = Rig::start().await;
    let backends = three().await;
    let [a, b, c] = &backends;
    let sticky = json!({"kind": "round_robin", "sticky": {"cookie": "hold-at"}});
    rig.put(balanced(&[a, b, c], sticky)).await;
    let first = rig.get("/hold/").await;
    let pinned = cookie(&first).unwrap();
    let home_token = pinned.strip_prefix("hold-at=").unwrap();
    for backend in &backends {
        assert_ne!(home_token, backend.name());
        assert!(!home_token.contains(&backend.address().to_string()));
    }
    for _ in 0..10 {
        let answer = with_header(&rig, "cookie", &pinned).await;
        assert_eq!(answer.text(), first.text());
        assert_eq!(cookie(&answer), None);
    }
    let home = backends.iter().find(|home| home.name() == first.text());
    let home = home.unwrap();
    home.answer_checks(Behaviour::Status(503));
    rig.until("hold", home, Health::Unhealthy).await;
    let moved = with_header(&rig, "cookie", &pinned).await;
    assert_ne!(moved.text(), first.text());
    let pinned_anew = cookie(&moved).unwrap();
    assert_ne!(pinned_anew, pinned);
    let again = with_header(&rig, "cookie", &pinned_anew).await;
    assert_eq!(again.text(), moved.text());
}

#[tokio::test]
async fn a_sticky_client_loses_no_request_with_its_instance() {
    let rig = Rig::start().await;
    let backends = three().await;
    let [a, b, c] = &backends;
    let sticky = json!({"kind": "random", "sticky": {"cookie": "hold-at"}});
    rig.put(balanced(&[a, b, c], sticky)).await;
    let first = rig.get("/hold/").await;
    let pinned = cookie(&first).unwrap();
    let home = backends.iter().find(|home| home.name() == first.text());
    home.unwrap().refuse().await;
    let moved = with_header(&rig, "cookie", &pinned).await;
    assert_ne!(moved.text(), first.text());
    assert!(cookie(&moved).is_some());
}

#[tokio::test]
async fn a_cookie_of_nobody_is_replaced() {
    let rig = Rig::start().await;
    let backend = Backend::start("a").await;
    let sticky = json!({"sticky": {"cookie": "hold-at"}});
    rig.put(balanced(&[&backend], sticky)).await;
    for forged in ["hold-at=0123456789abcdef", "hold-at=a", "hold-at="] {
        let answer = with_header(&rig, "cookie", forged).await;
        assert!(cookie(&answer).is_some(), "{forged}");
    }
    rig.put(balanced(&[&backend], json!("least_request"))).await;
    assert_eq!(cookie(&rig.get("/hold/").await), None);
}
