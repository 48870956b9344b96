//! The newest calls, one by one.

use std::{collections::VecDeque, sync::Arc};

use catalog_api::{ServiceRef, Timestamp};
use parking_lot::Mutex;

use super::CallRecord;

/// How many calls a log keeps.
pub const RECORDS_MAX: usize = 10_000;

/// Which calls are asked for; all conditions together.
#[derive(Debug)]
pub struct LogFilter {
    /// Those of this service.
    pub service: Option<ServiceRef>,
    /// Those with such a status.
    pub status: Option<StatusFilter>,
    /// Those that began at this time or later.
    pub since: Option<Timestamp>,
    /// Most of them.
    pub limit: usize,
}

/// A status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// This one.
    Exact(u16),
    /// The hundreds.
    Class(u16),
}

/// A ring of records.
pub(super) struct Log(Mutex<VecDeque<Arc<CallRecord>>>);

// === impl Log ===

impl Log {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(super) fn push(&self, record: Arc<CallRecord>) {
        let mut records = self.0.lock();
        if records.len() >= RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(super) fn newest(&self, filter: &LogFilter) -> Vec<Arc<CallRecord>> {
        let records = self.0.lock();
        let fitting = records.iter().rev().filter(|record| filter.fits(record));
        fitting.take(filter.limit).cloned().collect()
    }
}

// === impl LogFilter ===

impl LogFilter {
    pub(crate) fn fits(&self, record: &CallRecord) -> bool {
        let is_service = |service: &ServiceRef| match service {
            ServiceRef::Id(id) => *id == record.service_id,
            ServiceRef::Name(name) => *name == record.service,
        };
        self.service.as_ref().is_none_or(is_service)
            && self.since.is_none_or(|since| record.at >= since)
            && self
                .status
                .is_none_or(|filter| record.status.is_some_and(|status| filter.fits(status)))
    }
}

// === impl StatusFilter ===

impl StatusFilter {
    /// Reads `404` or `4xx`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=9).contains(class))?;
            return (text.len() == 3).then_some(Self::Class(class));
        }
        let status = text
            .parse()
            .ok()
            .filter(|status| (100..=999).contains(status))?;
        (text.len() == 3).then_some(Self::Exact(status))
    }

    fn fits(self, status: u16) -> bool {
        match self {
            Self::Exact(exact) => status == exact,
            Self::Class(class) => status / 100 == class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::record;

    #[test]
    fn only_the_newest_are_kept() {
        let log = Log::new();
        for number in 0..RECORDS_MAX as u64 + 5 {
            log.push(Arc::new(record(number, "/", 200)));
        }
        let filter = LogFilter {
            service: None,
            status: None,
            since: None,
            limit: usize::MAX,
        };
        let records = log.newest(&filter);
        assert_eq!(records.len(), RECORDS_MAX);
        assert_eq!(records[0].service_id.0, RECORDS_MAX as u64 + 4);
        assert_eq!(records[RECORDS_MAX - 1].service_id.0, 5);
    }

    #[test]
    fn statuses_are_read_exactly_or_by_class() {
        assert_eq!(StatusFilter::parse("404"), Some(StatusFilter::Exact(404)));
        assert_eq!(StatusFilter::parse("5xx"), Some(StatusFilter::Class(5)));
        for wrong in [
            "", "xx", "0xx", "12xx", "+5xx", "99", "1000", "+99", "4x", "abc",
        ] {
            assert_eq!(StatusFilter::parse(wrong), None, "{wrong}");
        }
        assert!(StatusFilter::Class(5).fits(599) && !StatusFilter::Class(5).fits(499));
    }
}
