//! Latency at a fixed rate, measured from the moment a request was due: a proxy that stalls is charged for everybody who would
//! have come meanwhile (G. Tene, "How NOT to Measure Latency", calls the other way coordinated omission).

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    contender::{Bed, Contender},
    shape::Shape,
};
use crate::rig::{median::median, plan::Plan};

/// Requests per second of the comparison.
const RATE: u64 = 10_000;
/// Connections, each with a thread of its own: a thread's sleep is exact to 50 µs, an event loop's often only to 1 ms.
const CONNECTIONS: u64 = 32;
/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests at a steady rate.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) address: SocketAddr,
    pub(super) path: &'static str,
    pub(super) per_second: u64,
    pub(super) time: Duration,
}

/// What became of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    sorted_us: Vec<f64>,
    pub(super) failed: u64,
}

/// One contender's line: medians over the rounds, in microseconds.
pub(super) struct LatencyLine {
    pub(super) contender: &'static str,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) failed: u64,
}

// === impl Pace ===

impl Pace {
    /// Sends all requests and waits for all answers.
    pub(super) fn run(self) -> Latencies {
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
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.path, self.address
        );
        let total = self.per_second * self.time.as_secs() / CONNECTIONS;
        let mut seen = Latencies::default();
        let mut connection = None;
        for number in 0..total {
            let due =
                start + interval * u32::try_from(number * CONNECTIONS + client).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match exchange(&mut connection, self.address, request.as_bytes()) {
                Ok(()) => seen.sorted_us.push(due.elapsed().as_secs_f64() * 1e6),
                Err(_) => {
                    connection = None;
                    seen.failed += 1;
                }
            }
        }
        seen
    }
}

fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    request: &[u8],
) -> std::io::Result<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            connection.insert(BufReader::new(stream))
        }
    };
    stream.get_mut().write_all(request)?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let answered = line.starts_with("HTTP/1.1 2");
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
    if answered {
        Ok(())
    } else {
        Err(std::io::Error::other("the status is not 2xx"))
    }
}

// === impl Latencies ===

impl Latencies {
    /// The value below which so many per mille of the latencies lie, in microseconds.
    pub(super) fn per_mille(&self, share: usize) -> f64 {
        let index =
            (self.sorted_us.len() * share / 1000).min(self.sorted_us.len().saturating_sub(1));
        self.sorted_us.get(index).copied().unwrap_or(f64::NAN)
    }
}

/// All contenders in turn.
pub(super) fn compare(
    bed: &Bed<'_>,
    plan: &Plan,
    contenders: &[Box<dyn Contender>],
) -> Result<Vec<LatencyLine>> {
    let mut serving = Vec::new();
    let direct = SocketAddr::from(([127, 0, 0, 1], bed.backend.ports[0]));
    let mut addresses = vec![("none (direct)", direct)];
    for contender in contenders {
        if let Some(started) = contender.start(bed, &Shape::PLAIN)? {
            addresses.push((contender.name(), started.plain));
            serving.push(started);
        }
    }
    let mut taken: Vec<Vec<Latencies>> = addresses.iter().map(|_| Vec::new()).collect();
    for round in 0..=plan.rounds {
        for (index, &(_, address)) in addresses.iter().enumerate() {
            // Twice as long as the other cases: p99.9 needs many requests.
            let time = Duration::from_secs(2 * plan.seconds);
            let latencies = Pace {
                address,
                path: "/s1/small",
                per_second: RATE,
                time,
            }
            .run();
            if round > 0 {
                taken[index].push(latencies);
            }
        }
    }
    let lines = addresses
        .iter()
        .zip(&taken)
        .map(|((contender, _), taken)| LatencyLine {
            contender,
            p50: median(taken.iter().map(|latencies| latencies.per_mille(500))),
            p99: median(taken.iter().map(|latencies| latencies.per_mille(990))),
            p999: median(taken.iter().map(|latencies| latencies.per_mille(999))),
            failed: taken.iter().map(|latencies| latencies.failed).sum(),
        });
    Ok(lines.collect())
}
