//! Names of endpoints that tell a client nothing: neither the address nor how to reach another one.

use std::{fmt, hash::Hasher, io, net::IpAddr, path::Path};

use service_kit::durable;
use siphasher::sip::SipHasher24;

use super::EndpointKey;

/// Name of the file in `DATA_DIR` that holds the key. Gateways that stand for one another need the same file, else a client that
/// comes to another gateway is given another endpoint once.
const FILE_NAME: &str = "gateway-sticky-key";
/// Only the owner reads it: with the key, a client could choose its endpoint.
const FILE_MODE: u32 = 0o600;

/// Secret from which aliases are made (SipHash-2-4, a keyed pseudo-random function).
#[derive(Clone)]
pub struct AliasKey([u8; 16]);

/// What stands for an endpoint in a client's cookie. Depends on service and address only, so it survives every change of the
/// configuration and a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alias(u64);

// === impl AliasKey ===

impl AliasKey {
    /// A key that nobody else has.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The key of a data folder, which is made when there is none.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE_NAME);
        match std::fs::read(&path) {
            Ok(bytes) => match bytes.try_into() {
                Ok(key) => return Ok(Self(key)),
                Err(_) => {
                    tracing::warn!(file = %path.display(), "no key of 16 bytes, replaced: sticky clients are given an endpoint anew");
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let key = Self::random();
        durable::write_atomically(&path, &key.0, FILE_MODE)?;
        Ok(key)
    }

    /// The alias of an endpoint.
    pub fn alias(&self, endpoint: &EndpointKey) -> Alias {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(endpoint.service.as_str().as_bytes());
        // No name contains it, so no two pairs run together.
        hasher.write_u8(0);
        match endpoint.address.ip() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write(&endpoint.address.port().to_be_bytes());
        Alias(hasher.finish())
    }
}

impl fmt::Debug for AliasKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AliasKey")
    }
}

// === impl Alias ===

impl Alias {
    /// Reads what [`fmt::Display`] wrote; none when it is anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let written = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok()?;
        written.then_some(Self(number))
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use catalog_api::Probe;

    use super::*;

    fn key(service: &str, address: &str, probe: &Probe) -> EndpointKey {
        EndpointKey::new(service.parse().unwrap(), address.parse().unwrap(), probe)
    }

    #[test]
    fn an_alias_is_of_service_and_address_under_the_key_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let secret = AliasKey::in_folder(folder.path()).unwrap();
        let alias = secret.alias(&key("a", "127.0.0.1:1", &Probe::Tcp));
        let again = AliasKey::in_folder(folder.path()).unwrap();
        let http = Probe::Http { path: "/x".into() };
        assert_eq!(again.alias(&key("a", "127.0.0.1:1", &http)), alias);
        for other in [
            key("b", "127.0.0.1:1", &http),
            key("a", "127.0.0.1:2", &http),
        ] {
            assert_ne!(again.alias(&other), alias);
        }
        let stranger = AliasKey::random();
        assert_ne!(stranger.alias(&key("a", "127.0.0.1:1", &http)), alias);
        assert_eq!(Alias::parse(alias.to_string().as_bytes()), Some(alias));
        for text in ["", "1", "+123456789abcdef", "0123456789abcdef0"] {
            assert_eq!(Alias::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_damaged_key_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), b"short").unwrap();
        let first = AliasKey::in_folder(folder.path()).unwrap();
        let second = AliasKey::in_folder(folder.path()).unwrap();
        assert_eq!(first.0, second.0);
    }
}
