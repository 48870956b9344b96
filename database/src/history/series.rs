//! Sums of calls over the last minute, the last quarter of an hour, and all the time.

use std::{collections::VecDeque, time::Duration};

use super::{CacheUse, CallRecord, latencies::Latencies};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub calls: u64,
    /// Those that failed; see [`CallRecord::is_error`].
    pub errors: u64,
    /// Bytes of requests' bodies.
    pub bytes_in: u64,
    /// Bytes of the bodies of instances' answers.
    pub bytes_out: u64,
    /// Those that a kept answer was found for.
    pub cache_hits: u64,
    /// Those for which one was looked for in vain.
    pub cache_misses: u64,
    pub(crate) latencies: Latencies,
}

/// Sums over the last minute, the last quarter of an hour, and all the time. A window may be longer than its name by the step in which
/// it moves on: 10 s in a process of its own; for catalogs that share a history 10 s for the minute and a minute for the quarter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The last minute.
    pub minute: Sum,
    /// The last quarter of an hour.
    pub quarter: Sum,
    /// Everything.
    pub all: Sum,
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
            sum
        };
        Windows {
            minute: last(MINUTE_SLOTS),
            quarter: last(QUARTER_SLOTS),
            all: self.all.clone(),
        }
    }
}

// === impl Sum ===

impl Sum {
    pub(crate) fn add(&mut self, record: &CallRecord) {
        self.calls += 1;
        self.errors += u64::from(record.is_error());
        self.bytes_in = self.bytes_in.saturating_add(record.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(record.bytes_out);
        self.cache_hits += u64::from(record.cache == Some(CacheUse::Hit));
        self.cache_misses += u64::from(record.cache == Some(CacheUse::Miss));
        self.latencies.add(record.latency);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.cache_hits += other.cache_hits;
        self.cache_misses += other.cache_misses;
        self.latencies.merge(&other.latencies);
    }

    /// Time until the header of the answer that `percent` of the calls did not exceed, within 6 %; none without calls.
    pub fn latency(&self, percent: u64) -> Option<Duration> {
        self.latencies.quantile(percent)
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
        let p99 = all.latency(99).unwrap().as_secs_f64() * 1_000.0;
        assert!((9.3..10.7).contains(&p99), "{p99}");
    }
}
