//! Who may reach a service through the catalog.

use serde::{Deserialize, Serialize};

/// Who may use `/services/call/{id}/…`. Says nothing about the gateway's routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallAccess {
    /// Everyone who reaches the catalog.
    #[default]
    Open,
    /// Whoever sends the catalog's token.
    Token,
    /// Nobody.
    Off,
}

// === impl CallAccess ===

impl CallAccess {
    /// Whether it is the default.
    pub(super) fn is_open(&self) -> bool {
        *self == Self::Open
    }
}
