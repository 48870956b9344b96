//! Sums of calls over the last minute, the last quarter of an hour, and all the time.

use std::{collections::VecDeque, time::Duration};

use serde::Serialize;
use service_kit::http::milliseconds;

use super::{CallRecord, latencies::Latencies};

/// Length of a slot: windows move on in such steps, so that they are up to this much longer than their name.
pub(super) const SLOT: Duration = Duration::from_secs(10);

/// Full slots of a minute and of a quarter of an hour; the one that is being filled comes on top.
const MINUTE_SLOTS: u64 = 6;
const QUARTER_SLOTS: u64 = 90;

/// Calls over time. Slots without a call take no space.
#[derive(Debug, Default)]
pub(super) struct Series {
    slots: VecDeque<(u64, Sum)>,
    all: Sum,
}

/// Calls added up.
#[derive(Clone, Debug, Default)]
struct Sum {
    calls: u64,
    errors: u64,
    bytes_in: u64,
    bytes_out: u64,
    latencies: Latencies,
}

/// What is answered about a series.
#[derive(Debug, Serialize)]
pub(super) struct Windows {
    #[serde(rename = "1m")]
    minute: Summary,
    #[serde(rename = "15m")]
    quarter: Summary,
    all: Summary,
}

#[derive(Debug, Serialize)]
struct Summary {
    calls: u64,
    errors: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// Until the header of the answer. None without calls.
    latency_ms: Option<Quantiles>,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
}

// === impl Series ===

impl Series {
    /// Adds a call that ended in a slot. Slots never go back.
    pub(super) fn add(&mut self, record: &CallRecord, slot: u64) {
        self.all.add(record);
        while let Some((oldest, _)) = self.slots.front()
            && oldest + QUARTER_SLOTS < slot
        {
            self.slots.pop_front();
        }
        match self.slots.back_mut() {
            Some((newest, sum)) if *newest >= slot => sum.add(record),
            _ => {
                let mut sum = Sum::default();
                sum.add(record);
                self.slots.push_back((slot, sum));
            }
        }
    }

    pub(super) fn windows(&self, slot: u64) -> Windows {
        let last = |slots: u64| {
            let mut sum = Sum::default();
            for (at, part) in self.slots.iter().rev() {
                if at + slots < slot {
                    break;
                }
                sum.merge(part);
            }
            sum.summary()
        };
        Windows {
            minute: last(MINUTE_SLOTS),
            quarter: last(QUARTER_SLOTS),
            all: self.all.summary(),
        }
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, record: &CallRecord) {
        self.calls += 1;
        self.errors += u64::from(record.is_error());
        self.bytes_in = self.bytes_in.saturating_add(record.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(record.bytes_out);
        self.latencies.add(record.latency);
    }

    fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.latencies.merge(&other.latencies);
    }

    fn summary(&self) -> Summary {
        let quantile = |percent| self.latencies.quantile(percent).map(milliseconds);
        let quantiles = || {
            Some(Quantiles {
                p50: quantile(50)?,
                p90: quantile(90)?,
                p99: quantile(99)?,
            })
        };
        Summary {
            calls: self.calls,
            errors: self.errors,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            latency_ms: quantiles(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::record;

    fn calls(series: &Series, slot: u64) -> [u64; 3] {
        let windows = series.windows(slot);
        [windows.minute, windows.quarter, windows.all].map(|summary| summary.calls)
    }

    #[test]
    fn windows_move_on() {
        let mut series = Series::default();
        assert_eq!(calls(&series, 0), [0, 0, 0]);
        for slot in 0..100 {
            series.add(&record(1, "/", 200), slot);
            series.add(&record(1, "/", 500), slot);
        }
        assert_eq!(calls(&series, 99), [14, 182, 200]);
        assert_eq!(calls(&series, 102), [8, 176, 200]);
        assert_eq!(calls(&series, 106), [0, 168, 200]);
        assert_eq!(calls(&series, 1_000), [0, 0, 200]);
        assert!(series.slots.len() <= 91);
        let all = series.windows(99).all;
        assert_eq!((all.errors, all.bytes_in, all.bytes_out), (100, 200, 400));
        let p99 = all.latency_ms.unwrap().p99;
        assert!((9.3..10.7).contains(&p99), "{p99}");
    }
}
