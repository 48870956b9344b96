//! What must hold of answers, whatever they are.

use std::net::IpAddr;

use super::message::{ADDRESSES_MAX, Kind, answer, question};

/// Answers to a question, whose records are arbitrary bytes after a byte with their number: none has other addresses than were asked
/// for, or more than may be, and there is a TTL when there are addresses. As a whole message they do no harm either.
pub fn dns_answers(data: &[u8]) {
    for kind in [Kind::A, Kind::Aaaa] {
        let Some(question) = question(7, "hold.example", kind) else {
            return;
        };
        let (count, records) = data.split_first().unwrap_or((&0, &[]));
        let mut message = question.clone();
        message[2] |= 0x80;
        message[7] = *count;
        message.extend(records);
        if let Ok(found) = answer(&message, &question, kind) {
            assert!(found.exists && found.addresses.len() <= ADDRESSES_MAX);
            assert_eq!(found.ttl.is_some(), !found.addresses.is_empty());
            let is_v4 = kind == Kind::A;
            assert!(
                found
                    .addresses
                    .iter()
                    .map(IpAddr::is_ipv4)
                    .all(|v4| v4 == is_v4)
            );
        }
        let _ = answer(data, &question, kind);
    }
}
