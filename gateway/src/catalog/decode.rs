//! Events of the watch stream to changes. One entry that makes no sense is refused alone.

use std::{collections::BTreeSet, sync::Arc};

use catalog_api::{Deleted, EventKind, Revision, Service, ServiceId, Snapshot};
use serde::Deserialize;
use serde_json::value::RawValue;
use service_kit::sse::Event;

use crate::snapshot::{Change, Refusal};

/// What an event says.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Where the stream is after it.
    pub(super) revision: Revision,
    /// What was understood.
    pub(super) change: Option<Change>,
    /// What was not.
    pub(super) refusals: Vec<Refusal>,
}

/// As much of an entry as a refusal can be pinned to.
#[derive(Deserialize)]
struct Identity {
    id: Option<ServiceId>,
    name: Option<String>,
}

/// Decodes an event. None for kinds that a newer catalog may send.
///
/// # Errors
/// When the frame itself makes no sense: the stream cannot be trusted and is opened again.
pub(super) fn event(event: &Event) -> Result<Option<Decoded>, String> {
    let Some(kind) = event.event.as_deref().and_then(EventKind::parse) else {
        return Ok(None);
    };
    let id = event.id.as_deref().unwrap_or_default();
    let revision: Revision = id
        .parse()
        .map_err(|_| format!("its id {id:?} is no revision"))?;
    let decoded = match kind {
        EventKind::Snapshot => whole(revision, &event.data)?,
        EventKind::Service => match service(&event.data) {
            Ok(service) => Decoded {
                revision,
                change: Some(Change::Put(service)),
                refusals: Vec::new(),
            },
            Err(refusal) => Decoded {
                revision,
                change: None,
                refusals: vec![refusal],
            },
        },
        EventKind::Deleted => {
            let deleted: Deleted =
                serde_json::from_str(&event.data).map_err(|error| error.to_string())?;
            Decoded {
                revision,
                change: Some(Change::Delete(deleted)),
                refusals: Vec::new(),
            }
        }
    };
    Ok(Some(decoded))
}

fn whole(revision: Revision, data: &str) -> Result<Decoded, String> {
    let snapshot: Snapshot<&RawValue> =
        serde_json::from_str(data).map_err(|error| error.to_string())?;
    let mut services = Vec::with_capacity(snapshot.services.len());
    let mut refusals = Vec::new();
    for entry in snapshot.services {
        match service(entry.get()) {
            Ok(service) => services.push(service),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let keep: BTreeSet<ServiceId> = refusals.iter().filter_map(|refusal| refusal.id).collect();
    Ok(Decoded {
        revision,
        change: Some(Change::Replace {
            revision,
            services,
            keep,
        }),
        refusals,
    })
}

fn service(json: &str) -> Result<Arc<Service>, Refusal> {
    serde_json::from_str(json).map(Arc::new).map_err(|error| {
        let identity = serde_json::from_str(json).unwrap_or(Identity {
            id: None,
            name: None,
        });
        Refusal {
            id: identity.id,
            name: identity
                .name
                .unwrap_or_else(|| "(without a legible name)".to_owned()),
            reason: error.to_string(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(kind: &str, id: &str, data: &str) -> Result<Option<Decoded>, String> {
        event(&Event {
            event: Some(kind.to_owned()),
            id: Some(id.to_owned()),
            data: data.to_owned(),
        })
    }

    const GOOD: &str = r#"{"id":3,"name":"good","revision":7,"created_at":"2026-01-31T12:00:00Z","updated_at":"2026-01-31T12:00:00Z"}"#;
    const BAD: &str = r#"{"id":4,"name":"bad","revision":7,"policy":{"balance":"magic"},"created_at":"2026-01-31T12:00:00Z","updated_at":"2026-01-31T12:00:00Z"}"#;

    #[test]
    fn one_bad_entry_does_not_hurt_the_others() {
        let data = format!(r#"{{"revision":9,"services":[{GOOD},{BAD}]}}"#);
        let decoded = sent("snapshot", "9", &data).unwrap().unwrap();
        let Some(Change::Replace { services, keep, .. }) = decoded.change else {
            panic!("{:?}", decoded.change);
        };
        assert_eq!(services.len(), 1);
        assert_eq!(keep, BTreeSet::from([ServiceId(4)]));
        assert_eq!(decoded.refusals[0].name, "bad");
        assert!(decoded.refusals[0].reason.contains("magic"));
    }

    #[test]
    fn a_bad_update_is_refused_and_the_stream_goes_on() {
        let decoded = sent("service", "8", BAD).unwrap().unwrap();
        assert!(decoded.change.is_none());
        assert_eq!(
            (decoded.revision, decoded.refusals[0].id),
            (Revision(8), Some(ServiceId(4)))
        );
    }

    #[test]
    fn unknown_kinds_are_passed_over_and_broken_frames_are_not() {
        assert!(sent("shrug", "8", "{}").unwrap().is_none());
        assert!(sent("service", "x", GOOD).is_err());
        assert!(sent("snapshot", "1", "[]").is_err());
        assert!(sent("deleted", "1", "{}").is_err());
    }
}
