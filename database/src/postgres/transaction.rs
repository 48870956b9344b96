//! One write transaction in two round trips: lock and read, decide here, store and commit.
//!
//! The lock is the one row of `catalog.meta`: whoever holds it has the newest revision and gives out the next one, so revisions become
//! visible in the order of their numbers. A sequence would not do: its numbers become visible in any order, and who reads "everything
//! above N" would miss what commits late with a number below N.

use catalog_api::{Revision, Service, ServiceId, ServiceRef};
use futures_util::{TryFutureExt as _, future::BoxFuture};
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    batch::{Batch, Meta},
    columns::{column, get, number, service},
    error::{Cause, Failure},
    listen::CHANNEL,
    read::only,
};
use crate::command::Command;

/// READ COMMITTED whatever the server's default: what is read after the lock must be what the one before us left.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Locks the catalog and reads what the commands are about. Polled in their order, the statements share one round trip.
pub(super) async fn begin(
    client: &Client,
    commands: &[Command],
    floor: Revision,
) -> Result<Batch, Failure> {
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for command in commands {
        match command.target() {
            ServiceRef::Id(id) => ids.push(column(id.0)),
            ServiceRef::Name(name) => names.push(name.as_str().to_owned()),
        }
    }
    let about: [(&(dyn ToSql + Sync), Type); 2] =
        [(&ids, Type::INT8_ARRAY), (&names, Type::TEXT_ARRAY)];
    let ((), meta, count, services) = tokio::try_join!(
        biased;
        client.batch_execute(BEGIN),
        client.query_typed(
            "SELECT revision, next_id, compacted FROM catalog.meta FOR UPDATE",
            &[],
        ),
        client.query_typed("SELECT count(*) FROM catalog.services", &[]),
        client.query_typed(
            "SELECT document FROM catalog.services WHERE id = ANY ($1) OR name = ANY ($2)",
            &about,
        ),
    )
    .map_err(|error| Failure::of(&error))?;
    let meta = only(&meta)?;
    let meta = Meta {
        revision: Revision(number(get(meta, 0)?)),
        next_id: ServiceId(number(get(meta, 1)?)),
        compacted: Revision(number(get(meta, 2)?)),
    };
    let count = usize::try_from(number(get(only(&count)?, 0)?)).unwrap_or(usize::MAX);
    let services = services
        .iter()
        .map(|row| service(get(row, 0)?))
        .collect::<Result<_, _>>()?;
    Ok(Batch::new(meta, floor, count, services))
}

/// Ends a transaction that changes nothing.
pub(super) async fn roll_back(client: &Client) -> Result<(), Failure> {
    let done = client.batch_execute("ROLLBACK").await;
    done.map_err(|error| Failure::of(&error))
}

/// Stores what the batch came to, commits, and tells the others. One round trip.
pub(super) async fn commit(
    client: &Client,
    batch: &Batch,
    deletions_kept: usize,
) -> Result<(), Failure> {
    let put = Rows::put(batch.changed())?;
    let deleted = Rows::deleted(batch);
    let kept = column(deletions_kept as u64);
    let meta = [
        column(batch.meta.revision.0),
        column(batch.meta.next_id.0),
        column(batch.meta.compacted.0),
    ];
    let hint = batch.meta.revision.to_string();
    let deletes = !batch.deleted.is_empty();
    // Deletions first: a name may pass from a deleted service to a new one.
    let statements = async {
        tokio::try_join!(
            biased;
            when(deletes, || delete(client, &deleted)),
            when(!put.ids.is_empty(), || upsert(client, &put)),
            set_meta(client, &meta, deletes.then_some(&kept)),
            execute(client, "SELECT pg_notify($1, $2)", vec![
                (&CHANNEL, Type::TEXT),
                (&hint, Type::TEXT),
            ]),
            client.batch_execute("COMMIT"),
        )
    };
    statements
        .await
        .map(drop)
        .map_err(|error| Failure::of_commit(&error))
}

