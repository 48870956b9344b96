//! Numbers that have to come one after the other, in messages and in events.

use anyhow::{Result, bail};

/// The next number that is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence(u64);

// === impl Sequence ===

impl Sequence {
    /// Takes a number in.
    ///
    /// # Errors
    /// When another one should have come: something was lost, doubled or overtaken.
    pub(super) fn take(&mut self, text: &str) -> Result<()> {
        if text.parse() != Ok(self.0) {
            bail!("{text:?} came instead of {}", self.0);
        }
        self.0 += 1;
        Ok(())
    }

    /// How many have come.
    pub(super) fn taken(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_number_will_do() {
        let mut sequence = Sequence::default();
        sequence.take("0").unwrap();
        sequence.take("1").unwrap();
        for wrong in ["1", "3", "x"] {
            assert!(sequence.take(wrong).is_err());
        }
        sequence.take("2").unwrap();
        assert_eq!(sequence.taken(), 3);
    }
}
