//! Declarative configuration: a program lists its settings once, and flags, environment, file, `--help` and
//! `--print-config` follow from that list.
//!
//! The setting `CATALOG_LISTEN` is the flag `--catalog-listen`, the environment variable `CATALOG_LISTEN` and the
//! top-level key `catalog_listen` of the TOML file, in this order of precedence, before its default. What is not in the
//! list is refused: a setting that is accepted and does nothing is worse than a program that does not start.

mod access;
mod command_line;
mod environment;
mod error;
mod file;
mod load;
mod nearest;
mod print;
mod size;
mod span;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub use error::SettingsError;
pub use size::Size;
pub use span::Span;

/// One setting, declared as a constant.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    name: &'static str,
    help: &'static str,
    default: Option<&'static str>,
    allowed: Option<&'static str>,
    secret: bool,
    empty_is_unset: bool,
    second_listener: bool,
}

/// What a program accepts.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Name of the binary.
    pub name: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
    /// The settings, in groups that programs share. A name that occurs twice counts as first declared.
    pub settings: &'static [&'static [Setting]],
    /// Structured top-level keys of the file which the program parses itself. `--print-config` shows them as written,
    /// besides values whose key names a secret, token, password or API key.
    pub tables: &'static [&'static str],
    /// Environment variable with the path of the TOML file, which is also `--config`; "" = no file.
    pub config_variable: &'static str,
    /// Environment variables that must not be set, with the reason.
    pub refused: &'static [(&'static str, &'static str)],
    /// Name of the setting with the program's own address, for `--healthcheck`; "" = none.
    pub listen: &'static str,
}

/// Where settings come from, besides the file: a value, so that tests need no process-wide state.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// Arguments without the program's name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
}

/// What the program was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Run.
    Run,
    /// `--check`: validate and exit.
    Check,
    /// `--print-config`: print the effective configuration and exit.
    PrintConfig,
    /// `--healthcheck`: ask the running program whether it lives.
    Healthcheck,
}

/// The effective configuration of one start.
#[derive(Clone)]
pub struct Settings {
    declared: Vec<Setting>,
    values: BTreeMap<&'static str, Value>,
    tables: toml::Table,
    mode: Mode,
    file: Option<PathBuf>,
    has_file: bool,
}

/// The text of a setting and where it was found.
#[derive(Clone)]
struct Value {
    text: String,
    place: Place,
}

/// Where a value was found, by the name the user knows.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Flag(String),
    Environment(String),
    File(PathBuf, String),
    Default,
}

// === impl Setting ===

impl Setting {
    /// A setting without default. `name` is in the form of an environment variable: `CATALOG_LISTEN`.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            default: None,
            allowed: None,
            secret: false,
            empty_is_unset: false,
            second_listener: false,
        }
    }

    /// Value when nothing else is set.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// What is allowed, for errors and `--help`: `host:port`.
    pub const fn allowed(mut self, text: &'static str) -> Self {
        self.allowed = Some(text);
        self
    }

    /// Redacted wherever it is shown; can also be given as the path of a file in `NAME_FILE`.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// An empty value counts as unset. Only for names whose convention says so (`NO_COLOR`); anywhere else an empty
    /// value is a mistake, mostly an unset variable of a Compose file.
    pub const fn empty_is_unset(mut self) -> Self {
        self.empty_is_unset = true;
        self
    }

    /// An address besides the one that `HOST` and `PORT` speak of.
    pub const fn second_listener(mut self) -> Self {
        self.second_listener = true;
        self
    }

    /// Its name, in the form of an environment variable.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    fn file_name(&self) -> String {
        format!("{}_FILE", self.name)
    }

    fn allowed_suffix(&self) -> String {
        self.allowed
            .map(|allowed| format!("; allowed: {allowed}"))
            .unwrap_or_default()
    }
}

// === impl Program ===

impl Program {
    /// Every setting once.
    fn declared(&self) -> Vec<Setting> {
        let mut declared: Vec<Setting> = Vec::new();
        for setting in self.settings.iter().copied().flatten() {
            if declared.iter().all(|known| known.name != setting.name) {
                declared.push(*setting);
            }
        }
        declared
    }
}

// === impl Sources ===

impl Sources {
    /// Those of this process. Names and values that are no UTF-8 are replaced where they are not.
    pub fn from_process() -> Self {
        Self {
            args: std::env::args_os()
                .skip(1)
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            env: std::env::vars_os()
                .map(|(name, value)| {
                    let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
                    (text(name), text(value))
                })
                .collect(),
        }
    }
}

// === impl Settings, Value, Place ===

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Structured keys of the file may hold secrets as well.
        formatter
            .debug_struct("Settings")
            .field("mode", &self.mode)
            .field("file", &self.file)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value alone does not know whether it is a secret.
        write!(formatter, "Value(<redacted>, {:?})", self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(formatter, "flag --{flag}"),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::File(file, key) => write!(formatter, "file {}, key {key}", file.display()),
            Self::Default => formatter.write_str("default"),
        }
    }
}