/// Rows as columns, which is how one statement takes any number of them.
struct Rows {
    revisions: Vec<i64>,
    ids: Vec<i64>,
    names: Vec<String>,
    documents: Vec<String>,
}

type Parameters<'a> = Vec<(&'a (dyn ToSql + Sync), Type)>;
type Executed<'a> = BoxFuture<'a, Result<(), tokio_postgres::Error>>;

fn execute<'a>(client: &'a Client, statement: &'static str, with: Parameters<'a>) -> Executed<'a> {
    Box::pin(async move {
        let done = client.execute_typed(statement, &with);
        done.map_ok(drop).await
    })
}

fn when<'a>(wanted: bool, executed: impl FnOnce() -> Executed<'a>) -> Executed<'a> {
    if wanted {
        executed()
    } else {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn delete<'a>(client: &'a Client, rows: &'a Rows) -> Executed<'a> {
    execute(
        client,
        "WITH gone AS (DELETE FROM catalog.services WHERE id = ANY ($2))
         INSERT INTO catalog.deletions (revision, id, name) SELECT * FROM unnest($1, $2, $3)",
        vec![
            (&rows.revisions, Type::INT8_ARRAY),
            (&rows.ids, Type::INT8_ARRAY),
            (&rows.names, Type::TEXT_ARRAY),
        ],
    )
}

fn upsert<'a>(client: &'a Client, rows: &'a Rows) -> Executed<'a> {
    execute(
        client,
        "INSERT INTO catalog.services (revision, id, name, document)
         SELECT * FROM unnest($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, document = excluded.document",
        vec![
            (&rows.revisions, Type::INT8_ARRAY),
            (&rows.ids, Type::INT8_ARRAY),
            (&rows.names, Type::TEXT_ARRAY),
            (&rows.documents, Type::TEXT_ARRAY),
        ],
    )
}

/// `kept`: how many deletions stay; none when there were no new ones, so that there is nothing to forget.
fn set_meta<'a>(client: &'a Client, meta: &'a [i64; 3], kept: Option<&'a i64>) -> Executed<'a> {
    let mut with: Parameters<'a> = Vec::new();
    for value in meta {
        with.push((value, Type::INT8));
    }
    let Some(kept) = kept else {
        let statement = "UPDATE catalog.meta SET revision = $1, next_id = $2, compacted = $3";
        return execute(client, statement, with);
    };
    with.push((kept, Type::INT8));
    execute(
        client,
        "WITH forgotten AS (
             DELETE FROM catalog.deletions WHERE revision <= (
                 SELECT revision FROM catalog.deletions ORDER BY revision DESC LIMIT 1 OFFSET $4)
             RETURNING revision)
         UPDATE catalog.meta SET revision = $1, next_id = $2,
             compacted = greatest($3, (SELECT max(revision) FROM forgotten))",
        with,
    )
}

// === impl Rows ===

impl Rows {
    fn put<'a>(services: impl Iterator<Item = &'a Service>) -> Result<Self, Failure> {
        let mut rows = Self::empty();
        for service in services {
            let document = serde_json::to_string(service)
                .map_err(|error| Failure::Failed(Cause::new(error.to_string())))?;
            rows.push(service.revision, service.id, service.name.as_str());
            rows.documents.push(document);
        }
        Ok(rows)
    }

    fn deleted(batch: &Batch) -> Self {
        let mut rows = Self::empty();
        for deleted in &batch.deleted {
            rows.push(deleted.revision, deleted.id, deleted.name.as_str());
        }
        rows
    }

    fn empty() -> Self {
        Self {
            revisions: Vec::new(),
            ids: Vec::new(),
            names: Vec::new(),
            documents: Vec::new(),
        }
    }

    fn push(&mut self, revision: Revision, id: ServiceId, name: &str) {
        self.revisions.push(column(revision.0));
        self.ids.push(column(id.0));
        self.names.push(name.to_owned());
    }
}
