//! What every `main` does: load the settings, do what the flags ask for, and turn the outcome into an exit code.

mod healthcheck;

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::BoxError;
use crate::listen::BindError;
use crate::settings::{Mode, Program, Settings, SettingsError, Sources};

/// Exit code of a program that failed while it ran.
const RUNTIME: u8 = 1;
/// Exit code of a program that was called or configured wrongly.
const USAGE: u8 = 2;

/// Why a program ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot work; exit code 2.
    #[error(transparent)]
    Configuration(SettingsError),
    /// Anything else; exit code 1.
    #[error(transparent)]
    Runtime(BoxError),
}

/// Runs a program: `check` validates the configuration without acting on it, `run` runs until the end.
///
/// Exit codes: 0 ok, 1 runtime, 2 usage or configuration.
pub fn main(
    program: &Program,
    check: impl FnOnce(&Settings) -> Result<(), SettingsError>,
    run: impl FnOnce(Settings) -> Result<(), RunError>,
) -> ExitCode {
    let settings = match program.load(Sources::from_process()) {
        Ok(settings) => settings,
        Err(SettingsError::Information(text)) => return print(text.trim_end()),
        Err(error) => return refuse(program, &error),
    };
    let outcome = match settings.mode() {
        Mode::Run => run(settings),
        Mode::Healthcheck => healthcheck::ask(program, &settings),
        mode => match check(&settings) {
            Err(error) => Err(error.into()),
            Ok(()) if mode == Mode::Check => return print("configuration is valid"),
            Ok(()) => return print(settings.print().trim_end()),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Configuration(error)) => refuse(program, &error),
        Err(RunError::Runtime(error)) => {
            complain(program, &chain(error.as_ref()));
            ExitCode::from(RUNTIME)
        }
    }
}

/// An error and its sources in one line each text once: `cannot listen: address not available`.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        // Some libraries repeat their source in their own text.
        if !text.contains(&part) {
            let _ = write!(text, ": {part}");
        }
        source = error.source();
    }
    text
}

fn refuse(program: &Program, error: &SettingsError) -> ExitCode {
    complain(program, &chain(error));
    ExitCode::from(USAGE)
}

fn complain(program: &Program, text: &dyn Display) {
    // Not through the log: it may not be there yet, and a person reads this.
    let _ = writeln!(io::stderr(), "{}: error: {text}", program.name);
}

/// A reader that closes its end early (`| head`) is no failure of ours.
fn print(text: &str) -> ExitCode {
    let _ = writeln!(io::stdout(), "{text}");
    ExitCode::SUCCESS
}

// === impl RunError ===

impl RunError {
    /// A failure at run time, from any error.
    pub fn runtime(error: impl Into<BoxError>) -> Self {
        Self::Runtime(error.into())
    }
}

impl From<SettingsError> for RunError {
    fn from(error: SettingsError) -> Self {
        Self::Configuration(error)
    }
}

impl From<BindError> for RunError {
    fn from(error: BindError) -> Self {
        Self::Configuration(error.into())
    }
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Runtime(error.into())
    }
}

impl From<BoxError> for RunError {
    fn from(error: BoxError) -> Self {
        Self::Runtime(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_chain_shows_each_text_once() {
        let error = Outer(io::Error::other("inner"));
        assert_eq!(chain(&error), "outer: inner");
        assert_eq!(chain(&io::Error::other("alone")), "alone");
    }
}
