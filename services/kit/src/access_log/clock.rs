//! Timestamps of lines.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// Length of `2026-11-26T06:45:15.`, which all timestamps of a second have in common.
const COMMON_BYTES: usize = 20;

/// Writes times as RFC 3339 in UTC with microseconds. Date and time to the second are only made when the second is another one.
#[derive(Default)]
pub(super) struct Clock {
    second: Option<u64>,
    text: String,
}

// === impl Clock ===

impl Clock {
    /// The time as text. No clock that is set says a time before 1970 or after 9999; both are written as the beginning of 1970.
    pub(super) fn read(&mut self, time: SystemTime) -> &str {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text = common(since.as_secs())
                .or_else(|| common(0))
                .unwrap_or_default();
        }
        self.text.truncate(COMMON_BYTES);
        // With a one in front, so that no zero is left out.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(1_000_000 + since.subsec_micros());
        self.text.push_str(&digits[1..]);
        self.text.push('Z');
        &self.text
    }
}

fn common(second: u64) -> Option<String> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(second))?;
    let mut text = String::with_capacity(COMMON_BYTES + "123456Z".len());
    write!(text, "{}", humantime::format_rfc3339_seconds(time)).ok()?;
    text.pop();
    text.push('.');
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAST_SECOND: u64 = 253_402_300_799;

    proptest! {
        #[test]
        fn times_in_any_order_are_written_in_full(
            moments in prop::collection::vec((0..=LAST_SECOND, 0..1_000_000_u32), 1..5)
        ) {
            let mut clock = Clock::default();
            for (second, micros) in moments {
                // The second time the second is known.
                for micros in [micros, 0, 999_999] {
                    let since = Duration::new(second, micros * 1000);
                    let time = SystemTime::UNIX_EPOCH + since;
                    let expected = humantime::format_rfc3339_micros(time).to_string();
                    prop_assert_eq!(clock.read(time), expected);
                }
            }
        }
    }

    #[test]
    fn a_clock_that_is_not_set_stops_nothing() {
        let mut clock = Clock::default();
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(clock.read(before), "1970-01-01T00:00:00.000000Z");
        let after = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(clock.read(after), "1970-01-01T00:00:00.000000Z");
    }
}
