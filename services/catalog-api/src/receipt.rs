//! Receipts: how a reader of the watch stream tells the catalog what it has taken in.
//!
//! ```text
//! reader ── GET /services/watch, x-catalog-receiver ─▶ catalog
//!        ◀── 200, x-catalog-stream ──
//!        ── POST /services/watch/receipts {"stream", "revision", "refused", "draining"} ─▶
//! ```
//!
//! Both sides announce themselves by header fields, which those of an older release pass over: a reader that gets no
//! [`STREAM_HEADER`] sends no receipts, and a stream that was asked for without [`RECEIVER_HEADER`] is nobody to wait for. A parameter in
//! the query would not do, because the catalog refuses the ones that it does not know.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DrainCounts, Invalid, Revision, ServiceId, invalid::excerpt};

/// Field of a watch request whose reader will send receipts: the [`Receiver`].
pub const RECEIVER_HEADER: &str = "x-catalog-receiver";

/// Field of a stream whose reader is expected to send receipts: the [`OpaqueId`] that they name. Nobody else knows it, so nobody else
/// can send receipts for this stream, and its reader needs no token.
pub const STREAM_HEADER: &str = "x-catalog-stream";

/// Where receipts are sent.
pub const RECEIPTS_PATH: &str = "/services/watch/receipts";

/// Most services that one receipt can say were refused. A reader that refuses more does not need a longer list.
pub const REFUSED_MAX: usize = 64;

/// Longest name of a receiver, in bytes.
pub const RECEIVER_NAME_BYTES_MAX: usize = 128;

/// 128 random bits, written as 32 hexadecimal digits. Not to be guessed, so to be treated like a password.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OpaqueId(u128);

/// A reader that sends receipts. Written as `name/id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// For people.
    pub name: ReceiverName,
    /// Lives as long as the reader's process. Of several streams with one id only the one that was heard of last counts, so that a
    /// stream which was lost without a word is not waited for.
    pub id: OpaqueId,
}

/// What people call a reader that sends receipts, such as `gateway-1-80`. Need not be unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReceiverName(String);

/// Everything up to a revision is in effect at the reader of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The stream.
    pub stream: OpaqueId,
    /// The newest revision that is in effect.
    pub revision: Revision,
    /// Services whose state the reader refused: what was in effect before still is. At most [`REFUSED_MAX`].
    #[serde(default)]
    pub refused: Refused,
    /// Requests that are with draining instances. Left out when there are none, which goes for instances that are not in the list, too:
    /// nothing is known about them.
    #[serde(default, skip_serializing_if = "DrainCounts::is_empty")]
    pub draining: DrainCounts,
}

/// See [`Receipt::refused`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ServiceId>", into = "Vec<ServiceId>")]
pub struct Refused(Vec<ServiceId>);

// === impl OpaqueId ===

impl OpaqueId {
    /// `bits` must be random.
    pub fn new(bits: u128) -> Self {
        Self(bits)
    }
}

impl FromStr for OpaqueId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let well_formed = text.len() == 32 && text.bytes().all(digit);
        let number = u128::from_str_radix(text, 16).ok().filter(|_| well_formed);
        // Not repeated: whoever misspells it still has a secret.
        number
            .map(Self)
            .ok_or_else(|| Invalid::new("opaque id", "must be 32 hexadecimal digits in lower case"))
    }
}

