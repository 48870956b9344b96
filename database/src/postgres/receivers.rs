//! Notes about the readers of watch streams, in a table of their own that makes no revision and needs no flush.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use catalog_api::{Invalid, OpaqueId, Receiver, Refused, Revision, ServiceId};
use tokio_postgres::{Client, Row, types::Type};

use super::{
    columns::{column, from_json, get, micros, number, to_json},
    error::{Cause, Failure},
    pool::Pool,
};
use crate::{
    receivers::{RECEIVERS_MAX, ReceiverNote, Receivers},
    store::StoreError,
};

/// Every so many recordings the notes that nobody renewed are thrown away: those of a catalog that was killed.
const SWEEP_EVERY: u64 = 100;

pub(super) struct ReceiverNotes {
    pool: Arc<Pool>,
    recordings: AtomicU64,
}

// === impl ReceiverNotes ===

impl ReceiverNotes {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            recordings: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl Receivers for ReceiverNotes {
    async fn record(
        &self,
        notes: &[ReceiverNote],
        ended: &[OpaqueId],
        age_max: Duration,
    ) -> Result<(), StoreError> {
        // By key: one statement may not touch a row twice, and two catalogs that lock rows in one order cannot lock each other out.
        let newest: BTreeMap<OpaqueId, &ReceiverNote> = notes
            .iter()
            .take(RECEIVERS_MAX)
            .map(|note| (note.stream, note))
            .collect();
        let sweep = self
            .recordings
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(SWEEP_EVERY);
        let connection = self.pool.get().await?;
        let recording = async {
            if !newest.is_empty() {
                record(connection.client(), &newest).await?;
            }
            if !ended.is_empty() {
                end(connection.client(), ended).await?;
            }
            if sweep {
                throw_away(connection.client(), age_max).await?;
            }
            Ok(())
        };
        self.pool.in_time(recording).await?;
        connection.release();
        Ok(())
    }

    async fn all(&self, age_max: Duration) -> Result<Vec<ReceiverNote>, StoreError> {
        let connection = self.pool.get().await?;
        let reading = all(connection.client(), age_max);
        let all = self.pool.in_time(reading).await?;
        connection.release();
        Ok(all)
    }
}

/// Receipts of one stream may come by several catalogs: the newest counts. The lists of refused services go as one text each, because
/// PostgreSQL knows no arrays of arrays of different lengths.
async fn record(
    client: &Client,
    newest: &BTreeMap<OpaqueId, &ReceiverNote>,
) -> Result<(), Failure> {
    let streams: Vec<String> = newest.keys().map(OpaqueId::to_string).collect();
    let ids: Vec<String> = newest
        .values()
        .map(|note| note.receiver.id.to_string())
        .collect();
    let names: Vec<&str> = newest
        .values()
        .map(|note| note.receiver.name.as_str())
        .collect();
    let revisions: Vec<Option<i64>> = newest
        .values()
        .map(|note| note.revision.map(|revision| column(revision.0)))
        .collect();
    let refused: Vec<String> = newest.values().map(|note| array(&note.refused)).collect();
    let draining: Result<Vec<String>, Failure> = newest
        .values()
        .map(|note| to_json(&note.draining))
        .collect();
    let draining = draining?;
    let ages: Vec<i64> = newest.values().map(|note| micros(note.age)).collect();
    let recorded = client
        .execute_typed(
            "INSERT INTO catalog.receivers AS r (stream, receiver, name, revision, refused, draining, heard_at)
             SELECT stream, receiver, name, revision, refused::bigint[], draining,
                    clock_timestamp() - age * interval '1 microsecond'
             FROM unnest($1, $2, $3, $4, $5, $6, $7) AS n (stream, receiver, name, revision, refused, draining, age)
             ON CONFLICT (stream) DO UPDATE SET
                 revision = greatest(r.revision, excluded.revision),
                 refused = CASE WHEN excluded.revision >= coalesce(r.revision, 0)
                           THEN excluded.refused ELSE r.refused END,
                 draining = CASE WHEN excluded.heard_at >= r.heard_at
                            THEN excluded.draining ELSE r.draining END,
                 heard_at = greatest(r.heard_at, excluded.heard_at)",
            &[
                (&streams, Type::TEXT_ARRAY),
                (&ids, Type::TEXT_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&revisions, Type::INT8_ARRAY),
                (&refused, Type::TEXT_ARRAY),
                (&draining, Type::TEXT_ARRAY),
                (&ages, Type::INT8_ARRAY),
            ],
        )
        .await;
    recorded.map(drop).map_err(|error| Failure::of(&error))
}

/// The text form of an array.
fn array(refused: &Refused) -> String {
    let numbers: Vec<String> = refused
        .as_slice()
        .iter()
        .map(|id| column(id.0).to_string())
        .collect();
    format!("{{{}}}", numbers.join(","))
}

async fn end(client: &Client, ended: &[OpaqueId]) -> Result<(), Failure> {
    let streams: Vec<String> = ended
        .iter()
        .take(RECEIVERS_MAX)
        .map(OpaqueId::to_string)
        .collect();
    let deleted = client
        .execute_typed(
            "DELETE FROM catalog.receivers WHERE stream = ANY($1)",
            &[(&streams, Type::TEXT_ARRAY)],
        )
        .await;
    deleted.map(drop).map_err(|error| Failure::of(&error))
}

async fn throw_away(client: &Client, age_max: Duration) -> Result<(), Failure> {
    let swept = client
        .execute_typed(
            "DELETE FROM catalog.receivers
             WHERE heard_at < clock_timestamp() - $1 * interval '1 microsecond'",
            &[(&micros(age_max), Type::INT8)],
        )
        .await;
    swept.map(drop).map_err(|error| Failure::of(&error))
}

async fn all(client: &Client, age_max: Duration) -> Result<Vec<ReceiverNote>, Failure> {
    let rows = client
        .query_typed(
            "SELECT stream, receiver, name, revision, refused, draining,
                    (extract(epoch FROM clock_timestamp() - heard_at) * 1000000)::bigint
             FROM catalog.receivers
             WHERE heard_at >= clock_timestamp() - $1 * interval '1 microsecond' LIMIT $2",
            &[
                (&micros(age_max), Type::INT8),
                (&column(RECEIVERS_MAX as u64), Type::INT8),
            ],
        )
        .await
        .map_err(|error| Failure::of(&error))?;
    rows.iter().map(note).collect()
}

fn note(row: &Row) -> Result<ReceiverNote, Failure> {
    let illegible = |error: Invalid| Failure::Failed(Cause::new(error.to_string()));
    let text = |index| get::<&str>(row, index);
    let revision: Option<i64> = get(row, 3)?;
    let refused: Vec<i64> = get(row, 4)?;
    Ok(ReceiverNote {
        stream: text(0)?.parse().map_err(illegible)?,
        receiver: Receiver {
            id: text(1)?.parse().map_err(illegible)?,
            name: text(2)?.parse().map_err(illegible)?,
        },
        revision: revision.map(|revision| Revision(number(revision))),
        refused: Refused::first_of(refused.into_iter().map(|id| ServiceId(number(id)))),
        draining: from_json(text(5)?)?,
        age: Duration::from_micros(number(get(row, 6)?)),
    })
}
