//! Policies at random, all of which suit a service whose instances answer.

use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::{backend::HEALTH_PATH, fleet::Kind};

/// Any policy. Limits are far above what the load needs: how they act is shown elsewhere.
pub(super) fn any(random: &mut StdRng, kind: Kind) -> Value {
    let mut policy = json!({
        "balance": balance(random),
        "health": health(random),
        "timeouts": {"connect": "5s", "read": "30s", "total": format!("{}s", random.random_range(40..80))},
        "retry": {"attempts": random.random_range(1..=4), "budget_percent": random.random_range(0..=50)},
    });
    let speaks_any = matches!(kind, Kind::Requests | Kind::Twin | Kind::Events);
    if speaks_any && random.random_bool(0.3) {
        policy["protocol"] = "h2".into();
    }
    if random.random_bool(0.3) {
        policy["cache"] = json!({});
    }
    policy
}

fn balance(random: &mut StdRng) -> Value {
    let by_address = json!({"kind": "consistent_hash", "by": "client_address"});
    let by_tag = json!({"kind": "consistent_hash", "by": {"header": super::backend::TAG}});
    let slow = json!({"kind": "round_robin", "slow_start": "2s"});
    let sticky = json!({"kind": "random", "sticky": {"cookie": "stay-at"}});
    let kinds = [
        json!("least_request"),
        json!("round_robin"),
        json!("random"),
        by_address,
        by_tag,
        slow,
        sticky,
    ];
    kinds.choose(random).cloned().unwrap_or_default()
}

/// Another question makes another endpoint, about which nothing is known.
fn health(random: &mut StdRng) -> Value {
    let interval = format!("{}ms", random.random_range(500..3000));
    match random.random_range(0..3) {
        0 => json!({"kind": "tcp", "interval": interval}),
        1 => json!({"kind": "http", "path": HEALTH_PATH, "interval": interval}),
        _ => {
            let path = format!("{HEALTH_PATH}?{}", random.random_range(0..100));
            json!({"kind": "http", "path": path, "interval": interval, "timeout": "5s", "unhealthy_after": 3})
        }
    }
}
