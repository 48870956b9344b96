//! "Did you mean": the known name that looks most like an unknown one.

/// More edits than this, and a suggestion would be noise.
const DISTANCE_MAX: usize = 4;

/// `, did you mean X?`, or nothing when no name is near.
pub(super) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|name| (distance(unknown, name), name))
        .filter(|(distance, _)| *distance <= DISTANCE_MAX)
        .min()
        .map(|(_, name)| format!(", did you mean {name}?"))
        .unwrap_or_default()
}

/// Levenshtein distance over bytes; names are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_name_and_stays_silent_when_none_is_near() {
        let known = ["CATALOG_LISTEN", "CATALOG_TOKEN"];
        assert_eq!(
            nearest("CATALOG_LITSEN", known.into_iter()),
            ", did you mean CATALOG_LISTEN?"
        );
        assert_eq!(nearest("PLATFORM_X", known.into_iter()), "");
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
