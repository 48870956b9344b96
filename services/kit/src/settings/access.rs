//! How a program reads its settings: with a type each, and errors that name key, place and allowed values.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use super::{Mode, Place, Setting, Settings, SettingsError, Value};
use crate::listen::ListenAddress;
use crate::secret::Secret;

const HOST: &str = "HOST";
const PORT: &str = "PORT";

impl Settings {
    /// What the program was asked to do.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A setting that is required or has a default.
    ///
    /// # Errors
    ///
    /// When it is not set, or not a `T`.
    pub fn get<T>(&self, name: &str) -> Result<T, SettingsError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let setting = self.declared(name)?;
        self.optional(name)?.ok_or_else(|| {
            let mut ways = format!("flag --{} or environment {}", setting.flag(), setting.name);
            if self.has_file {
                ways = format!("{ways}, or by key {} in the file", setting.key());
            }
            SettingsError::Missing {
                name: name.to_owned(),
                ways,
                allowed: setting.allowed_suffix(),
            }
        })
    }

    /// A setting that may be absent.
    ///
    /// # Errors
    ///
    /// When it is set and not a `T`.
    pub fn optional<T>(&self, name: &str) -> Result<Option<T>, SettingsError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.declared(name)?;
        self.values
            .get(name)
            .map(|value| value.text.parse())
            .transpose()
            .map_err(|reason| self.invalid(name, reason))
    }

    /// A comma-separated list, each item trimmed; unset is an empty one.
    ///
    /// # Errors
    ///
    /// When an item is empty or not a `T`.
    pub fn list<T>(&self, name: &str) -> Result<Vec<T>, SettingsError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.declared(name)?;
        let Some(value) = self.values.get(name) else {
            return Ok(Vec::new());
        };
        let parse = |item: &str| match item.trim() {
            "" => Err(self.invalid(name, "an item of the list is empty")),
            item => item
                .parse()
                .map_err(|reason| self.invalid(name, format_args!("{item:?}: {reason}"))),
        };
        value.text.split(',').map(parse).collect()
    }

    /// A secret, whether it was given by value or by file.
    ///
    /// # Errors
    ///
    /// When the program does not declare it.
    pub fn secret(&self, name: &str) -> Result<Option<Secret>, SettingsError> {
        self.declared(name)?;
        Ok(self
            .values
            .get(name)
            .map(|value| Secret::new(value.text.clone())))
    }

    /// Whether flag, environment or file set it.
    pub fn is_explicit(&self, name: &str) -> bool {
        self.values
            .get(name)
            .is_some_and(|value| value.place != Place::Default)
    }

    /// A structured key of the file, one of [`Program::tables`](super::Program::tables).
    pub fn table(&self, name: &str) -> Option<&toml::Value> {
        self.tables.get(name)
    }

    /// The file, when there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The address the program listens on, from its own setting such as `CATALOG_LISTEN`. Where the program also
    /// declares `HOST` and `PORT`, they replace the two halves of the default, unless this is a
    /// [second listener](super::Setting::second_listener).
    ///
    /// # Errors
    ///
    /// When a value is no address, or when `HOST` or `PORT` is set beside an explicit `own`.
    pub fn listen(&self, own: &str) -> Result<ListenAddress, SettingsError> {
        let mut address: ListenAddress = self.get(own)?;
        if self.declared(own)?.second_listener {
            return Ok(address);
        }
        for name in [HOST, PORT] {
            if self.is_explicit(name) && self.is_explicit(own) {
                return Err(self.without_effect(name, format_args!("{own} is set")));
            }
        }
        if self.declared(HOST).is_ok()
            && let Some(host) = self.optional::<String>(HOST)?
        {
            address.host =
                ListenAddress::parse_host(&host).map_err(|reason| self.invalid(HOST, reason))?;
        }
        if self.declared(PORT).is_ok()
            && let Some(port) = self.optional(PORT)?
        {
            address.port = port;
        }
        Ok(address)
    }

    /// An error about the value of a setting, for checks that the program makes itself.
    pub fn invalid(&self, name: &str, reason: impl Display) -> SettingsError {
        let setting = self.declared(name).ok();
        let value = self.values.get(name);
        let shown = match (setting, value) {
            (Some(setting), Some(value)) if !setting.secret => format!(" = {:?}", value.text),
            _ => String::new(),
        };
        SettingsError::Invalid {
            name: name.to_owned(),
            value: shown,
            place: self.place(name, value),
            reason: reason.to_string(),
            allowed: setting.map(Setting::allowed_suffix).unwrap_or_default(),
        }
    }

    /// An error about a setting that is set and can do nothing.
    pub fn without_effect(&self, name: &str, because: impl Display) -> SettingsError {
        SettingsError::WithoutEffect {
            name: name.to_owned(),
            place: self.place(name, self.values.get(name)),
            because: because.to_string(),
        }
    }

    fn declared(&self, name: &str) -> Result<&Setting, SettingsError> {
        self.declared
            .iter()
            .find(|setting| setting.name == name)
            .ok_or_else(|| SettingsError::Undeclared(name.to_owned()))
    }

    /// Structured keys are checked by the program too, so a name may also be one of those.
    fn place(&self, name: &str, value: Option<&Value>) -> String {
        match (value, &self.file) {
            (Some(value), _) => value.place.to_string(),
            (None, Some(file)) if self.tables.contains_key(name) => {
                Place::File(file.clone(), name.to_owned()).to_string()
            }
            _ => "not set".to_owned(),
        }
    }
}
