//! Draws names.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{Locale, lists::Lists, random::SplitMix64};

/// Where a sequence of names begins. The same seed gives the same names in every version of this service, as long as the lists
/// are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

/// A name of a person, who is not meant to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    given: &'static str,
    family: &'static str,
}

/// The lists of every locale, split once.
#[derive(Clone, Debug)]
pub struct Generator {
    lists: [Lists; Locale::ALL.len()],
}

// === impl Seed ===

impl Seed {
    /// A seed nobody can foresee.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

// === impl Generator ===

impl Generator {
    /// Reads the lists.
    pub fn new() -> Self {
        Self {
            lists: Locale::ALL.map(Lists::of),
        }
    }

    /// The endless sequence of names that begins at `seed`. A longer answer begins like a shorter one.
    pub fn from(&self, seed: Seed, locale: Locale) -> impl Iterator<Item = Name> {
        let lists = &self.lists[locale as usize];
        let mut random = SplitMix64::new(seed.0);
        std::iter::from_fn(move || {
            let given = random.pick(lists.given())?;
            let family = random.pick(lists.family())?;
            Some(Name {
                given: given.text,
                family: family.agreeing_with(given.gender),
            })
        })
    }
}

impl Default for Generator {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Name ===

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.given, self.family)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_vary() {
        let names = Generator::new();
        for locale in Locale::ALL {
            let drawn: BTreeSet<String> = names
                .from(Seed(1), locale)
                .take(1000)
                .map(|name| name.to_string())
                .collect();
            assert!(drawn.len() > 900, "{locale}: {}", drawn.len());
        }
        assert_ne!(Seed::random(), Seed::random());
    }

    #[test]
    fn russian_family_names_agree_with_the_given_name() {
        let names = Generator::new();
        let feminine: BTreeSet<&str> = include_str!("../data/ru/given_female.txt")
            .lines()
            .collect();
        for name in names.from(Seed(3), Locale::Ru).take(2000) {
            if name.family.ends_with("ов") || name.family.ends_with("ский") {
                assert!(!feminine.contains(name.given), "{name}");
            }
            if name.family.ends_with("ова") || name.family.ends_with("ская") {
                assert!(feminine.contains(name.given), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_seed_gives_the_same_names_and_a_longer_answer_begins_like_a_shorter_one(seed: u64, short in 1_usize..50, more in 0_usize..50, locale in 0..Locale::ALL.len()) {
            let names = Generator::new();
            let draw = |count: usize| names.from(Seed(seed), Locale::ALL[locale]).take(count).collect::<Vec<Name>>();
            let (short, long) = (draw(short), draw(short + more));
            prop_assert_eq!(&long[..short.len()], &short[..]);
        }
    }
}
