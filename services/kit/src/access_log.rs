//! The one line of each finished request. It belongs to the same log as every other event, in form, order, filter and queue, but it is
//! written without `tracing`: a subscriber that visits twenty fields one by one costs more than proxying a small request.
//!
//! ```text
//! AccessRecord ─► Form (JSON or text) ─► buffer of the thread ─► the log's queue ─► stderr
//! ```
//!
//! Where the program that embeds us has a subscriber of its own, [`telemetry`](crate::telemetry) has nothing to say, and that one gets
//! the record as an event.

mod clock;
mod form;
mod record;

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::SystemTime;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::NonBlocking;

use clock::Clock;

pub use form::Form;
pub use record::AccessRecord;

/// Target of the events, as in `RUST_LOG=info,access=off`.
const TARGET: &str = "access";
/// Room that a thread keeps for its next line. The longest of usual lines are shorter; a longer one gives its room back.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// How much a request is worth telling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    /// Somebody's request: level INFO.
    Ordinary,
    /// What machines ask for all the time, such as a health check: level DEBUG.
    Routine,
}

/// Where lines go, decided once for the process.
struct AccessLog {
    form: Form,
    max: LevelFilter,
    queue: NonBlocking,
}

/// What a thread keeps from one line to the next.
struct Desk {
    clock: Clock,
    line: Vec<u8>,
    queue: NonBlocking,
}

/// The log is one per process, and so is this.
static LOG: OnceLock<AccessLog> = OnceLock::new();

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// Writes the line of a request, if the log wants it. Never waits: when the queue is full, the line is dropped and counted in
/// [`dropped_events`](crate::telemetry::dropped_events).
pub fn write<'a>(importance: Importance, record: impl FnOnce() -> AccessRecord<'a>) {
    match LOG.get() {
        Some(log) if importance.level() > log.max => {}
        Some(log) => DESK.with_borrow_mut(|desk| {
            let desk = desk.get_or_insert_with(|| Desk::at(log));
            desk.write(log.form, importance, &record());
        }),
        None => record().to_subscriber(importance),
    }
}

/// Has lines go to the queue of the log from now on. The subscriber that writes the rest of the log must be in place: its filter
/// is asked here, once.
pub(crate) fn install(form: Form, queue: NonBlocking) {
    let max = if tracing::enabled!(target: TARGET, Level::DEBUG) {
        LevelFilter::DEBUG
    } else if tracing::enabled!(target: TARGET, Level::INFO) {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    // The log is installed once.
    let _ = LOG.set(AccessLog { form, max, queue });
}

// === impl Importance, Desk ===

impl Importance {
    fn level(self) -> Level {
        match self {
            Self::Ordinary => Level::INFO,
            Self::Routine => Level::DEBUG,
        }
    }
}

impl Desk {
    fn at(log: &AccessLog) -> Self {
        Self {
            clock: Clock::default(),
            line: Vec::new(),
            queue: log.queue.clone(),
        }
    }

    fn write(&mut self, form: Form, importance: Importance, record: &AccessRecord<'_>) {
        let time = self.clock.read(SystemTime::now());
        form.append(&mut self.line, time, importance, record);
        // The queue is lossy: it takes the line or counts that it could not.
        let _ = self.queue.write_all(&self.line);
        self.line.clear();
        self.line.shrink_to(KEPT_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, channel};

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;

    /// A reader that has stopped reading.
    struct Stuck(Receiver<()>);

    impl io::Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Until the other end is gone.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_is_not_waited_for_and_a_long_line_gives_its_room_back() {
        const QUEUED_MAX: usize = 4;
        const LINES: usize = 100;
        let (end, reader) = channel();
        let (queue, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUED_MAX)
            .finish(Stuck(reader));
        let dropped = queue.error_counter();
        let max = LevelFilter::INFO;
        let log = AccessLog {
            form: Form::Json,
            max,
            queue,
        };
        let mut desk = Desk::at(&log);
        let path = "/long".repeat(KEPT_BYTES_MAX);
        let record = AccessRecord {
            path: Some(&path),
            ..AccessRecord::default()
        };
        for _ in 0..LINES {
            desk.write(log.form, Importance::Ordinary, &record);
        }
        // One more may be in the hands of who writes.
        assert!(dropped.dropped_lines() >= LINES - QUEUED_MAX - 1);
        assert!(desk.line.capacity() <= KEPT_BYTES_MAX);
        drop(end);
        drop(guard);
    }
}
