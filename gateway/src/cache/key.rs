//! Identity of what is kept.
//!
//! An object is its URL and everything else that the answer may depend on and that `Vary` does not name: scheme, service, the target the
//! service was asked for, whether the client had credentials. Leaving one out lets a client plant an answer for others
//! (RUSTSEC-2026-0035 is about the host).

use std::hash::Hasher;

use http::HeaderMap;
use pingora_cache::key::{CacheHashKey, HashBinary};
use siphasher::sip::SipHasher24;

use super::{
    object::StoredUrl,
    shard::{EntryId, UrlId},
};

/// What a trusted proxy tells of the URL, besides the scheme.
const CLAIMED: [&str; 3] = ["x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"];

/// Secret of the hashes (SipHash-2-4), new in every process: nobody can look for two URLs with one hash.
#[derive(Clone, Debug)]
pub(super) struct Keys([u8; 16]);

/// What makes an answer this answer.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    /// Service, host, path and query.
    pub(crate) url: &'a StoredUrl,
    /// Whether the client used TLS.
    pub(crate) secure: bool,
    /// Fields of a trusted proxy in front, whose claims about the URL reach the service.
    pub(crate) claims: Option<&'a HeaderMap>,
    /// Whether the client sent credentials. What may be kept of such an answer (RFC 9111 §3.5) is for clients with credentials only.
    pub(crate) authorized: bool,
    /// What the service is asked for, when that is not path and query of the URL.
    pub(crate) upstream_target: Option<&'a str>,
}

/// A variant of an identity, for Pingora's way of making one hash of both.
struct Variant {
    primary: HashBinary,
    variance: HashBinary,
}

// === impl Keys ===

impl Keys {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// Hash of a URL. The scheme is not part of it, so that a purge need not name it.
    pub(super) fn url(&self, authority: &str, path_and_query: &str) -> UrlId {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        write(&mut hasher, authority.as_bytes());
        write(&mut hasher, path_and_query.as_bytes());
        hasher.finish()
    }

    /// Hash of an identity: the one of its URL, then one of everything.
    pub(super) fn entry(&self, identity: &Identity<'_>) -> HashBinary {
        let StoredUrl {
            service,
            authority,
            path_and_query,
        } = identity.url;
        let mut hasher = SipHasher24::new_with_key(&self.0);
        write(&mut hasher, &service.0.to_be_bytes());
        write(
            &mut hasher,
            &[identity.secure.into(), identity.authorized.into()],
        );
        write(&mut hasher, authority.as_bytes());
        write(&mut hasher, path_and_query.as_bytes());
        match identity.upstream_target {
            Some(target) => write(&mut hasher, target.as_bytes()),
            None => hasher.write_u8(0),
        }
        for name in CLAIMED {
            let values = identity.claims.map(|claims| claims.get_all(name));
            for value in values.into_iter().flatten() {
                write(&mut hasher, value.as_bytes());
            }
            hasher.write_u8(0);
        }
        let mut key = HashBinary::default();
        let (url, rest) = key.split_at_mut(8);
        url.copy_from_slice(&self.url(authority, path_and_query).to_be_bytes());
        rest.copy_from_slice(&hasher.finish().to_be_bytes());
        key
    }
}

/// Hash of the URL within that of an identity.
pub(super) fn url_of(entry: &HashBinary) -> UrlId {
    let mut url = [0; 8];
    url.copy_from_slice(&entry[..8]);
    UrlId::from_be_bytes(url)
}

/// The variant of an identity, under the name that Pingora gives it.
pub(super) fn variant_of(primary: HashBinary, variance: HashBinary) -> EntryId {
    EntryId::from_be_bytes(Variant { primary, variance }.combined_bin())
}

impl CacheHashKey for Variant {
    fn primary_bin(&self) -> HashBinary {
        self.primary
    }

    fn variance_bin(&self) -> Option<HashBinary> {
        Some(self.variance)
    }

    fn user_tag(&self) -> &str {
        ""
    }
}

/// A part with its length, so that no two sequences of parts are the same bytes.
fn write(hasher: &mut SipHasher24, part: &[u8]) {
    hasher.write(&(part.len() as u64).to_be_bytes());
    hasher.write(part);
}

#[cfg(test)]
mod tests {
    use catalog_api::ServiceId;

    use super::*;

    #[test]
    fn every_part_counts() {
        let keys = Keys::random();
        let url = |service, authority: &str, path: &str| StoredUrl {
            service: ServiceId(service),
            authority: authority.into(),
            path_and_query: path.into(),
        };
        let base = url(1, "a.test", "/x?y");
        let others = [
            url(2, "a.test", "/x?y"),
            url(1, "a.test:81", "/x?y"),
            url(1, "a.test", "/x?z"),
            url(1, "a.tes", "t/x?y"),
        ];
        let claim = HeaderMap::from_iter([(
            "x-forwarded-host".parse().unwrap(),
            "b.test".parse().unwrap(),
        )]);
        let entry = |url, secure, authorized, upstream_target| {
            keys.entry(&Identity {
                url,
                secure,
                claims: None,
                authorized,
                upstream_target,
            })
        };
        let mut seen = vec![
            entry(&base, false, false, None),
            entry(&base, true, false, None),
            entry(&base, false, true, None),
            entry(&base, false, false, Some("/y")),
            entry(&base, false, false, Some("")),
        ];
        assert!(
            seen.iter()
                .all(|key| url_of(key) == keys.url("a.test", "/x?y"))
        );
        seen.extend(others.iter().map(|url| entry(url, false, false, None)));
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
        let claimed = keys.entry(&Identity {
            url: &base,
            secure: false,
            claims: Some(&claim),
            authorized: false,
            upstream_target: None,
        });
        assert!(!seen.contains(&claimed));
        assert_eq!(seen[0], entry(&base, false, false, None));
    }
}
