//! `Prefer` (RFC 7240): what a caller would like, which a server may pass over.

use http::{HeaderMap, HeaderName};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Says which preference was followed (RFC 7240 §3).
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// §4.1: the answer is not worth waiting for.
pub(super) const RESPOND_ASYNC: &str = "respond-async";

/// Whether a caller prefers something. Parameters of a preference say nothing that we know.
pub(super) fn prefers(headers: &HeaderMap, wanted: &str) -> bool {
    let fields = headers.get_all(PREFER).into_iter();
    let mut preferences = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    preferences.any(|preference| {
        let name = preference.split([';', '=']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_found_among_others() {
        for (fields, found) in [
            (&["respond-async"][..], true),
            (&["wait=10, Respond-Async; foo"], true),
            (&["handling=lenient", "respond-async"], true),
            (&["respond-async-not"], false),
            (&["wait=respond-async"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(PREFER, field.parse().unwrap());
            }
            assert_eq!(prefers(&headers, RESPOND_ASYNC), found, "{fields:?}");
        }
    }
}
