//! What an operator can name to have it removed.

use catalog_api::ServiceId;

use super::{object::Object, shard::UrlId};

/// Objects, by what they have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    /// Every variant of a URL.
    Url {
        /// Hash of host, path and query.
        id: UrlId,
    },
    /// URLs of a host that begin so.
    Prefix {
        /// As in `StoredUrl`.
        authority: String,
        /// As in `StoredUrl`.
        path: String,
    },
    /// What a service tagged.
    Tag(String),
    /// Answers of a service.
    Service(ServiceId),
    /// Everything.
    All,
}

// === impl Selector ===

impl Selector {
    pub(super) fn takes(&self, object: &Object) -> bool {
        match self {
            // Looked up, never compared.
            Self::Url { .. } => false,
            Self::Prefix { authority, path } => {
                *object.url.authority == **authority
                    && object.url.path_and_query.starts_with(&**path)
            }
            Self::Tag(tag) => object.has_tag(tag),
            Self::Service(service) => object.url.service == *service,
            Self::All => true,
        }
    }
}
