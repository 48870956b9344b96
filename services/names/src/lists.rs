//! The lists of given and family names, compiled into the binary so that an image needs no files.
//!
//! One name per line. A family name with two forms has the masculine and the feminine one on its line, separated by a space; a
//! rule that derives the second would be wrong for some of them.

use crate::Locale;

/// What is drawn from, for one locale.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    given: Vec<Given>,
    family: Vec<Family>,
}

/// A given name and the form of family name that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) text: &'static str,
    pub(crate) gender: Gender,
}

/// Which form of a family name agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gender {
    Masculine,
    Feminine,
    /// The language does not tell its family names apart.
    Unmarked,
}

/// A family name in its forms, which are the same where there is only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family {
    masculine: &'static str,
    feminine: &'static str,
}

// === impl Lists ===

impl Lists {
    pub(crate) fn of(locale: Locale) -> Self {
        match locale {
            Locale::En => Self::unmarked(
                include_str!("../data/en/given.txt"),
                include_str!("../data/en/family.txt"),
            ),
            Locale::De => Self::unmarked(
                include_str!("../data/de/given.txt"),
                include_str!("../data/de/family.txt"),
            ),
            Locale::Es => Self::unmarked(
                include_str!("../data/es/given.txt"),
                include_str!("../data/es/family.txt"),
            ),
            Locale::Fr => Self::unmarked(
                include_str!("../data/fr/given.txt"),
                include_str!("../data/fr/family.txt"),
            ),
            Locale::Ru => Self {
                given: given(
                    include_str!("../data/ru/given_female.txt"),
                    Gender::Feminine,
                )
                .chain(given(
                    include_str!("../data/ru/given_male.txt"),
                    Gender::Masculine,
                ))
                .collect(),
                family: families(include_str!("../data/ru/family.txt")),
            },
        }
    }

    fn unmarked(given_names: &'static str, family_names: &'static str) -> Self {
        Self {
            given: given(given_names, Gender::Unmarked).collect(),
            family: families(family_names),
        }
    }

    pub(crate) fn given(&self) -> &[Given] {
        &self.given
    }

    pub(crate) fn family(&self) -> &[Family] {
        &self.family
    }
}

fn given(lines: &'static str, gender: Gender) -> impl Iterator<Item = Given> {
    lines.lines().map(move |text| Given { text, gender })
}

fn families(lines: &'static str) -> Vec<Family> {
    let family = |line: &'static str| {
        let (masculine, feminine) = line.split_once(' ').unwrap_or((line, line));
        Family {
            masculine,
            feminine,
        }
    };
    lines.lines().map(family).collect()
}

// === impl Family ===

impl Family {
    pub(crate) fn agreeing_with(self, gender: Gender) -> &'static str {
        match gender {
            Gender::Feminine => self.feminine,
            Gender::Masculine | Gender::Unmarked => self.masculine,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists_are_long_enough_clean_and_without_repetition() {
        for locale in Locale::ALL {
            let lists = Lists::of(locale);
            assert!(
                lists.given.len() >= 100 && lists.family.len() >= 100,
                "{locale}"
            );
            let given: BTreeSet<&str> = lists.given.iter().map(|given| given.text).collect();
            assert_eq!(given.len(), lists.given.len(), "{locale}");
            let family: BTreeSet<&str> =
                lists.family.iter().map(|family| family.masculine).collect();
            assert_eq!(family.len(), lists.family.len(), "{locale}");
            let feminine = lists.family.iter().map(|family| family.feminine);
            for word in given.into_iter().chain(family).chain(feminine) {
                assert!(
                    word.chars().next().is_some_and(char::is_uppercase),
                    "{locale}: {word:?}"
                );
                assert!(word.chars().all(char::is_alphabetic), "{locale}: {word:?}");
                let cyrillic = word.chars().all(|char| {
                    ('а'..='я').contains(&char.to_lowercase().next().unwrap())
                        || "ёЁ".contains(char)
                });
                assert_eq!(cyrillic, locale == Locale::Ru, "{locale}: {word:?}");
            }
        }
        assert!(Lists::of(Locale::En).family.len() >= 150);
    }

    #[test]
    fn russian_family_names_have_two_forms_where_the_language_has() {
        let lists = Lists::of(Locale::Ru);
        for Family {
            masculine,
            feminine,
        } in lists.family
        {
            let invariable = ["ых", "их", "ко", "аго", "ово"];
            if invariable.iter().any(|ending| masculine.ends_with(ending)) {
                assert_eq!(masculine, feminine);
            } else {
                assert!(
                    feminine.ends_with('а') || feminine.ends_with("ая"),
                    "{masculine} {feminine}"
                );
            }
        }
    }
}
