//! Entity tags of answers (RFC 9110 §8.8.3): revisions in quotes.

use catalog_api::Revision;
use http::HeaderValue;

/// A revision with its form in a header, which is written once and then shared by all answers.
#[derive(Clone, Debug)]
pub(crate) struct EntityTag {
    revision: Revision,
    value: HeaderValue,
}

// === impl EntityTag ===

impl EntityTag {
    pub(crate) fn new(revision: Revision) -> Self {
        // Digits in quotes are always a header's value.
        let value = HeaderValue::try_from(format!("\"{revision}\""));
        Self {
            revision,
            value: value.unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn value(&self) -> HeaderValue {
        self.value.clone()
    }
}
