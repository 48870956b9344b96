//! Which instance gets a call, and who comes next when it fails.

use std::sync::atomic::{AtomicU64, Ordering};

use catalog_api::{Instance, Status};

/// 2^64 divided by the golden ratio. Its multiples, as fractions of 2^64, fall evenly into any division of the whole, so that taking
/// turns by weight needs a counter and no memory of its own for each instance.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The instances that may get a call, the one whose turn it is first. Suspect ones only when none passes: they answered when they
/// were asked last, which is better than nobody.
pub(super) fn in_order<'a>(instances: &'a [Instance], turn: &AtomicU64) -> Vec<&'a Instance> {
    let with = |status| -> Vec<&Instance> {
        let instances = instances.iter();
        instances
            .filter(|instance| instance.status == status)
            .collect()
    };
    let mut candidates = with(Status::Passing);
    if candidates.is_empty() {
        candidates = with(Status::Suspect);
    }
    if candidates.len() > 1 {
        let fraction = turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN);
        let first = place(&candidates, fraction);
        candidates.rotate_left(first);
    }
    candidates
}

/// Where a fraction of 2^64 falls when the whole is divided by weight.
fn place(candidates: &[&Instance], fraction: u64) -> usize {
    let weight = |instance: &Instance| u64::from(instance.weight.get());
    let whole: u64 = candidates.iter().map(|instance| weight(instance)).sum();
    // Less than the whole, so that it fits again.
    let mut point = ((u128::from(fraction) * u128::from(whole)) >> 64) as u64;
    for (index, instance) in candidates.iter().enumerate() {
        match point.checked_sub(weight(instance)) {
            Some(rest) => point = rest,
            None => return index,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn instances(weights: &[(&str, u16, &str)]) -> Vec<Instance> {
        let instance = |(id, weight, status): &(&str, u16, &str)| {
            serde_json::from_value(serde_json::json!({
                "id": id, "address": "127.0.0.1:1", "weight": weight, "status": status,
            }))
            .unwrap()
        };
        weights.iter().map(instance).collect()
    }

    fn counted(instances: &[Instance], calls: usize) -> BTreeMap<&str, usize> {
        let turn = AtomicU64::new(u64::MAX - 7);
        let mut counts = BTreeMap::new();
        for _ in 0..calls {
            let first = in_order(instances, &turn)[0];
            *counts.entry(first.id.as_str()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn turns_are_taken_by_weight() {
        let equal = instances(&[
            ("a", 7, "passing"),
            ("b", 7, "passing"),
            ("c", 7, "passing"),
        ]);
        for count in counted(&equal, 300).into_values() {
            assert!((98..=102).contains(&count), "{count}");
        }
        let unequal = instances(&[("a", 1, "passing"), ("b", 1000, "passing")]);
        let counts = counted(&unequal, 10_010);
        assert!((8..=12).contains(&counts["a"]), "{counts:?}");
    }

    #[test]
    fn whoever_is_not_well_gets_nothing_unless_nobody_is() {
        let turn = AtomicU64::new(0);
        let ids = |instances: &[Instance]| -> String {
            let order = in_order(instances, &turn);
            order.iter().map(|instance| instance.id.as_str()).collect()
        };
        let mixed = instances(&[
            ("a", 1, "suspect"),
            ("b", 1, "passing"),
            ("c", 1, "draining"),
        ]);
        assert_eq!(ids(&mixed), "b");
        let suspect = instances(&[("a", 1, "suspect"), ("b", 1, "critical")]);
        assert_eq!(ids(&suspect), "a");
        let none = instances(&[("a", 1, "draining"), ("b", 1, "critical")]);
        assert_eq!(ids(&none), "");
        assert_eq!(ids(&[]), "");
    }

    #[test]
    fn everyone_comes_once_in_an_order() {
        let many = instances(&[
            ("a", 3, "passing"),
            ("b", 1, "passing"),
            ("c", 2, "passing"),
        ]);
        let turn = AtomicU64::new(0);
        for _ in 0..20 {
            let mut ids: Vec<_> = in_order(&many, &turn)
                .iter()
                .map(|i| i.id.as_str())
                .collect();
            ids.sort_unstable();
            assert_eq!(ids, ["a", "b", "c"]);
        }
    }
}
