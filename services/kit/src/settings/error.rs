//! Why a configuration is refused: always the name, the place it was found at, and what is allowed.

use std::io;
use std::path::PathBuf;

use crate::listen::BindError;

/// A start that cannot go on because of its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// `--help` or `--version`: no error, but nothing else is to be done either.
    #[error("{0}")]
    Information(String),
    /// Unknown or incomplete flags, in the words of the parser.
    #[error("{0}")]
    CommandLine(String),
    /// An environment variable of our prefixes that is no setting.
    #[error(
        "environment variable {variable} is not a setting of this program{nearest}; known: {known}"
    )]
    UnknownVariable {
        /// Its name.
        variable: String,
        /// The known name that looks most like it, as a question.
        nearest: String,
        /// Every known name.
        known: String,
    },
    /// A key of the file that is no setting.
    #[error("file {}, key {key}: not a setting of this program{nearest}; known: {known}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The known key that looks most like it, as a question.
        nearest: String,
        /// Every known key.
        known: String,
    },
    /// An environment variable that must not be set.
    #[error("environment variable {variable} is refused: {reason}; unset it")]
    Refused {
        /// Its name.
        variable: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A value without content.
    #[error("{place} is empty; give it a value or remove it{allowed}")]
    Empty {
        /// Where.
        place: String,
        /// Allowed values.
        allowed: String,
    },
    /// A value that is not allowed.
    #[error("{name}{value} ({place}): {reason}{allowed}")]
    Invalid {
        /// The setting.
        name: String,
        /// Its value, left out for secrets.
        value: String,
        /// Where it was found.
        place: String,
        /// What is wrong.
        reason: String,
        /// Allowed values.
        allowed: String,
    },
    /// A required setting that is nowhere.
    #[error("{name} is not set; set it by {ways}{allowed}")]
    Missing {
        /// The setting.
        name: String,
        /// How to set it.
        ways: String,
        /// Allowed values.
        allowed: String,
    },
    /// A setting that cannot do anything.
    #[error("{name} ({place}) has no effect: {because}; remove it")]
    WithoutEffect {
        /// The setting.
        name: String,
        /// Where it was found.
        place: String,
        /// Why.
        because: String,
    },
    /// A secret that is given by value and by file in one place.
    #[error("{first} and {second} are both set; keep one of them")]
    Both {
        /// The value.
        first: String,
        /// The path.
        second: String,
    },
    /// A file that cannot be read.
    #[error("cannot read file {} ({named_by})", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Where the path was found.
        named_by: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that is no TOML.
    #[error("file {} is not valid TOML", path.display())]
    Syntax {
        /// Its path.
        path: PathBuf,
        /// Line, column and what is wrong.
        source: toml::de::Error,
    },
    /// The program asks for a setting that it does not declare, which is a fault of the program.
    #[error("setting {0} is not declared by this program")]
    Undeclared(String),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
}
