//! One start: arguments, environment and file become the effective value of each setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::file::{self, Content};
use super::{
    Place, Program, Setting, Settings, SettingsError, Sources, Value, command_line, environment,
};

/// The three sources, in the order of their precedence.
struct Layers<'a> {
    flags: &'a ArgMatches,
    env: &'a BTreeMap<String, String>,
    file: &'a Content,
}

impl Program {
    /// Finds the effective configuration.
    ///
    /// # Errors
    ///
    /// Whatever is unknown, refused, empty or unreadable. Whether a value suits its setting shows when it is asked for
    /// with its type.
    pub fn load(&self, sources: Sources) -> Result<Settings, SettingsError> {
        let declared = self.declared();
        let flags = command_line::parse(self, &declared, &sources.args)?;
        environment::check(self, &declared, &sources.env)?;
        let content = match self.file_named(&flags, &sources.env)? {
            Some((path, named_by)) => file::load(self, &declared, &path, &named_by)?,
            None => Content::default(),
        };
        let layers = Layers {
            flags: &flags,
            env: &sources.env,
            file: &content,
        };
        let mut values = BTreeMap::new();
        for setting in &declared {
            if let Some(value) = layers.resolve(setting)? {
                values.insert(setting.name, value);
            }
        }
        Ok(Settings {
            declared,
            values,
            mode: command_line::mode(&flags),
            tables: content.tables,
            file: content.path,
            has_file: !self.config_variable.is_empty(),
        })
    }

    fn file_named(
        &self,
        flags: &ArgMatches,
        env: &BTreeMap<String, String>,
    ) -> Result<Option<(PathBuf, Place)>, SettingsError> {
        if self.config_variable.is_empty() {
            return Ok(None);
        }
        let flag = flags
            .get_one::<String>(command_line::CONFIG)
            .map(|path| (path, Place::Flag(command_line::CONFIG.to_owned())));
        let variable = env
            .get(self.config_variable)
            .map(|path| (path, Place::Environment(self.config_variable.to_owned())));
        match flag.or(variable) {
            Some((path, place)) if path.is_empty() => Err(SettingsError::Empty {
                place: place.to_string(),
                allowed: "; allowed: the path of a TOML file".to_owned(),
            }),
            Some((path, place)) => Ok(Some((PathBuf::from(path), place))),
            None => Ok(None),
        }
    }
}

// === impl Layers ===

impl Layers<'_> {
    fn resolve(&self, setting: &Setting) -> Result<Option<Value>, SettingsError> {
        // Every layer is looked at, also below one that has a value: a mistake there would surface on the day the
        // upper one is removed.
        let mut found = None;
        for layer in 0..3 {
            let value = self.in_layer(layer, setting)?;
            found = found.or(value);
        }
        Ok(found.or_else(|| {
            setting.default.map(|text| Value {
                text: text.to_owned(),
                place: Place::Default,
            })
        }))
    }

    fn in_layer(&self, layer: usize, setting: &Setting) -> Result<Option<Value>, SettingsError> {
        let direct = self
            .text(layer, setting, false)
            .filter(|(text, _)| !(setting.empty_is_unset && text.is_empty()));
        let path = setting
            .secret
            .then(|| self.text(layer, setting, true))
            .flatten();
        let (text, place) = match (direct, path) {
            (Some((_, first)), Some((_, second))) => {
                return Err(SettingsError::Both {
                    first: first.to_string(),
                    second: second.to_string(),
                });
            }
            (Some((text, place)), None) => (text.to_owned(), place),
            (None, Some((path, place))) => (secret_from(path, &place)?, place),
            (None, None) => return Ok(None),
        };
        if text.is_empty() {
            return Err(SettingsError::Empty {
                place: place.to_string(),
                allowed: setting.allowed_suffix(),
            });
        }
        Ok(Some(Value { text, place }))
    }

    /// The text under the setting's name, or under the name that holds the path of its file.
    fn text(&self, layer: usize, setting: &Setting, as_file: bool) -> Option<(&str, Place)> {
        match layer {
            0 => {
                let flag = if as_file {
                    command_line::file_flag(setting)
                } else {
                    setting.flag()
                };
                let text = self.flags.get_one::<String>(&flag)?;
                Some((text, Place::Flag(flag)))
            }
            1 => {
                let name = if as_file {
                    setting.file_name()
                } else {
                    setting.name.to_owned()
                };
                let text = self.env.get(&name)?;
                Some((text, Place::Environment(name)))
            }
            _ => {
                let key = if as_file {
                    file::file_key(setting)
                } else {
                    setting.key()
                };
                let text = self.file.scalars.get(&key)?;
                let path = self.file.path.clone().unwrap_or_default();
                Some((text, Place::File(path, key)))
            }
        }
    }
}

/// The content of a secret's file without its final line break.
fn secret_from(path: &str, place: &Place) -> Result<String, SettingsError> {
    if path.is_empty() {
        return Err(SettingsError::Empty {
            place: place.to_string(),
            allowed: "; allowed: the path of a file".to_owned(),
        });
    }
    let mut text = file::read(Path::new(path), place)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
