//! Questions and answers as they go over the wire (RFC 1035 §4), as far as addresses need them.
//!
//! Nothing of a message is believed: it may come from anybody. Every index is checked, compressed names may only point backwards, so
//! that they end, and records that belong to another name are passed over.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
}

/// What a server said about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whether there is such a name.
    pub(super) exists: bool,
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Of the shortest-lived record on the way to the addresses; none when there are none.
    pub(super) ttl: Option<Duration>,
}

/// Why there is no answer in a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// It is none, or to another question. The right one may still come.
    #[error("a message that answers nothing")]
    Foreign,
    /// There is more than fits: ask over TCP.
    #[error("an answer that is cut off")]
    Truncated,
    /// The server says that it cannot say.
    #[error("{}", match .0 { 1 => "FORMERR", 2 => "SERVFAIL", 4 => "NOTIMP", 5 => "REFUSED", _ => "an error" })]
    Failed(u8),
    /// It begins as the answer, and is then no message.
    #[error("a damaged answer")]
    Damaged,
}

const CLASS_IN: u16 = 1;
const CNAME: u16 = 5;

/// Recursion desired.
const FLAGS: u16 = 0x0100;

/// Most names on the way to an address.
const ALIASES_MAX: usize = 16;

/// Most addresses of one name: more than a pool should have.
pub(super) const ADDRESSES_MAX: usize = 1_000;

/// Longest name in bytes, and longest label (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// A name in lower case, its labels with their lengths before them: the form in which names are equal.
type Name = Vec<u8>;

struct Record {
    owner: Name,
    ttl: u32,
    data: Data,
}

enum Data {
    Address(IpAddr),
    Alias(Name),
    Other,
}

