//! What binds a request to an endpoint before anyone chooses: its key in a consistent hash, or the cookie of an earlier answer.

use std::{hash::Hasher, net::IpAddr, sync::Arc};

use ahash::AHashMap;
use catalog_api::{CookieName, HashBy, Sticky};
use http::{HeaderMap, HeaderValue, header};
use siphasher::sip::SipHasher13;

use super::{Alias, Endpoint};

/// What is known about who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Fields of the request.
    pub headers: &'a HeaderMap,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// The ties of one request, the same for all of its attempts.
#[derive(Debug, Default)]
pub struct Affinity {
    /// Key in a consistent hash; none when the request has no such key.
    pub(super) hash: Option<u64>,
    /// Where an earlier answer has put the client, if that still gets requests.
    pub(super) home: Option<Arc<Endpoint>>,
}

/// The sticky sessions of a pool: who stands behind which cookie.
#[derive(Debug)]
pub(super) struct Homes {
    cookie: CookieName,
    /// With the field that sets the cookie, ready to be sent.
    homes: AHashMap<Alias, (Arc<Endpoint>, HeaderValue)>,
}

// === impl Affinity ===

impl Affinity {
    /// The key of a client in a consistent hash. Independent of process and gateway, so that all gateways agree.
    pub(super) fn hash(by: &HashBy, client: &Client<'_>) -> Option<u64> {
        match by {
            HashBy::Header(name) => client
                .headers
                .get(name.get())
                .map(HeaderValue::as_bytes)
                .filter(|value| !value.is_empty())
                .map(stable_hash),
            HashBy::Cookie(name) => cookie(client.headers, name.as_str())
                .filter(|value| !value.is_empty())
                .map(stable_hash),
            // An IPv4 client on an IPv6 socket is the same client.
            HashBy::ClientAddress => client.address.map(|address| match address.to_canonical() {
                IpAddr::V4(ip) => stable_hash(&ip.octets()),
                IpAddr::V6(ip) => stable_hash(&ip.octets()),
            }),
        }
    }
}

/// SipHash-1-3 under a key that everyone knows. Whoever may choose the key of a request may choose its endpoint, as with any
/// consistent hash.
pub(super) fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

// === impl Homes ===

impl Homes {
    pub(super) fn new<'a>(
        sticky: &Sticky,
        endpoints: impl Iterator<Item = &'a Arc<Endpoint>>,
    ) -> Self {
        let cookie = sticky.cookie.clone();
        let homes = endpoints
            .filter_map(|endpoint| {
                let alias = endpoint.alias();
                // Neither for scripts nor for other sites; without Max-Age it ends with the browser's session.
                let field = format!("{cookie}={alias}; Path=/; HttpOnly; SameSite=Lax");
                // A token and hexadecimal digits are always a valid value.
                let field = HeaderValue::try_from(field).ok()?;
                Some((alias, (Arc::clone(endpoint), field)))
            })
            .collect();
        Self { cookie, homes }
    }

    pub(super) fn home(&self, client: &Client<'_>) -> Option<Arc<Endpoint>> {
        let alias = Alias::parse(cookie(client.headers, self.cookie.as_str())?)?;
        let (endpoint, _) = self.homes.get(&alias)?;
        Some(Arc::clone(endpoint))
    }

    pub(super) fn set_cookie(&self, endpoint: &Endpoint) -> Option<&HeaderValue> {
        self.homes.get(&endpoint.alias()).map(|(_, field)| field)
    }
}

/// The first cookie of this name (RFC 6265 §5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .find_map(|pair| {
            pair.trim_ascii()
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(by: &str, fields: &[(&'static str, &str)], address: &str) -> Option<u64> {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let client = Client {
            headers: &headers,
            address: address.parse().ok(),
        };
        Affinity::hash(&serde_json::from_str(by).unwrap(), &client)
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let by = r#"{"cookie": "id"}"#;
        let alone = hash(by, &[("cookie", "id=7")], "");
        assert!(alone.is_some());
        assert_eq!(hash(by, &[("cookie", "xid=1; id=7;id=8")], ""), alone);
        assert_eq!(
            hash(by, &[("cookie", "a=b"), ("cookie", "id=7")], ""),
            alone
        );
        assert_ne!(hash(by, &[("cookie", "id=8")], ""), alone);
        for absent in ["id", "ids=7", "id=", "a=id=7"] {
            assert_eq!(hash(by, &[("cookie", absent)], ""), None, "{absent}");
        }
    }

    #[test]
    fn an_address_is_the_same_on_both_kinds_of_socket() {
        let by = r#""client_address""#;
        assert!(hash(by, &[], "10.1.2.3").is_some());
        assert_eq!(hash(by, &[], "10.1.2.3"), hash(by, &[], "::ffff:10.1.2.3"));
        assert_ne!(hash(by, &[], "10.1.2.3"), hash(by, &[], "10.1.2.4"));
    }

    #[test]
    fn an_empty_header_is_no_key() {
        let by = r#"{"header": "X-User"}"#;
        assert!(hash(by, &[("x-user", "ann")], "").is_some());
        assert_eq!(hash(by, &[("x-user", "")], ""), None);
        assert_eq!(hash(by, &[], ""), None);
    }
}
