//! Notes about the calls of catalogs, in a table of their own that makes no revision and needs no flush.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use catalog_api::{Invalid, OpaqueId, Revision};
use tokio_postgres::{Client, Row, types::Type};

use super::{
    columns::{column, from_json, get, micros, number, to_json},
    error::{Cause, Failure},
    pool::Pool,
};
use crate::{
    callers::{CALLERS_MAX, CallerNote, Callers},
    store::StoreError,
};

pub(super) struct CallerNotes(pub(super) Arc<Pool>);

#[async_trait]
impl Callers for CallerNotes {
    async fn record(&self, note: &CallerNote, age_max: Duration) -> Result<(), StoreError> {
        let connection = self.0.get().await?;
        let recording = record(connection.client(), note, age_max);
        self.0.in_time(recording).await?;
        connection.release();
        Ok(())
    }

    async fn end(&self, catalog: OpaqueId) -> Result<(), StoreError> {
        let connection = self.0.get().await?;
        let ending = end(connection.client(), catalog);
        self.0.in_time(ending).await?;
        connection.release();
        Ok(())
    }

    async fn all(&self, age_max: Duration) -> Result<Vec<CallerNote>, StoreError> {
        let connection = self.0.get().await?;
        let reading = all(connection.client(), age_max);
        let all = self.0.in_time(reading).await?;
        connection.release();
        Ok(all)
    }
}

/// There are few catalogs, so those that were killed are thrown away each time.
async fn record(client: &Client, note: &CallerNote, age_max: Duration) -> Result<(), Failure> {
    let draining = to_json(&note.draining)?;
    let recorded = client
        .execute_typed(
            "WITH old AS (DELETE FROM catalog.callers
                 WHERE heard_at < clock_timestamp() - $6 * interval '1 microsecond' AND catalog <> $1)
             INSERT INTO catalog.callers (catalog, name, revision, draining, heard_at)
             VALUES ($1, $2, $3, $4, clock_timestamp() - $5 * interval '1 microsecond')
             ON CONFLICT (catalog) DO UPDATE SET
                 revision = excluded.revision,
                 draining = excluded.draining,
                 heard_at = excluded.heard_at",
            &[
                (&note.catalog.to_string(), Type::TEXT),
                (&note.name.as_str(), Type::TEXT),
                (&column(note.revision.0), Type::INT8),
                (&draining, Type::TEXT),
                (&micros(note.age), Type::INT8),
                (&micros(age_max), Type::INT8),
            ],
        )
        .await;
    recorded.map(drop).map_err(|error| Failure::of(&error))
}

async fn end(client: &Client, catalog: OpaqueId) -> Result<(), Failure> {
    let deleted = client
        .execute_typed(
            "DELETE FROM catalog.callers WHERE catalog = $1",
            &[(&catalog.to_string(), Type::TEXT)],
        )
        .await;
    deleted.map(drop).map_err(|error| Failure::of(&error))
}

async fn all(client: &Client, age_max: Duration) -> Result<Vec<CallerNote>, Failure> {
    let rows = client
        .query_typed(
            "SELECT catalog, name, revision, draining,
                    (extract(epoch FROM clock_timestamp() - heard_at) * 1000000)::bigint
             FROM catalog.callers
             WHERE heard_at >= clock_timestamp() - $1 * interval '1 microsecond' LIMIT $2",
            &[
                (&micros(age_max), Type::INT8),
                (&column(CALLERS_MAX as u64), Type::INT8),
            ],
        )
        .await
        .map_err(|error| Failure::of(&error))?;
    rows.iter().map(note).collect()
}

fn note(row: &Row) -> Result<CallerNote, Failure> {
    let illegible = |error: Invalid| Failure::Failed(Cause::new(error.to_string()));
    let text = |index| get::<&str>(row, index);
    Ok(CallerNote {
        catalog: text(0)?.parse().map_err(illegible)?,
        name: text(1)?.parse().map_err(illegible)?,
        revision: Revision(number(get(row, 2)?)),
        draining: from_json(text(3)?)?,
        age: Duration::from_micros(number(get(row, 4)?)),
    })
}
