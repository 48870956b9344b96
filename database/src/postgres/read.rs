//! Reading: each answer is one statement, so it shows one state without a transaction around it.

use catalog_api::{Deleted, Revision, ServiceId, Snapshot};
use tokio_postgres::{Client, Row, types::Type};

use super::{
    columns::{column, get, number, service},
    error::{Cause, Failure},
};
use crate::store::{Change, Changes};

/// The revision, and nothing else.
pub(super) async fn head(client: &Client) -> Result<Revision, Failure> {
    let rows = client.query_typed("SELECT revision FROM catalog.meta", &[]);
    let rows = rows.await.map_err(|error| Failure::of(&error))?;
    Ok(Revision(number(get(only(&rows)?, 0)?)))
}

pub(super) async fn snapshot(client: &Client) -> Result<Snapshot, Failure> {
    let rows = client
        .query_typed(
            "SELECT m.revision, s.document
             FROM catalog.meta m LEFT JOIN catalog.services s ON true ORDER BY s.id",
            &[],
        )
        .await
        .map_err(|error| Failure::of(&error))?;
    let revision = Revision(number(get(only(&rows)?, 0)?));
    let mut services = Vec::with_capacity(rows.len());
    for row in &rows {
        // A catalog without services is one row without a document.
        if let Some(document) = get::<Option<&str>>(row, 1)? {
            services.push(service(document)?);
        }
    }
    Ok(Snapshot { revision, services })
}

pub(super) async fn changes_since(
    client: &Client,
    after: Revision,
    limit: usize,
) -> Result<Changes, Failure> {
    // One more than allowed, to see whether there are more.
    let rows_max = column((limit as u64).saturating_add(1));
    let rows = client
        .query_typed(
            "SELECT m.revision, m.compacted, c.revision, c.id, c.name, c.document
             FROM catalog.meta m LEFT JOIN LATERAL (
                 (SELECT revision, id, name, document FROM catalog.services
                  WHERE revision > $1 ORDER BY revision LIMIT $2)
                 UNION ALL
                 (SELECT revision, id, name, NULL FROM catalog.deletions
                  WHERE revision > $1 ORDER BY revision LIMIT $2)
             ) c ON true ORDER BY c.revision",
            &[(&column(after.0), Type::INT8), (&rows_max, Type::INT8)],
        )
        .await
        .map_err(|error| Failure::of(&error))?;
    let meta = only(&rows)?;
    let revision = Revision(number(get(meta, 0)?));
    let compacted = Revision(number(get(meta, 1)?));
    if after < compacted || after > revision {
        return Ok(Changes::Compacted);
    }
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        changes.extend(change(row)?);
    }
    if changes.len() > limit {
        return Ok(Changes::Compacted);
    }
    Ok(Changes::List { changes, revision })
}

/// None when there is no change in the row, which happens when nothing changed.
fn change(row: &Row) -> Result<Option<Change>, Failure> {
    let Some(revision) = get::<Option<i64>>(row, 2)? else {
        return Ok(None);
    };
    if let Some(document) = get::<Option<&str>>(row, 5)? {
        return Ok(Some(Change::Service(Box::new(service(document)?))));
    }
    let name: &str = get(row, 4)?;
    let name = name
        .parse()
        .map_err(|error| Failure::Failed(Cause::new(format!("a deleted name is none: {error}"))))?;
    Ok(Some(Change::Deleted(Deleted {
        revision: Revision(number(revision)),
        id: ServiceId(number(get(row, 3)?)),
        name,
    })))
}

/// The first row; there is always one as long as the table `meta` is whole.
pub(super) fn only(rows: &[Row]) -> Result<&Row, Failure> {
    rows.first()
        .ok_or_else(|| Failure::Failed(Cause::new("the table catalog.meta is empty")))
}
