//! What the scenarios are made of.

pub(crate) mod backend;
pub(crate) mod fleet;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod registry;
#[path = "../../../database/tests/support/servers.rs"]
#[expect(
    dead_code,
    reason = "the servers can do more than the scenarios ask of it"
)]
pub(crate) mod servers;
pub(crate) mod stack;
pub(crate) mod strict;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longest wait for something that the system does by itself. Far above what it takes: a test that gets here fails.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "did not happen in {PATIENCE:?}: {what}"
        );
        sleep(POLL).await;
    }
}
