//! What was acknowledged survives `kill -9`. The process that is killed is this test binary itself, started with another test.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use catalog_api::Revision;
use database::{CatalogStore, SqliteStore};

use crate::fixture::*;

const FILE: &str = "STORE_TEST_FILE";
const ACKNOWLEDGED: &str = "acknowledged ";
/// Killed in the middle of the load, not after it.
const WRITES_BEFORE_KILL: usize = 100;

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("catalog.db");
    let mut acknowledged = Revision(0);
    for round in 0..3 {
        let last = write_and_kill(&file);
        assert!(last > acknowledged, "nothing was written in round {round}");
        acknowledged = last;

        let opened = SqliteStore::open(&file, &[]).unwrap();
        assert_eq!(opened.set_aside, None);
        let snapshot = opened.store.snapshot().await.unwrap();
        assert!(snapshot.revision >= acknowledged);
        // Every write is to the service "s-<revision % 50>", so what must be there can be computed.
        let newest = snapshot.revision.0;
        for revision in (newest.saturating_sub(49)).max(1)..=newest {
            let name = format!("s-{}", revision % 50);
            let service = snapshot
                .services
                .iter()
                .find(|s| s.name.as_str() == name)
                .unwrap();
            assert_eq!(service.revision, Revision(revision));
        }
        drop(opened);
        let check: String = rusqlite::Connection::open(&file)
            .unwrap()
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
}

/// The newest revision that the child had acknowledged when it was killed.
fn write_and_kill(file: &Path) -> Revision {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::writes_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut acknowledged = lines
        .by_ref()
        .filter_map(|line| line.strip_prefix(ACKNOWLEDGED).map(|n| n.parse().unwrap()))
        .nth(WRITES_BEFORE_KILL)
        .map(Revision)
        .unwrap();
    child.kill().unwrap();
    // What it had printed until then counts as well; a line cut by the kill does not.
    for line in lines {
        if let Some(revision) = line.strip_prefix(ACKNOWLEDGED).and_then(|n| n.parse().ok()) {
            acknowledged = acknowledged.max(Revision(revision));
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[tokio::test]
#[ignore = "the child that acknowledged_writes_survive_kill_9 starts and kills"]
async fn writes_until_killed() {
    let file = std::env::var(FILE).unwrap();
    let store = SqliteStore::open(Path::new(&file), &[]).unwrap().store;
    loop {
        let next = store.head().borrow().next();
        let spec = described(&format!("s-{}", next.0 % 50), &format!("revision {next}"));
        let committed = store.write(put(spec)).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ACKNOWLEDGED}{}", committed.revision).unwrap();
        out.flush().unwrap();
    }
}
