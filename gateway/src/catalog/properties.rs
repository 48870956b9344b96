//! What must hold of the reader of the catalog's stream, whatever comes on it.

use std::collections::BTreeSet;

use service_kit::sse;

use super::decode;
use crate::snapshot::Change;

/// Longest event here.
const EVENT_BYTES_MAX: usize = 64 << 10;

/// Every event is understood, refused in part, or ends the stream; a service that is refused is kept and not replaced.
pub fn stream_events(data: &[u8]) {
    let Ok(events) = sse::Parser::new(EVENT_BYTES_MAX).feed(data) else {
        return;
    };
    for event in events {
        let Ok(Some(decoded)) = decode::event(&event) else {
            continue;
        };
        let refused = decoded.refusals.iter().filter_map(|refusal| refusal.id);
        let refused: BTreeSet<_> = refused.collect();
        match decoded.change {
            Some(Change::Replace { keep, .. }) => assert_eq!(refused, keep),
            Some(Change::Put(service)) => {
                assert!(decoded.refusals.is_empty());
                let text = serde_json::to_string(&*service).unwrap_or_default();
                assert_eq!(serde_json::from_str(&text).ok(), Some(service));
            }
            Some(Change::Delete(_)) => assert!(decoded.refusals.is_empty()),
            None => assert!(!decoded.refusals.is_empty()),
        }
    }
}
