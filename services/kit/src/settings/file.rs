//! The TOML file: scalars become texts like those of flags, structured keys stay for the program.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::nearest::nearest;
use super::{Place, Program, Setting, SettingsError};

/// A configuration or secret file longer than this is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The content of a file, by keys.
#[derive(Default)]
pub(super) struct Content {
    pub(super) path: Option<PathBuf>,
    pub(super) scalars: BTreeMap<String, String>,
    pub(super) tables: toml::Table,
}

/// Reads and takes apart the file at `path`.
pub(super) fn load(
    program: &Program,
    declared: &[Setting],
    path: &Path,
    named_by: &Place,
) -> Result<Content, SettingsError> {
    let text = read(path, named_by)?;
    let table: toml::Table = toml::from_str(&text).map_err(|source| SettingsError::Syntax {
        path: path.to_owned(),
        source,
    })?;
    let known = known(program, declared);
    let mut content = Content {
        path: Some(path.to_owned()),
        ..Content::default()
    };
    for (key, value) in table {
        if program.tables.contains(&key.as_str()) {
            content.tables.insert(key, value);
        } else if known.contains(&key) {
            let text = scalar_or_list(&value).ok_or_else(|| SettingsError::Invalid {
                name: key.clone(),
                value: String::new(),
                place: Place::File(path.to_owned(), key.clone()).to_string(),
                reason: "write a string, a number, a boolean, or a list of strings without commas"
                    .to_owned(),
                allowed: String::new(),
            })?;
            content.scalars.insert(key, text);
        } else {
            return Err(SettingsError::UnknownKey {
                file: path.to_owned(),
                nearest: nearest(&key, known.iter().map(String::as_str)),
                known: known.join(", "),
                key,
            });
        }
    }
    Ok(content)
}

/// Reads a small file as text.
pub(super) fn read(path: &Path, named_by: &Place) -> Result<String, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable {
        path: path.to_owned(),
        named_by: named_by.to_string(),
        source,
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            reason,
        )));
    }
    Ok(text)
}

/// The key by which the file of a secret is named.
pub(super) fn file_key(setting: &Setting) -> String {
    format!("{}_file", setting.key())
}

fn known(program: &Program, declared: &[Setting]) -> Vec<String> {
    let mut known: Vec<String> = program.tables.iter().map(|&key| key.to_owned()).collect();
    for setting in declared {
        known.push(setting.key());
        if setting.secret {
            known.push(file_key(setting));
        }
    }
    known
}

fn scalar_or_list(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(scalar).collect();
            // A comma inside an item would become two items.
            items
                .filter(|items| items.iter().all(|item| !item.contains(',')))
                .map(|items| items.join(","))
        }
        value => scalar(value),
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Datetime(time) => Some(time.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}
