//! Flags: the declared settings as a clap command.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Mode, Program, Setting, SettingsError};

const CHECK: &str = "check";
const PRINT_CONFIG: &str = "print-config";
const HEALTHCHECK: &str = "healthcheck";
/// The flag for the path of the file.
pub(super) const CONFIG: &str = "config";

/// Parses the arguments, without the program's name.
pub(super) fn parse(
    program: &Program,
    declared: &[Setting],
    args: &[String],
) -> Result<ArgMatches, SettingsError> {
    let name = std::iter::once(program.name);
    command(program, declared)
        .try_get_matches_from(name.chain(args.iter().map(String::as_str)))
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                SettingsError::Information(error.to_string())
            }
            _ => SettingsError::CommandLine(without_prefix(&error.to_string())),
        })
}

/// What the mode flags ask for.
pub(super) fn mode(matches: &ArgMatches) -> Mode {
    if matches.get_flag(CHECK) {
        Mode::Check
    } else if matches.get_flag(PRINT_CONFIG) {
        Mode::PrintConfig
    } else if matches.get_flag(HEALTHCHECK) {
        Mode::Healthcheck
    } else {
        Mode::Run
    }
}

fn command(program: &Program, declared: &[Setting]) -> Command {
    let mut command = Command::new(program.name)
        .about(program.about)
        .version(crate::VERSION)
        .after_help(
            "Each setting is also an environment variable (CATALOG_LISTEN for --catalog-listen). \
             Flags win over the environment, the environment over the file.",
        )
        .arg(mode_flag(CHECK, "Validate the configuration and exit"))
        .arg(mode_flag(
            PRINT_CONFIG,
            "Print the effective configuration, secrets redacted, and exit",
        ))
        .group(clap::ArgGroup::new("mode").args([CHECK, PRINT_CONFIG]));
    if !program.listen.is_empty() {
        command = command
            .arg(mode_flag(
                HEALTHCHECK,
                "Ask the running program whether it lives; exit 0 or 1",
            ))
            .mut_group("mode", |group| group.arg(HEALTHCHECK));
    } else {
        command = command.arg(mode_flag(HEALTHCHECK, "").hide(true));
    }
    if !program.config_variable.is_empty() {
        command = command.arg(
            value_flag(CONFIG.to_owned())
                .value_name("FILE")
                .help(format!(
                    "TOML file with settings [env: {}]",
                    program.config_variable
                )),
        );
    }
    for setting in declared {
        command = command.arg(value_flag(setting.flag()).help(help(setting)));
        if setting.secret {
            let help = format!("File that holds {}", setting.name);
            command = command.arg(value_flag(file_flag(setting)).value_name("FILE").help(help));
        }
    }
    command
}

/// The flag by which the file of a secret is named.
pub(super) fn file_flag(setting: &Setting) -> String {
    format!("{}-file", setting.flag())
}

fn mode_flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::SetTrue)
}

fn value_flag(name: String) -> Arg {
    // A value such as "-1" belongs to its flag; the parser of the setting judges it.
    Arg::new(name.clone())
        .long(name)
        .value_name("VALUE")
        .allow_hyphen_values(true)
        .action(ArgAction::Set)
}

fn help(setting: &Setting) -> String {
    let mut help = setting.help.to_owned();
    if let Some(allowed) = setting.allowed {
        help.push_str(&format!(" [allowed: {allowed}]"));
    }
    if let Some(default) = setting.default {
        help.push_str(&format!(" [default: {default}]"));
    }
    if setting.secret {
        help.push_str(" (other users of the machine can see flags; prefer the file)");
    }
    help
}

/// The caller says "error:" itself.
fn without_prefix(text: &str) -> String {
    text.strip_prefix("error: ")
        .unwrap_or(text)
        .trim_end()
        .to_owned()
}
