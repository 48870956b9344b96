//! A constant load of strict clients, bounded in time by whoever stops it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;

use super::{eventually, strict::Strict};

/// Most failures that are kept with their text.
const FAILURES_KEPT_MAX: usize = 10;
/// Most requests of one client, so that no load runs for ever.
const REQUESTS_PER_CLIENT_MAX: usize = 1_000_000;

/// Clients that ask for one path again and again.
pub(crate) struct Load {
    clients: JoinSet<Report>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) answered: usize,
    pub(crate) failures: Vec<String>,
    /// How often each body was seen.
    pub(crate) bodies: BTreeMap<String, usize>,
}

impl Load {
    /// Starts `clients` clients.
    pub(crate) fn start(server: SocketAddr, host: &str, path: &str, clients: usize) -> Self {
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            let (host, path) = (host.to_owned(), path.to_owned());
            tasks.spawn(async move { ask(server, &host, &path, &stop, &sent).await });
        }
        Self {
            clients: tasks,
            stop,
            sent,
        }
    }

    /// Waits until so many more requests have been answered or failed.
    pub(crate) async fn more(&self, requests: usize) {
        let goal = self.sent.load(Ordering::Relaxed) + requests;
        eventually("the load goes on", || async {
            self.sent.load(Ordering::Relaxed) >= goal
        })
        .await;
    }

    /// Ends the load.
    pub(crate) async fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut whole = Report::default();
        for report in self.clients.join_all().await {
            whole.answered += report.answered;
            whole.failures.extend(report.failures);
            for (body, count) in report.bodies {
                *whole.bodies.entry(body).or_default() += count;
            }
        }
        whole
    }
}

impl Report {
    /// Fails the test when a single request failed.
    pub(crate) fn assert_no_failure(&self) {
        assert!(self.answered > 0, "the load sent nothing");
        assert!(
            self.failures.is_empty(),
            "{} answered, failures: {:#?}",
            self.answered,
            self.failures
        );
    }
}

async fn ask(
    server: SocketAddr,
    host: &str,
    path: &str,
    stop: &AtomicBool,
    sent: &AtomicUsize,
) -> Report {
    let mut report = Report::default();
    let mut client = Strict::with_host(server, host);
    for _ in 0..REQUESTS_PER_CLIENT_MAX {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match client.get(path).await {
            Ok(answer) if answer.status == 200 => {
                report.answered += 1;
                *report.bodies.entry(answer.body).or_default() += 1;
            }
            Ok(answer) => report.fail(format!("{} {}", answer.status, answer.body)),
            Err(error) => report.fail(error),
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
    report
}

impl Report {
    fn fail(&mut self, failure: String) {
        if self.failures.len() < FAILURES_KEPT_MAX {
            self.failures.push(failure);
        }
    }
}
