//! Why an attempt at the catalog failed, sorted by what can be done about it.

use std::fmt;

use http::StatusCode;

use crate::CatalogUrl;

/// Why the catalog did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer. Passes by itself.
    #[error("catalog {catalog} does not answer ({reason})")]
    Unreachable {
        /// Which replica.
        catalog: String,
        /// What happened instead.
        reason: String,
    },
    /// 401 or 403. Passes only when somebody corrects the token.
    #[error(
        "catalog {catalog} refuses the token with {status}; set CATALOG_TOKEN (or CATALOG_TOKEN_FILE) to the token of the catalog"
    )]
    TokenRefused {
        /// Which replica.
        catalog: String,
        /// 401 without a token, 403 with a wrong one.
        status: StatusCode,
    },
    /// Another 4xx: the catalog understood and does not want it. Passes only when the service or the catalog changes.
    #[error("catalog {catalog} refuses the registration with {status}: {detail}")]
    Refused {
        /// Which replica.
        catalog: String,
        /// What it answered.
        status: StatusCode,
        /// Its own explanation.
        detail: String,
    },
    /// 5xx and the like. Passes by itself.
    #[error("catalog {catalog} answers {status}: {detail}")]
    Unavailable {
        /// Which replica.
        catalog: String,
        /// What it answered.
        status: StatusCode,
        /// Its own explanation.
        detail: String,
    },
}

// === impl Failure ===

impl Failure {
    pub(crate) fn unreachable(catalog: &CatalogUrl, reason: impl fmt::Display) -> Self {
        Self::Unreachable {
            catalog: catalog.to_string(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn answered(catalog: &CatalogUrl, status: StatusCode, detail: String) -> Self {
        let catalog = catalog.to_string();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Self::TokenRefused { catalog, status }
            }
            // These two of the 4xx speak of the moment, not of the request.
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Self::Unavailable {
                catalog,
                status,
                detail,
            },
            _ if status.is_client_error() => Self::Refused {
                catalog,
                status,
                detail,
            },
            _ => Self::Unavailable {
                catalog,
                status,
                detail,
            },
        }
    }

    /// Whether a person has to act before it can pass.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::TokenRefused { .. } | Self::Refused { .. })
    }
}
