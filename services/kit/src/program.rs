//! What every `main` does: load the settings, do what the flags ask for, and turn the outcome into an exit code.

mod healthcheck;

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::BoxError;
use crate::listen::BindError;
use crate::notify;
use crate::settings::{Mode, Program, Settings, SettingsError, Sources};
use crate::shutdown::Interrupted;
use crate::telemetry;

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

/// How a program ended, before anything is printed: the part of [`main`] that tests can look at.
#[derive(PartialEq, Eq, Debug)]
enum End {
    Ran,
    /// For stdout.
    Told(String),
    /// For stderr.
    Failed {
        code: u8,
        text: String,
    },
}

/// Runs a program: `check` validates the configuration without acting on it, `run` runs until the end. The program declares
/// [`telemetry::SETTINGS`] among its own.
///
/// Exit codes: 0 ok, 1 runtime, 2 usage or configuration.
pub fn main(
    program: &Program,
    check: impl FnOnce(&Settings) -> Result<(), SettingsError>,
    run: impl FnOnce(Settings) -> Result<(), RunError>,
) -> ExitCode {
    // Not through the log: it may not be there yet, and a person reads this. Writing may fail when the reader closed
    // its end early (`| head`), which is no failure of ours.
    match end(program, Sources::from_process(), check, run) {
        End::Ran => ExitCode::SUCCESS,
        End::Told(text) => {
            let _ = writeln!(io::stdout(), "{}", text.trim_end());
            ExitCode::SUCCESS
        }
        End::Failed { code, text } => {
            let _ = writeln!(io::stderr(), "{}: error: {text}", program.name);
            ExitCode::from(code)
        }
    }
}

fn end(
    program: &Program,
    sources: Sources,
    check: impl FnOnce(&Settings) -> Result<(), SettingsError>,
    run: impl FnOnce(Settings) -> Result<(), RunError>,
) -> End {
    let outcome = program
        .load(sources)
        .map_err(RunError::from)
        .and_then(|settings| match settings.mode() {
            Mode::Run => run(settings).map(|()| End::Ran),
            Mode::Healthcheck => healthcheck::ask(program, &settings).map(|()| End::Ran),
            Mode::Check => {
                telemetry::check(&settings)?;
                check(&settings)?;
                Ok(End::Told("configuration is valid".to_owned()))
            }
            Mode::PrintConfig => {
                telemetry::check(&settings)?;
                check(&settings)?;
                Ok(End::Told(settings.print()))
            }
        });
    match outcome {
        Ok(end) => end,
        Err(RunError::Configuration(SettingsError::Information(text))) => End::Told(text),
        Err(RunError::Configuration(error)) => End::Failed {
            code: USAGE,
            text: chain(&error),
        },
        Err(RunError::Runtime(error)) => End::Failed {
            code: RUNTIME,
            text: chain(error.as_ref()),
        },
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

/// Runs the asynchronous part of a program on a multi-threaded runtime, and leaves without waiting for tasks that are still there
/// at its end: what was worth waiting for has been waited for.
///
/// # Errors
///
/// Those of `work`, and a runtime that cannot be built.
pub fn block_on(work: impl Future<Output = Result<(), RunError>>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

/// Tells whoever started the program that it is ready: a person or a script on stdout and at once, not through the log, since it is
/// what the program is asked for; and the service manager.
pub fn announce(text: impl Display) {
    let mut stdout = io::stdout().lock();
    // A reader that is gone is no failure of the program.
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    notify::ready();
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

impl From<Interrupted> for RunError {
    fn from(interrupted: Interrupted) -> Self {
        Self::runtime(interrupted)
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::Setting;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    const PROGRAM: Program = Program {
        name: "example",
        about: "An example",
        settings: &[
            &[
                Setting::new("NAMES_LISTEN", "Address").default("127.0.0.1:1"),
                Setting::new("NAMES_TOKEN", "Token").secret(),
            ],
            telemetry::SETTINGS,
        ],
        tables: &[],
        config_variable: "",
        refused: &[],
        listen: "NAMES_LISTEN",
    };

    fn ended(args: &[&str], outcome: Result<(), RunError>) -> End {
        let args = args.iter().map(|&argument| argument.to_owned()).collect();
        let env = BTreeMap::from([("NAMES_TOKEN".to_owned(), "hunter2".to_owned())]);
        let check = |settings: &Settings| settings.listen("NAMES_LISTEN").map(|_| ());
        end(&PROGRAM, Sources { args, env }, check, |_| outcome)
    }

    fn failed(args: &[&str], outcome: Result<(), RunError>) -> (u8, String) {
        match ended(args, outcome) {
            End::Failed { code, text } => (code, text),
            end => panic!("{end:?}"),
        }
    }

    fn told(args: &[&str]) -> String {
        let not_run = Err(RunError::runtime("it must not run"));
        match ended(args, not_run) {
            End::Told(text) => text,
            end => panic!("{end:?}"),
        }
    }

    #[test]
    fn a_run_ends_with_0_1_or_2() {
        assert_eq!(ended(&[], Ok(())), End::Ran);
        let broken = RunError::from(io::Error::other("the disk is full"));
        assert_eq!(failed(&[], Err(broken)), (1, "the disk is full".to_owned()));
        let address = "127.0.0.1:80".parse().unwrap();
        let (code, text) = failed(&[], Err(BindError::Taken { address }.into()));
        assert_eq!(code, 2);
        assert!(text.contains("port 80 is taken"), "{text}");
    }

    #[test]
    fn what_only_tells_something_does_not_run() {
        assert_eq!(told(&["--check"]), "configuration is valid");
        assert!(told(&["--help"]).contains("--names-listen"));
        assert!(told(&["--version"]).contains(crate::VERSION));
        let printed = told(&["--print-config"]);
        assert!(
            printed.contains("names_listen = \"127.0.0.1:1\"  # from default"),
            "{printed}"
        );
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn usage_and_configuration_errors_end_with_2() {
        for args in [
            &["--no-such"][..],
            &["--names-listen", "x", "--check"],
            &["--check", "--print-config"],
        ] {
            let (code, text) = failed(args, Ok(()));
            assert_eq!(code, 2, "{text}");
        }
    }

    #[test]
    fn the_healthcheck_of_a_program_that_is_not_there_ends_with_1() {
        let listener = crate::listen::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let (code, text) = failed(&["--healthcheck", "--names-listen", &address], Ok(()));
        assert_eq!(code, 1);
        assert!(text.contains("does not answer"), "{text}");
    }

    #[test]
    fn a_chain_shows_each_text_once() {
        let error = Outer(io::Error::other("inner"));
        assert_eq!(chain(&error), "outer: inner");
        assert_eq!(chain(&io::Error::other("alone")), "alone");
    }
}
