//! How much a request asks of the gateway besides the answer: one that asks for nothing can take the short way (`proxy/relay.rs`).

/// Whether a request has only what most requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// HTTP/1.1, a path as its target, and no field about the connection but `keep-alive` or `close`.
    Plain {
        /// Whether the client says that this is its last request.
        closes: bool,
    },
    /// Anything else.
    Special,
}

/// Fields that are for the next hop only (RFC 9110 §7.6.1), or ask it for something. Those that are looked at anyway are not here.
pub(crate) fn is_of_the_hop(name: &[u8]) -> bool {
    let known: &[&[u8]] = match name.len() {
        2 => &[b"te"],
        6 => &[b"expect"],
        7 => &[b"trailer"],
        10 => &[b"keep-alive"],
        14 => &[b"http2-settings"],
        16 => &[b"proxy-connection"],
        18 => &[b"proxy-authenticate"],
        19 => &[b"proxy-authorization"],
        _ => return false,
    };
    known.iter().any(|known| name.eq_ignore_ascii_case(known))
}