impl TryFrom<String> for OpaqueId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<OpaqueId> for String {
    fn from(id: OpaqueId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for OpaqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for OpaqueId {
    /// Without the digits, so that they do not get into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueId(…)")
    }
}

// === impl ReceiverName ===

impl ReceiverName {
    /// A name for a reader on a host that listens on a port. What a name may not hold is left out of the host's.
    pub fn of_host(host: &str, port: u16) -> Self {
        let kept: String = host
            .chars()
            .filter(|char| char.is_ascii() && allowed(*char as u8))
            .take(RECEIVER_NAME_BYTES_MAX - "-65535".len())
            .collect();
        let host = if kept.is_empty() { "localhost" } else { &kept };
        Self(format!("{host}-{port}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)
}

impl FromStr for ReceiverName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > RECEIVER_NAME_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(Invalid::new(
                "receiver name",
                format_args!(
                    "must have 1 to {RECEIVER_NAME_BYTES_MAX} characters of A-Z a-z 0-9 . _ : -, not {}",
                    excerpt(text)
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ReceiverName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ReceiverName> for String {
    fn from(name: ReceiverName) -> Self {
        name.0
    }
}

impl fmt::Display for ReceiverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Receiver ===

impl FromStr for Receiver {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = text.split_once('/');
        let (name, id) = parts.ok_or_else(|| {
            Invalid::new("receiver", "must be a name and an opaque id with / between")
        })?;
        Ok(Self {
            name: name.parse()?,
            id: id.parse()?,
        })
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.id)
    }
}

// === impl Refused ===

impl Refused {
    /// The first [`REFUSED_MAX`] of some.
    pub fn first_of(services: impl IntoIterator<Item = ServiceId>) -> Self {
        Self(services.into_iter().take(REFUSED_MAX).collect())
    }

    /// Whether a service is among them.
    pub fn contains(&self, service: ServiceId) -> bool {
        self.0.contains(&service)
    }

    /// All of them.
    pub fn as_slice(&self) -> &[ServiceId] {
        &self.0
    }
}

impl TryFrom<Vec<ServiceId>> for Refused {
    type Error = Invalid;

    fn try_from(services: Vec<ServiceId>) -> Result<Self, Invalid> {
        if services.len() > REFUSED_MAX {
            return Err(Invalid::new(
                "list of refused services",
                format_args!(
                    "must have at most {REFUSED_MAX} entries, not {}",
                    services.len()
                ),
            ));
        }
        Ok(Self(services))
    }
}

impl From<Refused> for Vec<ServiceId> {
    fn from(refused: Refused) -> Self {
        refused.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_is_written() {
        let receipt = Receipt {
            stream: OpaqueId::new(0xabc),
            revision: Revision(7),
            refused: Refused::first_of([ServiceId(3)]),
            draining: DrainCounts::default(),
        };
        let json = serde_json::to_string(&receipt).unwrap();
        assert_eq!(
            json,
            r#"{"stream":"00000000000000000000000000000abc","revision":7,"refused":[3]}"#
        );
        assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
        assert!(!format!("{receipt:?}").contains("abc"), "{receipt:?}");
        let counting = json.replace(
            '}',
            r#","draining":[{"service":3,"instance":"a","in_flight":2,"finished":1}]}"#,
        );
        let receipt: Receipt = serde_json::from_str(&counting).unwrap();
        assert_eq!(receipt.draining.as_slice()[0].in_flight, 2);
        assert_eq!(serde_json::to_string(&receipt).unwrap(), counting);
    }

    #[test]
    fn what_is_no_id_no_name_and_too_much_is_refused() {
        for text in ["", "abc", &"A".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            let error = text.parse::<OpaqueId>().unwrap_err().to_string();
            assert!(error.contains("32 hexadecimal digits"), "{error}");
        }
        for text in ["", "a b", "ü", &"n".repeat(RECEIVER_NAME_BYTES_MAX + 1)] {
            assert!(text.parse::<ReceiverName>().is_err(), "{text}");
        }
        let many: Vec<ServiceId> = (0..=REFUSED_MAX as u64).map(ServiceId).collect();
        assert!(Refused::try_from(many.clone()).is_err());
        assert_eq!(Refused::first_of(many).as_slice().len(), REFUSED_MAX);
    }

    #[test]
    fn any_host_has_a_name() {
        let long = "h".repeat(300);
        for (host, port, name) in [
            ("gw-1\n", 80, "gw-1-80"),
            ("", 80, "localhost-80"),
            ("a b/ü", 65535, "ab-65535"),
        ] {
            assert_eq!(ReceiverName::of_host(host, port).as_str(), name);
        }
        let name = ReceiverName::of_host(&long, 65535);
        let id = OpaqueId::new(u128::MAX);
        let receiver = Receiver { name, id };
        assert_eq!(receiver.to_string().parse(), Ok(receiver));
        for text in ["", "gw", "gw/", "gw/1", "/0123456789abcdef0123456789abcdef"] {
            assert!(text.parse::<Receiver>().is_err(), "{text}");
        }
    }
}
