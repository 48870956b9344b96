//! Free text about services and instances, bounded so that no entry can grow without end.

use std::{collections::BTreeMap, collections::BTreeSet, fmt, ops::Deref};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Longest version, zone, tag or metadata key, in bytes.
pub const LABEL_BYTES_MAX: usize = 63;
/// Most tags of a service.
pub const TAGS_MAX: usize = 32;
/// Most metadata entries of a service or instance.
pub const METADATA_ENTRIES_MAX: usize = 64;
/// Longest metadata value, in bytes.
pub const METADATA_VALUE_BYTES_MAX: usize = 1024;

/// What a service is for, in a sentence. May be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);

/// The version a service says it has. May be empty; not interpreted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// The failure domain of an instance (a rack, a data centre). Not empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(String);

/// Tags of a service, for filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub struct Tags(BTreeSet<String>);

/// Keys and values that users attach. Not interpreted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct Metadata(BTreeMap<String, String>);

/// Text of `least..=most` bytes without control characters.
fn bounded(what: &'static str, text: &str, least: usize, most: usize) -> Result<(), Invalid> {
    if text.len() < least || text.len() > most {
        return Err(Invalid::new(
            what,
            format_args!("must have {least} to {most} bytes, not {}", text.len()),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(what, "must not contain control characters"));
    }
    Ok(())
}

macro_rules! bounded_text {
    ($type:ident, $what:literal, $least:expr, $most:expr) => {
        impl TryFrom<String> for $type {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                bounded($what, &text, $least, $most)?;
                Ok(Self(text))
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

bounded_text!(Description, "description", 0, DESCRIPTION_BYTES_MAX);
bounded_text!(Version, "version", 0, LABEL_BYTES_MAX);
bounded_text!(Zone, "zone", 1, LABEL_BYTES_MAX);

// === impl Tags ===

impl TryFrom<BTreeSet<String>> for Tags {
    type Error = Invalid;

    fn try_from(tags: BTreeSet<String>) -> Result<Self, Invalid> {
        if tags.len() > TAGS_MAX {
            return Err(Invalid::new(
                "tags",
                format_args!("must be at most {TAGS_MAX}, not {}", tags.len()),
            ));
        }
        for tag in &tags {
            bounded("tag", tag, 1, LABEL_BYTES_MAX)?;
        }
        Ok(Self(tags))
    }
}

impl From<Tags> for BTreeSet<String> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

impl Deref for Tags {
    type Target = BTreeSet<String>;

    fn deref(&self) -> &BTreeSet<String> {
        &self.0
    }
}

// === impl Metadata ===

impl TryFrom<BTreeMap<String, String>> for Metadata {
    type Error = Invalid;

    fn try_from(entries: BTreeMap<String, String>) -> Result<Self, Invalid> {
        if entries.len() > METADATA_ENTRIES_MAX {
            return Err(Invalid::new(
                "metadata",
                format_args!(
                    "must have at most {METADATA_ENTRIES_MAX} entries, not {}",
                    entries.len()
                ),
            ));
        }
        for (key, value) in &entries {
            bounded("metadata key", key, 1, LABEL_BYTES_MAX)?;
            bounded("metadata value", value, 0, METADATA_VALUE_BYTES_MAX)?;
        }
        Ok(Self(entries))
    }
}

impl From<Metadata> for BTreeMap<String, String> {
    fn from(metadata: Metadata) -> Self {
        metadata.0
    }
}

impl Deref for Metadata {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}
