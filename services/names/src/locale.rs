//! The languages that names are made in.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A list of names, chosen by `?locale=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// Spanish.
    Es,
    /// French.
    Fr,
    /// Russian, where the family name agrees with the gender of the given name.
    Ru,
}

/// Not a known locale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown locale; allowed: en, de, es, fr, ru")]
pub struct UnknownLocale;

// === impl Locale ===

impl Locale {
    /// Every locale. The order is that of the declaration, so that a locale is also an index.
    pub const ALL: [Self; 5] = [Self::En, Self::De, Self::Es, Self::Fr, Self::Ru];

    /// The language's code (ISO 639-1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Es => "es",
            Self::Fr => "fr",
            Self::Ru => "ru",
        }
    }
}

impl FromStr for Locale {
    type Err = UnknownLocale;

    fn from_str(text: &str) -> Result<Self, UnknownLocale> {
        Self::ALL
            .into_iter()
            .find(|locale| locale.as_str() == text)
            .ok_or(UnknownLocale)
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Locale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_locale_is_found_by_its_code_and_named_in_the_refusal() {
        for (index, locale) in Locale::ALL.into_iter().enumerate() {
            assert_eq!(locale.as_str().parse(), Ok(locale));
            assert_eq!(locale as usize, index);
            assert!(UnknownLocale.to_string().contains(locale.as_str()));
        }
        for bad in ["", "EN", "en-GB", "it"] {
            assert_eq!(bad.parse::<Locale>(), Err(UnknownLocale));
        }
    }
}
