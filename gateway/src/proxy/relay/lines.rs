//! Fields as the lines that they came in. What is changed is noted beside them, so that what is not changed is copied as it is, with
//! its case and order, and without a map.

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_error::Result;

use crate::proxy::fields::Fields;

/// Fields that the gateway adds to a message, mostly.
const ADDED: usize = 8;

/// The fields of a message.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    received: Vec<Line<'a>>,
    added: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
struct Line<'a> {
    name: &'a [u8],
    value: &'a [u8],
    is_out: bool,
}

// === impl Lines ===

impl<'a> Lines<'a> {
    /// Room for so many.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            received: Vec::with_capacity(count),
            added: Vec::with_capacity(ADDED),
        }
    }

    /// Takes a line in.
    pub(super) fn push(&mut self, name: &'a [u8], value: &'a [u8]) {
        self.received.push(Line {
            name,
            value,
            is_out: false,
        });
    }

    /// Takes all fields of a map in.
    pub(super) fn push_all(&mut self, headers: &'a HeaderMap) {
        for (name, value) in headers {
            self.push(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// Takes out every field of a name.
    pub(super) fn remove(&mut self, name: &HeaderName) {
        let name = name.as_str().as_bytes();
        self.remove_where(|other| other.eq_ignore_ascii_case(name));
    }

    /// How many fields there are at most.
    pub(super) fn count(&self) -> usize {
        self.received.len() + self.added.len()
    }

    /// Names and values, in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let received = self.received.iter().filter(|line| !line.is_out);
        let added = self.added.iter();
        received
            .map(|line| (line.name, line.value))
            .chain(added.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
    }

    /// Writes the lines, without the empty one at the end.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in self.fields() {
            write_line(out, name, value);
        }
    }

    /// Bytes that [`Lines::write`] needs at most.
    pub(super) fn length(&self) -> usize {
        const BETWEEN: usize = ": \r\n".len();
        let received = self.received.iter();
        let added = self.added.iter();
        received
            .map(|line| line.name.len() + line.value.len() + BETWEEN)
            .chain(added.map(|(name, value)| name.as_str().len() + value.len() + BETWEEN))
            .sum()
    }
}

impl Fields for Lines<'_> {
    fn values<'b>(&'b self, name: &'b HeaderName) -> impl Iterator<Item = &'b [u8]> {
        let bytes = name.as_str().as_bytes();
        let received = self
            .received
            .iter()
            .filter(move |line| !line.is_out && line.name.eq_ignore_ascii_case(bytes))
            .map(|line| line.value);
        let added = self.added.iter().filter(move |(other, _)| other == name);
        received.chain(added.map(|(_, value)| value.as_bytes()))
    }

    fn remove_where(&mut self, unwanted: impl Fn(&[u8]) -> bool) {
        for line in &mut self.received {
            line.is_out |= unwanted(line.name);
        }
        self.added
            .retain(|(name, _)| !unwanted(name.as_str().as_bytes()));
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        self.remove(&name);
        self.append(name, value)
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
        self.added.push((name, value));
        Ok(())
    }
}

/// Writes one line.
fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use pingora_http::RequestHeader;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Change {
        Set(HeaderName, HeaderValue),
        Append(HeaderName, HeaderValue),
        Remove(HeaderName),
    }

    const NAMES: [&str; 4] = ["Via", "X-Forwarded-For", "cookie", "x-a"];

    fn name() -> impl Strategy<Value = &'static str> {
        prop::sample::select(NAMES.to_vec())
    }

    fn change() -> impl Strategy<Value = Change> {
        let name = || name().prop_map(|name| name.parse::<HeaderName>().unwrap());
        let value = || "[a-z]{0,4}".prop_map(|text| text.parse::<HeaderValue>().unwrap());
        prop_oneof![
            (name(), value()).prop_map(|(name, value)| Change::Set(name, value)),
            (name(), value()).prop_map(|(name, value)| Change::Append(name, value)),
            name().prop_map(Change::Remove),
        ]
    }

    fn apply(fields: &mut impl Fields, change: &Change) {
        match change.clone() {
            Change::Set(name, value) => fields.set(name, value).unwrap(),
            Change::Append(name, value) => fields.append(name, value).unwrap(),
            Change::Remove(name) => {
                fields.remove_where(|other| other.eq_ignore_ascii_case(name.as_str().as_bytes()));
            }
        }
    }

    fn of_name(fields: &impl Fields) -> Vec<Vec<Vec<u8>>> {
        let values = |name: &HeaderName| fields.values(name).map(<[u8]>::to_vec).collect();
        NAMES.map(|name| values(&name.parse().unwrap())).into()
    }

    proptest! {
        #[test]
        fn lines_and_maps_are_the_same_fields(
            received in prop::collection::vec((name(), "[a-z]{0,4}"), 0..6),
            changes in prop::collection::vec(change(), 0..8),
        ) {
            let mut lines = Lines::with_capacity(received.len());
            let mut map = RequestHeader::build("GET", b"/", None).unwrap();
            for (name, value) in &received {
                lines.push(name.as_bytes(), value.as_bytes());
                map.append_header(*name, value.as_str()).unwrap();
            }
            for change in &changes {
                apply(&mut lines, change);
                apply(&mut map, change);
                prop_assert_eq!(of_name(&lines), of_name(&map));
            }
            let mut written = Vec::new();
            lines.write(&mut written);
            prop_assert!(written.len() <= lines.length());
            let kept: usize = of_name(&map).iter().map(Vec::len).sum();
            prop_assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), kept);
        }
    }
}
