//! Who put something into the catalog, when it was not registered by anybody.

use serde::{Deserialize, Serialize};

/// What discovery found something by. What discovery put into the catalog is looked after by the same source, and by no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Addresses of a host name.
    Dns,
    /// A file.
    File,
}

// === impl Source ===

impl Source {
    /// Every source.
    pub const ALL: [Self; 2] = [Self::Dns, Self::File];

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::File => "file",
        }
    }
}
