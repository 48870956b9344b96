//! The load: wrk for HTTP/1.1, h2load for HTTP/2, on the core of load generators.

use std::{net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{
    processes::{LOAD_CORE, pinned},
    scratch::Scratch,
};

/// What clients do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    pub(crate) kind: Kind,
}

/// How they do it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// GET on kept connections.
    Get,
    /// POST of so many bytes on kept connections.
    Post { bytes: usize },
    /// GET, a new connection each.
    Fresh,
    /// GET over HTTP/2 with so many streams per connection.
    Http2 { streams: usize },
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Answers with a status of 2xx.
    pub(crate) answered: u64,
    /// Everything else: failed connections, other statuses, timeouts.
    pub(crate) failed: u64,
    /// Per second.
    pub(crate) rate: f64,
}

// === impl Load ===

impl Load {
    /// Loads the address for the given time.
    pub(crate) fn run(
        &self,
        scratch: &Scratch,
        address: SocketAddr,
        tls: bool,
        time: Duration,
    ) -> Result<Outcome> {
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://{address}{}", self.path);
        let mut command;
        if let Kind::Http2 { streams } = self.kind {
            command = pinned(LOAD_CORE, "h2load");
            command.args([
                "-t1",
                &format!("-c{}", self.connections),
                &format!("-m{streams}"),
                &format!("-D{}", time.as_secs()),
                &url,
            ]);
        } else {
            command = pinned(LOAD_CORE, "wrk");
            command.args([
                "-t1",
                &format!("-c{}", self.connections),
                &format!("-d{}s", time.as_secs()),
            ]);
            match self.kind {
                Kind::Fresh => {
                    command.args(["-H", "Connection: close"]);
                }
                Kind::Post { bytes } => {
                    let script =
                        format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {bytes})\n");
                    let folder = scratch.folder("wrk")?;
                    command.arg("-s").arg(folder.write("post.lua", script)?);
                }
                Kind::Get | Kind::Http2 { .. } => {}
            }
            command.arg(&url);
        }
        let said = output(command)?;
        if matches!(self.kind, Kind::Http2 { .. }) {
            from_h2load(&said)
        } else {
            from_wrk(&said)
        }
        .with_context(|| format!("cannot read the load generator's report:\n{said}"))
    }
}

fn output(mut command: Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{command:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(said)
}

/// `12345 requests in 2.00s, 3.4MB read`, and lines about errors when there were any.
fn from_wrk(said: &str) -> Option<Outcome> {
    let total: u64 = said
        .lines()
        .find(|line| line.contains(" requests in "))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    let bad_status: u64 = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses:"))
        .map_or(Some(0), |count| count.trim().parse().ok())?;
    let socket: u64 = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Socket errors:"))
        .map_or(0, |errors| {
            errors
                .split(|character: char| !character.is_ascii_digit())
                .filter_map(|number| number.parse::<u64>().ok())
                .sum()
        });
    let rate = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))?
        .trim()
        .parse()
        .ok()?;
    Some(Outcome {
        answered: total - bad_status,
        failed: bad_status + socket,
        rate,
    })
}

/// `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, …` and `finished in 2.00s, 4.5 req/s, …`.
fn from_h2load(said: &str) -> Option<Outcome> {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("requests:"))?;
    let count = |word: &str| -> Option<u64> {
        line.split(',')
            .find_map(|part| part.trim().strip_suffix(word))?
            .trim()
            .parse()
            .ok()
    };
    let finished = said
        .lines()
        .find_map(|line| line.strip_prefix("finished in"))?;
    let rate = finished
        .split(',')
        .find_map(|part| part.trim().strip_suffix("req/s"))?
        .trim()
        .parse()
        .ok()?;
    Some(Outcome {
        answered: count("succeeded")?,
        failed: count("failed")?,
        rate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_wrk_are_read_with_their_errors() {
        let said = "Running 2s test @ http://127.0.0.1:80/\n  1 threads and 4 connections\n  12000 requests in 2.00s, 3.40MB read\n  \
                    Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec:   6000.25\nTransfer/sec: 1.70MB\n";
        let outcome = from_wrk(said).unwrap();
        assert_eq!((outcome.answered, outcome.failed), (11_995, 15));
        assert!((outcome.rate - 6000.25).abs() < f64::EPSILON);
        assert!(from_wrk("unable to connect").is_none());
    }

    #[test]
    fn reports_of_h2load_are_read_with_their_errors() {
        let said = "finished in 2.00s, 35000.50 req/s, 9.00MB/s\nrequests: 70001 total, 70128 started, 70001 done, 69990 succeeded, 11 failed, 11 errored, 0 timeout\n";
        let outcome = from_h2load(said).unwrap();
        assert_eq!((outcome.answered, outcome.failed), (69_990, 11));
        assert!((outcome.rate - 35_000.5).abs() < f64::EPSILON);
    }
}
