//! Notices new files, and takes them over.
//!
//! Files are looked at once a second rather than watched by the kernel: secrets of containers are symlinks that are exchanged, and
//! file systems over the network tell nothing.

use std::{os::unix::fs::MetadataExt as _, path::Path, sync::Arc, time::Duration};

use service_kit::{readiness::Condition, shutdown::Shutdown};
use tokio::{fs, sync::mpsc, task, time};

use super::Certificates;
use crate::metrics::GatewayMetrics;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What changes when a file is written or exchanged: inode, length, time of change.
type Fingerprint = Option<(u64, u64, i64, i64)>;

/// Reloads when a file has changed, or when somebody asks, until shutdown.
pub(crate) async fn watch(
    certificates: Arc<Certificates>,
    metrics: Arc<GatewayMetrics>,
    condition: Condition,
    mut asked: mpsc::Receiver<()>,
    shutdown: Shutdown,
) {
    condition.pass();
    metrics.certificates(&certificates.expiries());
    let mut known = fingerprints(&certificates).await;
    loop {
        let is_asked = tokio::select! {
            () = shutdown.requested() => return,
            asked = asked.recv() => asked.is_some(),
            () = time::sleep(LOOK_INTERVAL) => false,
        };
        let now = fingerprints(&certificates).await;
        if !is_asked && now == known {
            continue;
        }
        known = now;
        reload(&certificates, &metrics, &condition).await;
    }
}

async fn reload(certificates: &Arc<Certificates>, metrics: &GatewayMetrics, condition: &Condition) {
    let reloading = Arc::clone(certificates);
    let Ok(errors) = task::spawn_blocking(move || reloading.reload()).await else {
        return;
    };
    metrics.certificates(&certificates.expiries());
    if errors.is_empty() {
        tracing::info!("certificates reloaded");
        return condition.pass();
    }
    for error in &errors {
        metrics.certificate_rejected();
        tracing::error!(%error, "certificate not reloaded, the old one goes on");
    }
    let reasons: Vec<_> = errors.iter().map(ToString::to_string).collect();
    condition.fail(reasons.join("; "));
}

async fn fingerprints(certificates: &Certificates) -> Vec<Fingerprint> {
    let mut found = Vec::with_capacity(2 * certificates.files().len());
    for pair in certificates.files() {
        found.push(fingerprint(&pair.cert).await);
        found.push(fingerprint(&pair.key).await);
    }
    found
}

async fn fingerprint(path: &Path) -> Fingerprint {
    let file = fs::metadata(path).await.ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}
