//! Latency at a fixed rate, measured from the moment a request was due: a proxy that stalls is charged for everybody who would
//! have come meanwhile (G. Tene, "How NOT to Measure Latency", calls the other way coordinated omission).

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::client::{Client, request};

/// Connections, each with a thread of its own: a thread's sleep is exact to 50 µs, an event loop's often only to 1 ms.
const CONNECTIONS: u64 = 32;

/// Requests at a steady rate.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) per_second: u64,
    pub(crate) time: Duration,
}

/// What became of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    sorted_us: Vec<f64>,
    pub(crate) failed: u64,
}

// === impl Pace ===

impl Pace {
    /// Sends all requests and waits for all answers.
    pub(crate) fn run(self) -> Latencies {
        let start = Instant::now() + Duration::from_millis(50);
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|client| thread::spawn(move || self.client(client, start)))
            .collect();
        let mut all = Latencies::default();
        for client in clients {
            match client.join() {
                Ok(part) => {
                    all.sorted_us.extend(part.sorted_us);
                    all.failed += part.failed;
                }
                Err(_) => all.failed += 1,
            }
        }
        all.sorted_us.sort_by(f64::total_cmp);
        all
    }

    fn client(self, client: u64, start: Instant) -> Latencies {
        let interval = Duration::from_secs(1) / u32::try_from(self.per_second).unwrap_or(u32::MAX);
        let request = request("GET", self.path, None, None);
        let total = self.per_second * self.time.as_secs() / CONNECTIONS;
        let mut seen = Latencies::default();
        let mut connection = Client::new(self.address);
        for number in 0..total {
            let due =
                start + interval * u32::try_from(number * CONNECTIONS + client).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match connection.send(&request) {
                Ok(answer) if answer.status < 300 => {
                    seen.sorted_us.push(due.elapsed().as_secs_f64() * 1e6);
                }
                Ok(_) | Err(_) => seen.failed += 1,
            }
        }
        seen
    }
}

// === impl Latencies ===

impl Latencies {
    /// The value below which so many per mille of the latencies lie, in microseconds.
    pub(crate) fn per_mille(&self, share: usize) -> f64 {
        let index =
            (self.sorted_us.len() * share / 1000).min(self.sorted_us.len().saturating_sub(1));
        self.sorted_us.get(index).copied().unwrap_or(f64::NAN)
    }
}
