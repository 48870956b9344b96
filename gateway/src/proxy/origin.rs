//! Who sends a request, and by what: the client itself, or one that trusted proxies tell of.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::Network;

/// Entries of `X-Forwarded-For` looked at, from the end; a chain of proxies is never longer.
const HOPS_MAX: usize = 32;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who is at the other end of the connection.
    pub peer: Option<SocketAddr>,
    /// The client: the peer, or who a chain of trusted proxies begins with.
    pub client: Option<IpAddr>,
    /// Whether what the peer says about earlier hops is believed.
    pub is_trusted: bool,
    /// Whether the request came by TLS to the gateway, or, as a trusted peer says, to the first proxy.
    pub is_secure: bool,
}

// === impl Origin ===

impl Origin {
    /// Reads the fields that trusted proxies set.
    pub(super) fn read(
        peer: Option<SocketAddr>,
        by_tls: bool,
        headers: &HeaderMap,
        trusted: &[Network],
    ) -> Self {
        let address = peer.map(|peer| peer.ip().to_canonical());
        let trusts = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let is_trusted = address.is_some_and(trusts);
        let told = is_trusted
            .then(|| first_untrusted(headers, trusts))
            .flatten();
        let proto = is_trusted
            .then(|| headers.get("x-forwarded-proto"))
            .flatten();
        Self {
            peer,
            client: told.or(address),
            is_trusted,
            is_secure: proto.map_or(by_tls, |proto| {
                proto.as_bytes().eq_ignore_ascii_case(b"https")
            }),
        }
    }

    /// The scheme that the client used.
    pub(super) fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }
}

/// The last entry of `X-Forwarded-For` that is not a trusted proxy's: each proxy appends who connected to it, so what stands before an
/// entry that is not trusted may be made up. The first entry when all are trusted; what cannot be read ends the search.
fn first_untrusted(headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    let mut last = None;
    for entry in entries.take(HOPS_MAX) {
        let Some(address) = address(entry.trim_ascii()) else {
            return last;
        };
        last = Some(address);
        if !trusts(address) {
            break;
        }
    }
    last
}

/// An address, with a port or without.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let address = text
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, chain: &[&str]) -> String {
        let trusted: Vec<Network> = ["10.0.0.0/8", "::1"]
            .map(|text| text.parse().unwrap())
            .into();
        let mut headers = HeaderMap::new();
        for value in chain {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let origin = Origin::read(Some(peer), false, &headers, &trusted);
        origin.client.unwrap().to_string()
    }

    #[test]
    fn the_client_is_the_first_untrusted_one_from_the_right() {
        assert_eq!(client("1.1.1.1", &["2.2.2.2"]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["2.2.2.2"]), "2.2.2.2");
        assert_eq!(client("::ffff:10.0.0.1", &["2.2.2.2"]), "2.2.2.2");
        assert_eq!(
            client("10.0.0.1", &["9.9.9.9, 2.2.2.2, 10.0.0.2"]),
            "2.2.2.2"
        );
        assert_eq!(
            client("10.0.0.1", &["9.9.9.9", "2.2.2.2,10.0.0.2", "10.0.0.3"]),
            "2.2.2.2"
        );
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["2.2.2.2:80"]), "2.2.2.2");
        assert_eq!(client("::1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client("::1", &["[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn what_cannot_be_read_is_not_believed() {
        assert_eq!(client("10.0.0.1", &["2.2.2.2, nonsense"]), "10.0.0.1");
        assert_eq!(
            client("10.0.0.1", &["2.2.2.2, nonsense, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(client("10.0.0.1", &[""]), "10.0.0.1");
    }
}
