//! Logs: structured events on stderr that never make a request wait.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _};
use std::panic;
use std::str::FromStr;
use std::sync::{Once, OnceLock};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::access_log::{self, Form};
use crate::settings::{Setting, Settings, SettingsError};

/// The settings that [`init`] reads.
pub const SETTINGS: &[Setting] = &[
    Setting::new("RUST_LOG", "Which events are logged")
        .default("info")
        .allowed("a level (error, warn, info, debug, trace, off) or target=level, comma-separated"),
    Setting::new("LOG_FORMAT", "Form of the events")
        .default("text")
        .allowed("text, json"),
    Setting::new("NO_COLOR", "Any value turns colours off").empty_is_unset(),
];

/// Events that wait for a slow stderr. Beyond that they are dropped: a full pipe must not stop the traffic.
const BUFFERED_EVENTS_MAX: usize = 16_384;
/// Bytes of events written in one system call when many wait. The writer's thread flushes when none waits, so nothing is late.
const WRITE_BYTES: usize = 64 << 10;

/// Counts what was dropped. The log is one per process, and so is this.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Events that were dropped because stderr did not keep up, since the start of the process.
pub fn dropped_events() -> u64 {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    // usize has at most 64 bits.
    dropped as u64
}

/// Writes the last events when it is dropped; `main` keeps it until the end.
#[must_use = "dropping the guard stops the logging"]
#[derive(Debug)]
pub struct TelemetryGuard {
    _writer: Option<WorkerGuard>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
#[error("not a format of events")]
struct NotAFormat;

/// What the settings ask for, parsed.
struct Wanted {
    filter: Filter,
    format: Format,
    ansi: bool,
}

/// Validates what [`init`] would read, without starting anything.
///
/// # Errors
///
/// When `RUST_LOG` or `LOG_FORMAT` is wrong, or not declared by the program.
pub fn check(settings: &Settings) -> Result<(), SettingsError> {
    Wanted::read(settings).map(drop)
}

/// Starts logging for the process, bridges the `log` crate, and logs panics. A second call in one process only checks
/// its settings.
///
/// # Errors
///
/// When `RUST_LOG` or `LOG_FORMAT` is wrong, or not declared by the program.
pub fn init(settings: &Settings) -> Result<TelemetryGuard, SettingsError> {
    let wanted = Wanted::read(settings)?;
    static FIRST: Once = Once::new();
    let mut writer = None;
    FIRST.call_once(|| {
        writer = Some(install(wanted));
    });
    Ok(TelemetryGuard { _writer: writer })
}

// === impl Wanted ===

impl Wanted {
    fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let no_color = settings.optional::<String>("NO_COLOR")?.is_some();
        Ok(Self {
            filter: settings.get("RUST_LOG")?,
            format: settings.get("LOG_FORMAT")?,
            ansi: !no_color && io::stderr().is_terminal(),
        })
    }
}

fn install(wanted: Wanted) -> WorkerGuard {
    let Wanted {
        filter,
        format,
        ansi,
    } = wanted;
    let (stderr, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(BUFFERED_EVENTS_MAX)
        .thread_name("log-writer")
        .finish(BufWriter::with_capacity(WRITE_BYTES, io::stderr()));
    // The first is the only one, as install runs once.
    let _ = DROPPED.set(stderr.error_counter());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter.0)
        .with_writer(stderr.clone())
        .with_ansi(ansi);
    let (installed, form) = match format {
        Format::Text => (builder.finish().try_init(), Form::Text { ansi }),
        Format::Json => {
            let subscriber = builder.json().flatten_event(true).finish();
            (subscriber.try_init(), Form::Json)
        }
    };
    match installed {
        Ok(()) => access_log::install(form, stderr),
        // An embedding program has its own subscriber, which then gets our events.
        Err(error) => tracing::debug!(%error, "another subscriber is already installed"),
    }
    panic::set_hook(Box::new(log_panic));
    guard
}

fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        panic.message = message,
        panic.location = location,
        "the program panicked"
    );
}

// === impl Format, Filter ===

impl FromStr for Format {
    type Err = NotAFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NotAFormat),
        }
    }
}

/// An [`EnvFilter`] that does not accept a bare word as the name of a target: `RUST_LOG=inof` would silence everything.
struct Filter(EnvFilter);

#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error("{0:?} is not a level")]
    NotALevel(String),
    #[error("{0}")]
    Syntax(tracing_subscriber::filter::ParseError),
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = |item: &&str| item.bytes().all(|byte| byte.is_ascii_alphanumeric());
        for item in text.split(',').map(str::trim).filter(bare) {
            if !LEVELS.contains(&item.to_ascii_lowercase().as_str()) {
                return Err(FilterError::NotALevel(item.to_owned()));
            }
        }
        EnvFilter::builder()
            .parse(text)
            .map(Self)
            .map_err(FilterError::Syntax)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Filter({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::{Program, Sources};

    const PROGRAM: Program = Program {
        name: "example",
        about: "",
        settings: &[SETTINGS],
        tables: &[],
        config_variable: "",
        refused: &[],
        listen: "",
    };

    fn settings(env: &[(&str, &str)]) -> Settings {
        let env: BTreeMap<_, _> = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        PROGRAM.load(Sources { args: vec![], env }).unwrap()
    }

    #[test]
    fn wrong_settings_are_errors_that_name_what_is_allowed() {
        for (name, value, part) in [
            ("LOG_FORMAT", "xml", "text, json"),
            ("RUST_LOG", "inof", "is not a level"),
            ("RUST_LOG", "info,kit=lowd", "RUST_LOG"),
        ] {
            let error = init(&settings(&[(name, value)])).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_second_start_in_one_process_is_harmless() {
        let first = init(&settings(&[
            ("RUST_LOG", "warn,hyper=off"),
            ("NO_COLOR", ""),
        ]))
        .unwrap();
        let second = init(&settings(&[("LOG_FORMAT", "json")])).unwrap();
        drop((first, second));
    }
}
