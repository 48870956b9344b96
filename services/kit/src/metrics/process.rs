//! `process_*` from `/proc/self`. The prometheus crate's own collector needs a C library binding for the same numbers.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};

/// Ticks per second in `/proc`: part of the kernel's interface and 100 on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the process when it is collected.
#[derive(Clone)]
pub(super) struct ProcessCollector {
    gauges: Arc<Gauges>,
}

struct Gauges {
    /// Two scrapes at once must not both add the same difference.
    cpu_seconds: Mutex<Counter>,
    resident: IntGauge,
    virtual_memory: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    start_time: IntGauge,
    threads: IntGauge,
}

/// Resident memory of this process in bytes; 0 where it cannot be read.
pub fn resident_memory_bytes() -> u64 {
    status_value(&read("/proc/self/status"), "VmRSS:") * 1024
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name, help| IntGauge::new(name, help);
        let gauges = Gauges {
            cpu_seconds: Mutex::new(Counter::new(
                "process_cpu_seconds_total",
                "User and system CPU time in seconds",
            )?),
            resident: gauge("process_resident_memory_bytes", "Resident memory in bytes")?,
            virtual_memory: gauge("process_virtual_memory_bytes", "Virtual memory in bytes")?,
            open_fds: gauge("process_open_fds", "Open file descriptors")?,
            max_fds: gauge("process_max_fds", "Limit of open file descriptors")?,
            start_time: gauge(
                "process_start_time_seconds",
                "Start of the process in seconds since 1970",
            )?,
            threads: gauge("process_threads", "Threads of the process")?,
        };
        gauges
            .start_time
            .set(signed(start_time_seconds().unwrap_or_default()));
        Ok(Self {
            gauges: Arc::new(gauges),
        })
    }
}

impl Gauges {
    fn all(&self) -> [&IntGauge; 6] {
        [
            &self.resident,
            &self.virtual_memory,
            &self.open_fds,
            &self.max_fds,
            &self.start_time,
            &self.threads,
        ]
    }

    fn update(&self) {
        let status = read("/proc/self/status");
        self.resident
            .set(signed(status_value(&status, "VmRSS:") * 1024));
        self.virtual_memory
            .set(signed(status_value(&status, "VmSize:") * 1024));
        self.threads.set(signed(status_value(&status, "Threads:")));
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        // The folder that is being counted is open itself.
        self.open_fds.set(signed(open.saturating_sub(1) as u64));
        self.max_fds.set(signed(max_fds().unwrap_or_default()));
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges
            .all()
            .iter()
            .flat_map(|gauge| gauge.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauges.update();
        let mut families: Vec<MetricFamily> = self
            .gauges
            .all()
            .iter()
            .flat_map(|gauge| gauge.collect())
            .collect();
        let cpu = self
            .gauges
            .cpu_seconds
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let grown = cpu_seconds().unwrap_or_default() - cpu.get();
        cpu.inc_by(grown.max(0.0));
        families.extend(cpu.collect());
        families
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn status_value(status: &str, key: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|value| value.parse().ok())
        .unwrap_or_default()
}

/// Field `number` of `/proc/self/stat`, counted from 1 as in proc(5).
fn stat_field(number: usize) -> Option<u64> {
    let stat = read("/proc/self/stat");
    // The second field is the program's name in parentheses, with anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number - 3)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let (user, system) = (stat_field(14)?, stat_field(15)?);
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

fn start_time_seconds() -> Option<u64> {
    let boot = status_value(&read("/proc/stat"), "btime ");
    Some(boot + (stat_field(22)? as f64 / TICKS_PER_SECOND) as u64)
}

fn max_fds() -> Option<u64> {
    let limits = read("/proc/self/limits");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_numbers_are_those_of_this_process() {
        assert!(resident_memory_bytes() > 100 * 1024);
        let collector = ProcessCollector::new().unwrap();
        let _ = collector.collect();
        assert!(collector.gauges.open_fds.get() >= 3);
        assert!(collector.gauges.max_fds.get() >= collector.gauges.open_fds.get());
        assert!(collector.gauges.threads.get() >= 1);
        assert!(collector.gauges.virtual_memory.get() > 0);
        let started = Duration::from_secs(collector.gauges.start_time.get() as u64);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(
            started < now + Duration::from_secs(60),
            "{started:?} {now:?}"
        );
        assert!(started > Duration::from_secs(1_000_000_000));
    }
}
