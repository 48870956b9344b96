//! What a seed promises, and what the absence of one does.

use std::collections::{BTreeMap, BTreeSet};

use names::Config;

use crate::instance::start;

/// These may never change: users keep seeds in their own tests.
const GOLDEN: [(&str, [&str; 3]); 5] = [
    ("en", ["Joyce Mills", "Matthew Fraser", "Eva Morris"]),
    ("de", ["Carl Schneider", "Walter König", "Sibylle Schröder"]),
    ("es", ["Benito Rey", "Sebastián Lorca", "Sofía Rivera"]),
    ("fr", ["Arthur Noël", "Tristan Guérin", "Sabine Pascal"]),
    ("ru", ["Богдан Сысоев", "Филипп Лыткин", "Таисия Тимофеева"]),
];

#[tokio::test]
async fn a_seed_gives_these_names_in_every_version() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for (locale, expected) in GOLDEN {
        let names = asker
            .names(&format!("/names/3?seed=1&locale={locale}"))
            .await;
        assert_eq!(names, expected, "{locale}");
    }
}

#[tokio::test]
async fn the_first_of_many_is_the_one() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for seed in [0, 1, 42, u64::MAX] {
        let one = asker.json(&format!("/name?seed={seed}")).await;
        let few = asker.names(&format!("/names/5?seed={seed}")).await;
        let many = asker.names(&format!("/names/100?seed={seed}")).await;
        assert_eq!(one["name"], few[0]);
        assert_eq!(few, many[..5]);
    }
}

#[tokio::test]
async fn two_instances_agree_on_a_seed() {
    let (a, b) = (start(Config::default()), start(Config::default()));
    let path = "/names/100?seed=2026&locale=fr";
    assert_eq!(a.asker().names(path).await, b.asker().names(path).await);
}

#[tokio::test]
async fn without_a_seed_names_vary_and_no_given_name_dominates() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for locale in ["en", "de", "es", "fr", "ru"] {
        let mut names = BTreeSet::new();
        let mut given: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..20 {
            for name in asker.names(&format!("/names/100?locale={locale}")).await {
                *given
                    .entry(name.split(' ').next().unwrap().to_owned())
                    .or_default() += 1;
                names.insert(name);
            }
        }
        // 2,000 draws from over 12,000 combinations; of over 100 given names each is expected at most 20 times.
        assert!(names.len() > 1_500, "{locale}: {}", names.len());
        assert!(
            given.values().all(|count| *count < 70),
            "{locale}: {given:?}"
        );
        assert!(given.len() > 90, "{locale}: {}", given.len());
    }
}
