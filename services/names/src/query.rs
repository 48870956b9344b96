//! What a caller may ask for: a count in the path, a seed and a locale in the query.

use std::{collections::BTreeMap, ops::RangeInclusive, str::FromStr};

use service_kit::problem::Problem;

use crate::{Locale, Seed};

/// How many names one answer may have.
pub(crate) const COUNT_RANGE: RangeInclusive<u64> = 1..=100;

/// Number of names in an answer, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(usize);

/// Which names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) seed: Option<Seed>,
    pub(crate) locale: Locale,
}

/// Not a [`Count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the count must be a whole number from 1 to 100")]
pub(crate) struct NotACount;

/// Longest part of a caller's text that is repeated in an answer, in characters.
const EXCERPT_CHARS_MAX: usize = 40;

// === impl Count ===

impl Count {
    pub(crate) fn get(self) -> usize {
        self.0
    }
}

impl FromStr for Count {
    type Err = NotACount;

    fn from_str(text: &str) -> Result<Self, NotACount> {
        // The standard parser takes a sign; a number beyond 64 bits is as little a count as a word.
        let number = digits(text).ok_or(NotACount)?;
        if !COUNT_RANGE.contains(&number) {
            return Err(NotACount);
        }
        usize::try_from(number).map(Self).map_err(|_| NotACount)
    }
}

// === impl Choice ===

impl Choice {
    /// Reads `seed` and `locale`, and refuses anything else: a mistyped key would otherwise silently give other names than
    /// those asked for.
    pub(crate) fn read(query: &BTreeMap<String, String>) -> Result<Self, Problem> {
        let mut choice = Self::default();
        for (key, value) in query {
            match key.as_str() {
                "seed" => choice.seed = Some(seed(value)?),
                "locale" => choice.locale = locale(value)?,
                _ => {
                    let key = excerpt(key);
                    return Err(Problem::bad_request(format!(
                        "the query has no {key}; allowed: seed, locale"
                    )));
                }
            }
        }
        Ok(choice)
    }
}

fn seed(value: &str) -> Result<Seed, Problem> {
    digits(value).map(Seed).ok_or_else(|| {
        let value = excerpt(value);
        Problem::bad_request(format!(
            "seed must be a whole number from 0 to {}, not {value}",
            u64::MAX
        ))
    })
}

fn locale(value: &str) -> Result<Locale, Problem> {
    value
        .parse()
        .map_err(|error| Problem::bad_request(format!("locale {}: {error}", excerpt(value))))
}

fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn excerpt(text: &str) -> String {
    format!(
        "{:?}",
        text.chars().take(EXCERPT_CHARS_MAX).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Choice, Problem> {
        Choice::read(
            &pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn the_bounds_of_the_count() {
        for (text, count) in [("1", 1), ("7", 7), ("007", 7), ("100", 100)] {
            assert_eq!(text.parse(), Ok(Count(count)));
        }
        for text in [
            "0",
            "101",
            "-1",
            "+1",
            "1.0",
            "abc",
            "",
            " 1",
            "١",
            "18446744073709551617",
        ] {
            assert_eq!(text.parse::<Count>(), Err(NotACount), "{text}");
        }
    }

    #[test]
    fn seed_and_locale_are_read_and_nothing_else() {
        let both = read(&[("seed", "18446744073709551615"), ("locale", "ru")]).unwrap();
        assert_eq!(
            both,
            Choice {
                seed: Some(Seed(u64::MAX)),
                locale: Locale::Ru
            }
        );
        assert_eq!(read(&[]).unwrap(), Choice::default());
        for (key, value, part) in [
            ("seed", "-1", "0 to 18446744073709551615"),
            ("seed", "", "0 to 18446744073709551615"),
            ("seed", "18446744073709551616", "0 to 18446744073709551615"),
            ("locale", "xx", "en, de, es, fr, ru"),
            ("locale", "", "en, de, es, fr, ru"),
            ("sed", "1", "allowed: seed, locale"),
        ] {
            let problem = read(&[(key, value)]).unwrap_err();
            assert_eq!(problem.status(), 400);
            assert!(problem.to_string().contains(part), "{problem}");
        }
        let long = "x".repeat(100_000);
        assert!(read(&[(&long, "")]).unwrap_err().to_json().len() < 500);
    }

    proptest! {
        #[test]
        fn a_count_is_a_number_in_range_and_nothing_else(text in "[0-9+-]{0,4}") {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let expected = text.parse::<u64>().is_ok_and(|number| plain && (1..=100).contains(&number));
            prop_assert_eq!(text.parse::<Count>().is_ok(), expected);
        }
    }
}
