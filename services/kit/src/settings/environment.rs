//! Environment variables that must not be there.

use std::collections::BTreeMap;

use super::nearest::nearest;
use super::{Program, Setting, SettingsError};

/// A variable with one of these prefixes is meant for us, so an unknown one is a mistake.
const PREFIXES: [&str; 5] = ["GATEWAY_", "CATALOG_", "PLATFORM_", "NAMES_", "DISCOVER_"];

/// Refuses unknown variables of our prefixes and those the program names as refused.
pub(super) fn check(
    program: &Program,
    declared: &[Setting],
    env: &BTreeMap<String, String>,
) -> Result<(), SettingsError> {
    for &(variable, reason) in program.refused {
        if env.get(variable).is_some_and(|value| !value.is_empty()) {
            return Err(SettingsError::Refused { variable, reason });
        }
    }
    let known = known(program, declared);
    let ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let refused = |name: &str| program.refused.iter().any(|(refused, _)| *refused == name);
    match env
        .keys()
        .find(|name| ours(name) && !known.contains(*name) && !refused(name))
    {
        None => Ok(()),
        Some(variable) => Err(SettingsError::UnknownVariable {
            variable: variable.clone(),
            nearest: nearest(variable, known.iter().map(String::as_str)),
            known: known.join(", "),
        }),
    }
}

fn known(program: &Program, declared: &[Setting]) -> Vec<String> {
    let mut known = Vec::new();
    if !program.config_variable.is_empty() {
        known.push(program.config_variable.to_owned());
    }
    for setting in declared {
        known.push(setting.name.to_owned());
        if setting.secret {
            known.push(setting.file_name());
        }
    }
    known
}
