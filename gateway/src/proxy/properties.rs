//! What must hold of the reader of forwarded fields, whatever they are.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};

use super::{Network, Origin};

pub use super::relay::properties::answers;

/// Who is not trusted is believed nothing, and who is, only addresses that it names.
pub fn forwarded(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", value.clone());
    headers.insert("x-forwarded-proto", value);
    let peer = IpAddr::from([10, 0, 0, 1]);
    let read = |trusted: &[Network]| {
        Origin::read(Some(SocketAddr::new(peer, 1)), false, &headers, trusted)
    };
    let stranger = read(&[]);
    assert_eq!(stranger.client, Some(peer));
    assert!(!stranger.is_trusted && !stranger.is_secure);
    let Ok(network) = "10.0.0.0/8".parse::<Network>() else {
        unreachable!("it is a network");
    };
    let proxied = read(&[network]);
    assert!(proxied.is_trusted);
    let text = String::from_utf8_lossy(data);
    let client = proxied.client.unwrap_or(peer);
    let is_named = text.split(',').any(|entry| {
        let digits = |c: char| c == '[' || c == ']' || c.is_ascii_whitespace();
        let entry = entry.trim_matches(digits);
        let address = entry.parse::<IpAddr>().ok();
        let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
        let bracketed = || {
            format!("[{entry}")
                .parse::<SocketAddr>()
                .ok()
                .map(|a| a.ip())
        };
        let named = address.or_else(with_port).or_else(bracketed);
        named.map(|named| named.to_canonical()) == Some(client)
    });
    assert!(client == peer || is_named, "{client} is nowhere in {text}");
}

/// A network that was read is written as it is read again, and has its own address in it.
pub fn networks(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(network) = text.parse::<Network>() else {
        return;
    };
    assert_eq!(network.to_string().parse(), Ok(network));
    let address = text.split('/').next().unwrap_or_default();
    let address = address.parse::<IpAddr>();
    assert!(address.is_ok_and(|address| network.contains(address)));
}
