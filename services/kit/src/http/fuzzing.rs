//! What must hold of the reader of queries, whatever they are.

use super::call::{parse_pairs, parse_query};

/// A query with every name once is the same as its pairs; one with a name twice is refused.
pub fn queries(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pairs, query) = (parse_pairs(text), parse_query(text));
    match (pairs, query) {
        (Ok(mut pairs), Ok(query)) => {
            pairs.sort();
            assert!(pairs.into_iter().eq(query));
        }
        (Ok(mut pairs), Err(_)) => {
            pairs.sort();
            assert!(pairs.windows(2).any(|two| two[0].0 == two[1].0));
        }
        (Err(_), outcome) => assert!(outcome.is_err()),
    }
}