/// A question; none for what is no host name.
pub(super) fn question(id: u16, host: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(NAME_BYTES_MAX);
    for field in [id, FLAGS, 1, 0, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    message.extend(encode(host)?);
    message.extend(kind.code().to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    Some(message)
}

fn encode(host: &str) -> Option<Name> {
    let mut name = Name::new();
    for label in host.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return None;
        }
        name.push(length);
        name.extend(label.to_ascii_lowercase().into_bytes());
    }
    name.push(0);
    (name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// Reads the answer to a question that [`question`] made.
pub(super) fn answer(message: &[u8], question: &[u8], kind: Kind) -> Result<Answer, NoAnswer> {
    let header = |index: usize| word(message, index * 2).ok_or(NoAnswer::Foreign);
    let flags = header(1)?;
    let (is_response, opcode) = (flags & 0x8000 != 0, flags >> 11 & 0xF);
    let is_ours = message.get(..2) == question.get(..2) && is_response && opcode == 0;
    if !is_ours {
        return Err(NoAnswer::Foreign);
    }
    // Servers that cannot read the question may leave it out of what they say about it.
    let code = (flags & 0xF) as u8;
    if !matches!(code, 0 | 3) {
        return Err(NoAnswer::Failed(code));
    }
    let asked = question.get(12..question.len().saturating_sub(4));
    let mut place = 12;
    let name = name(message, &mut place).ok_or(NoAnswer::Foreign)?;
    let is_same = header(2)? == 1
        && Some(name.as_slice()) == asked
        && word(message, place) == Some(kind.code())
        && word(message, place + 2) == Some(CLASS_IN);
    if !is_same {
        return Err(NoAnswer::Foreign);
    }
    if flags & 0x0200 != 0 {
        return Err(NoAnswer::Truncated);
    }
    place += 4;
    let count = header(3)?;
    let records = (0..count).map(|_| record(message, &mut place, kind));
    let records: Option<Vec<Record>> = records.collect();
    let records = records.ok_or(NoAnswer::Damaged)?;
    Ok(follow(name, &records, code == 0))
}

/// From the name over its aliases to the addresses.
fn follow(mut name: Name, records: &[Record], exists: bool) -> Answer {
    let mut ttl = None;
    let mut shortest = |record: &Record| {
        // A TTL with its highest bit set counts as 0 (RFC 2181 §8).
        let seconds = if record.ttl >> 31 == 0 { record.ttl } else { 0 };
        let seconds = Duration::from_secs(seconds.into());
        ttl = Some(ttl.map_or(seconds, |known: Duration| known.min(seconds)));
    };
    for _ in 0..ALIASES_MAX {
        let alias = records.iter().find_map(|record| match &record.data {
            Data::Alias(target) if record.owner == name => Some((record, target)),
            _ => None,
        });
        let Some((record, target)) = alias else {
            break;
        };
        shortest(record);
        name.clone_from(target);
    }
    let mut addresses = BTreeSet::new();
    for record in records.iter().filter(|record| record.owner == name) {
        if let Data::Address(address) = record.data
            && addresses.len() < ADDRESSES_MAX
        {
            shortest(record);
            addresses.insert(address);
        }
    }
    let ttl = ttl.filter(|_| !addresses.is_empty());
    Answer {
        exists: exists || !addresses.is_empty(),
        addresses,
        ttl,
    }
}

fn record(message: &[u8], place: &mut usize, wanted: Kind) -> Option<Record> {
    let owner = name(message, place)?;
    let (kind, class) = (word(message, *place)?, word(message, *place + 2)?);
    let ttl = message.get(*place + 4..*place + 8)?;
    let ttl = u32::from_be_bytes(ttl.try_into().ok()?);
    let length = usize::from(word(message, *place + 8)?);
    let start = *place + 10;
    let data = message.get(start..start + length)?;
    *place = start + length;
    let data = match (class, kind) {
        (CLASS_IN, CNAME) => Data::Alias(name(message, &mut start.clone())?),
        (CLASS_IN, kind) if kind == wanted.code() => Data::Address(wanted.address(data)?),
        _ => Data::Other,
    };
    Some(Record { owner, ttl, data })
}

/// The name at a place, which is then behind it.
fn name(message: &[u8], place: &mut usize) -> Option<Name> {
    let mut name = Name::new();
    let mut at = *place;
    // Where the bytes being read began; a pointer must lead to before that.
    let mut before = at;
    let mut end = None;
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                name.push(0);
                *place = end.unwrap_or(at + 1);
                return (name.len() <= NAME_BYTES_MAX).then_some(name);
            }
            1..=63 => {
                let label = message.get(at + 1..=at + usize::from(length))?;
                name.push(length);
                name.extend(label.to_ascii_lowercase());
                if name.len() > NAME_BYTES_MAX {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            0xC0.. => {
                let target = usize::from(word(message, at)? & 0x3FFF);
                end = end.or(Some(at + 2));
                if target >= before {
                    return None;
                }
                (at, before) = (target, target);
            }
            64..=0xBF => return None,
        }
    }
}

fn word(message: &[u8], place: usize) -> Option<u16> {
    let bytes = message.get(place..place + 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

// === impl Kind ===

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }

    fn address(self, data: &[u8]) -> Option<IpAddr> {
        match self {
            Self::A => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            Self::Aaaa => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `question` with these flags and records as `(owner, type, ttl, data)`; the owner as a pointer or as bytes.
    fn message(question: &[u8], flags: u16, records: &[(&[u8], u16, u32, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
        message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (owner, kind, ttl, data) in records {
            message.extend(*owner);
            message.extend(kind.to_be_bytes());
            message.extend(CLASS_IN.to_be_bytes());
            message.extend(ttl.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    const OWNER: &[u8] = &[0xC0, 12];

    fn asked() -> Vec<u8> {
        question(7, "Hold.example", Kind::A).unwrap()
    }

    fn read(message: &[u8]) -> Result<Answer, NoAnswer> {
        answer(message, &asked(), Kind::A)
    }

    #[test]
    fn addresses_come_with_the_shortest_ttl() {
        let records: &[(&[u8], u16, u32, &[u8])] = &[
            (OWNER, 1, 60, &[10, 0, 0, 1]),
            (OWNER, 1, 30, &[10, 0, 0, 2]),
            (b"\x05other\0", 1, 1, &[10, 0, 0, 3]),
            (OWNER, 16, 1, b"text"),
        ];
        let found = read(&message(&asked(), 0, records)).unwrap();
        let addresses: Vec<_> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(found.ttl, Some(Duration::from_secs(30)));
        let high: &[(&[u8], u16, u32, &[u8])] = &[(OWNER, 1, 1 << 31, &[10, 0, 0, 1])];
        let found = read(&message(&asked(), 0, high)).unwrap();
        assert_eq!(found.ttl, Some(Duration::ZERO));
    }

    #[test]
    fn aliases_are_followed_in_any_order_and_end() {
        let records: &[(&[u8], u16, u32, &[u8])] = &[
            (b"\x01b\0", 1, 60, &[10, 0, 0, 1]),
            (b"\x01A\0", 5, 5, b"\x01B\0"),
            (OWNER, 5, 90, b"\x01a\0"),
        ];
        let found = read(&message(&asked(), 0, records)).unwrap();
        assert_eq!(found.addresses.len(), 1);
        assert_eq!(found.ttl, Some(Duration::from_secs(5)));
        let circle: &[(&[u8], u16, u32, &[u8])] = &[(OWNER, 5, 9, OWNER)];
        let found = read(&message(&asked(), 0, circle)).unwrap();
        assert_eq!((found.addresses.len(), found.ttl), (0, None));
    }

    #[test]
    fn what_a_server_says_is_told_apart() {
        let none = read(&message(&asked(), 0, &[])).unwrap();
        assert!(none.exists && none.addresses.is_empty());
        assert!(!read(&message(&asked(), 3, &[])).unwrap().exists);
        for (flags, reason) in [
            (2, NoAnswer::Failed(2)),
            (5, NoAnswer::Failed(5)),
            (0x200, NoAnswer::Truncated),
        ] {
            assert_eq!(read(&message(&asked(), flags, &[])), Err(reason));
        }
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let other = |id, host, kind| message(&question(id, host, kind).unwrap(), 0, &[]);
        for foreign in [
            other(8, "hold.example", Kind::A),
            other(7, "hold.example.org", Kind::A),
            other(7, "hold.example", Kind::Aaaa),
            asked(),
            Vec::new(),
            vec![0; 11],
        ] {
            assert_eq!(read(&foreign), Err(NoAnswer::Foreign));
        }
        assert!(read(&other(7, "HOLD.example.", Kind::A)).is_ok());
    }

    #[test]
    fn only_host_names_are_asked_for() {
        let long = format!("{}.example", "a".repeat(64));
        for host in ["", ".", "a..b", &long, &"a.".repeat(130)] {
            assert!(question(1, host, Kind::A).is_none(), "{host}");
        }
    }
}
