//! How an endpoint is chosen.
//!
//! On the wire a word, `"least_request"`, or an object when there is more to say:
//! `{"kind": "consistent_hash", "by": {"header": "x-user"}}`, `{"kind": "round_robin", "sticky": {"cookie": "hold-at"}}`.

mod affinity;

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer, value::StrDeserializer},
};

use super::range::lasting;
use crate::{Invalid, Span};

pub use affinity::{CookieName, FieldName, HashBy, Sticky};

/// How an endpoint is chosen among the healthy ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// How requests are shared.
    pub kind: BalanceKind,
    /// Whether a client stays where its first request went. Not together with [`BalanceKind::ConsistentHash`].
    pub sticky: Option<Sticky>,
    /// How long an endpoint that enters the rotation takes to get its full share, growing from a tenth of it; 1s to 1h. Not
    /// together with [`BalanceKind::ConsistentHash`].
    pub slow_start: Option<Span>,
}

/// How requests are shared, always by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BalanceKind {
    /// The better of two random choices by requests in flight and latency (Mitzenmacher, "The power of two choices", 2001).
    #[default]
    LeastRequest,
    /// In turn, by weight, spread evenly.
    RoundRobin,
    /// By chance.
    Random,
    /// Equal keys go to one endpoint, and a change of the endpoints moves as few keys as possible. A request without the key is
    /// sent to a random endpoint.
    ConsistentHash(HashBy),
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    #[default]
    LeastRequest,
    RoundRobin,
    Random,
    ConsistentHash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBalance {
    #[serde(default)]
    kind: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<HashBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sticky: Option<Sticky>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slow_start: Option<Span>,
}

struct WordOrObject;

const SLOW_START: (Span, Span) = (Span::from_millis(1_000), Span::from_millis(3_600_000));

// === impl Balance ===

impl Balance {
    /// The word used on the wire.
    pub fn as_str(&self) -> &'static str {
        match self.kind {
            BalanceKind::LeastRequest => "least_request",
            BalanceKind::RoundRobin => "round_robin",
            BalanceKind::Random => "random",
            BalanceKind::ConsistentHash(_) => "consistent_hash",
        }
    }
}

impl From<BalanceKind> for Balance {
    fn from(kind: BalanceKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }
}

impl TryFrom<RawBalance> for Balance {
    type Error = Invalid;

    fn try_from(raw: RawBalance) -> Result<Self, Invalid> {
        let kind = match (raw.kind, raw.by) {
            (Word::ConsistentHash, Some(by)) => BalanceKind::ConsistentHash(by),
            (Word::ConsistentHash, None) => {
                return Err(Invalid::new(
                    "balance.by",
                    "must be given with consistent_hash: {\"header\": name}, {\"cookie\": name} or \"client_address\"",
                ));
            }
            (_, Some(_)) => {
                return Err(Invalid::new(
                    "balance.by",
                    "has no effect without \"kind\": \"consistent_hash\"",
                ));
            }
            (Word::LeastRequest, None) => BalanceKind::LeastRequest,
            (Word::RoundRobin, None) => BalanceKind::RoundRobin,
            (Word::Random, None) => BalanceKind::Random,
        };
        if raw.sticky.is_some() && matches!(kind, BalanceKind::ConsistentHash(_)) {
            return Err(Invalid::new(
                "balance.sticky",
                "must not be given with consistent_hash, which keeps a client on its endpoint already",
            ));
        }
        if raw.slow_start.is_some() && matches!(kind, BalanceKind::ConsistentHash(_)) {
            return Err(Invalid::new(
                "balance.slow_start",
                "must not be given with consistent_hash: keys would move back and forth",
            ));
        }
        let slow_start = raw
            .slow_start
            .map(|span| lasting("balance.slow_start", Some(span), span, SLOW_START))
            .transpose()?;
        Ok(Self {
            kind,
            sticky: raw.sticky,
            slow_start,
        })
    }
}

impl From<&Balance> for RawBalance {
    fn from(balance: &Balance) -> Self {
        let (kind, by) = match &balance.kind {
            BalanceKind::LeastRequest => (Word::LeastRequest, None),
            BalanceKind::RoundRobin => (Word::RoundRobin, None),
            BalanceKind::Random => (Word::Random, None),
            BalanceKind::ConsistentHash(by) => (Word::ConsistentHash, Some(by.clone())),
        };
        Self {
            kind,
            by,
            sticky: balance.sticky.clone(),
            slow_start: balance.slow_start,
        }
    }
}

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawBalance::from(self);
        match raw {
            RawBalance {
                kind,
                by: None,
                sticky: None,
                slow_start: None,
            } => kind.serialize(serializer),
            raw => raw.serialize(serializer),
        }
    }
}

// By hand, because serde's untagged enums do not say what is wrong.
impl<'de> Deserialize<'de> for Balance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = deserializer.deserialize_any(WordOrObject)?;
        raw.try_into().map_err(serde::de::Error::custom)
    }
}

impl<'de> Visitor<'de> for WordOrObject {
    type Value = RawBalance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word such as \"least_request\" or an object with kind")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<RawBalance, E> {
        Ok(RawBalance {
            kind: Word::deserialize(StrDeserializer::new(word))?,
            by: None,
            sticky: None,
            slow_start: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawBalance, A::Error> {
        RawBalance::deserialize(MapAccessDeserializer::new(map))
    }
}
