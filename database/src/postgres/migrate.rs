//! Brings a database to this version, once, however many catalogs start on it at the same time.

use std::time::Duration;

use catalog_api::{Revision, ServiceId, ServiceSpec};
use tokio_postgres::{Client, NoTls, types::Type};

use super::{
    batch::{Batch, Meta},
    columns::column,
    config::PostgresConfig,
    error::{Cause, Failure, PostgresError},
    read, transaction,
};
use crate::command::Command;

/// One script per version, oldest first. A script that was released is never changed.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/postgres/0001_catalog.sql"),
    include_str!("../../migrations/postgres/0002_receivers.sql"),
    include_str!("../../migrations/postgres/0003_draining.sql"),
];

/// Whoever holds this advisory lock changes the schema: "catg" in ASCII. Released with its transaction.
const LOCK: i64 = 0x6361_7467;

/// Longest time for all of it, waiting for another catalog that does the same included.
const MIGRATION_MAX: Duration = Duration::from_secs(60);

/// The schema as it has to be, and the revision it is at. Creates `seeds` in a new catalog.
pub(super) async fn prepare(
    config: &PostgresConfig,
    seeds: &[ServiceSpec],
) -> Result<Revision, PostgresError> {
    let target = config.target();
    let connecting = config.driver.connect(NoTls);
    let (client, connection) = tokio::time::timeout(config.connect_wait_max, connecting)
        .await
        .map_err(|_| late(target))?
        .map_err(|error| PostgresError::new(target, &error))?;
    let work = async {
        if version(target, &client).await? < newest() {
            migrate(target, &client, seeds).await?;
        }
        read::head(&client)
            .await
            .map_err(|failure| failed(target, failure))
    };
    tokio::select! {
        // Driven here, so that it ends with this function.
        ended = connection => Err(match ended {
            Err(error) => PostgresError::new(target, &error),
            Ok(()) => late(target),
        }),
        done = tokio::time::timeout(MIGRATION_MAX, work) => done.unwrap_or_else(|_| Err(late(target))),
    }
}

fn newest() -> i64 {
    column(MIGRATIONS.len() as u64)
}

/// Version of the schema, 0 when there is none.
async fn version(target: &str, client: &Client) -> Result<i64, PostgresError> {
    let known = |error| PostgresError::new(target, &error);
    // Not `to_regclass`: it answers from a cache that does not hear, within one transaction, of what another one has created.
    let there = client
        .query_typed_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables
             WHERE schemaname = 'catalog' AND tablename = 'schema_version')",
            &[],
        )
        .await
        .map_err(known)?;
    if !there.try_get::<_, bool>(0).map_err(known)? {
        return Ok(0);
    }
    let found = client
        .query_typed_one(
            "SELECT coalesce(max(version), 0) FROM catalog.schema_version",
            &[],
        )
        .await
        .map_err(known)?;
    let found: i64 = found.try_get(0).map_err(known)?;
    if found > newest() {
        return Err(PostgresError::Newer {
            target: target.to_owned(),
            found,
            known: newest(),
        });
    }
    Ok(found)
}

/// Tables and first services come in one transaction, so that a crash cannot leave a catalog without them.
async fn migrate(
    target: &str,
    client: &Client,
    seeds: &[ServiceSpec],
) -> Result<(), PostgresError> {
    let known = |error| PostgresError::new(target, &error);
    // The limits of ordinary statements are too short for waiting on another catalog that is at it.
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL READ COMMITTED;
             SET LOCAL statement_timeout = '60s';",
        )
        .await
        .map_err(known)?;
    client
        .execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])
        .await
        .map_err(known)?;
    // Again, now that nobody else can change it.
    let before = version(target, client).await?;
    if before == newest() {
        return client.batch_execute("ROLLBACK").await.map_err(known);
    }
    create_schema(client).await.map_err(known)?;
    for (script, version) in MIGRATIONS.iter().zip(1_i64..) {
        if version > before {
            client.batch_execute(script).await.map_err(known)?;
            client
                .execute_typed(
                    "INSERT INTO catalog.schema_version (version) VALUES ($1)",
                    &[(&version, Type::INT8)],
                )
                .await
                .map_err(known)?;
        }
    }
    if before == 0 {
        sow(target, client, seeds).await
    } else {
        client.batch_execute("COMMIT").await.map_err(known)
    }
}

async fn create_schema(client: &Client) -> Result<(), tokio_postgres::Error> {
    // Not "IF NOT EXISTS": that needs the right to create one even when it is there, prepared by somebody who has the right.
    let there = client
        .query_typed_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'catalog')",
            &[],
        )
        .await?;
    if !there.try_get::<_, bool>(0)? {
        client.batch_execute("CREATE SCHEMA catalog").await?;
    }
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS catalog.schema_version (
                 version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await
}

/// The first services. Commits.
async fn sow(target: &str, client: &Client, seeds: &[ServiceSpec]) -> Result<(), PostgresError> {
    let start = Meta {
        revision: Revision::default(),
        next_id: ServiceId(1),
        compacted: Revision::default(),
    };
    client
        .batch_execute("INSERT INTO catalog.meta (revision, next_id, compacted) VALUES (0, 1, 0)")
        .await
        .map_err(|error| PostgresError::new(target, &error))?;
    let mut batch = Batch::new(start, Revision::default(), 0, Vec::new());
    for seed in seeds {
        batch.carry_out(&Command::Create(seed.clone()))?;
    }
    transaction::commit(client, &batch, 0)
        .await
        .map_err(|failure| failed(target, failure))
}

fn late(target: &str) -> PostgresError {
    PostgresError::Unreachable {
        target: target.to_owned(),
        source: Cause::new("the server did not answer in time"),
    }
}

fn failed(target: &str, failure: Failure) -> PostgresError {
    let target = target.to_owned();
    match failure {
        Failure::Failed(source) => PostgresError::Failed { target, source },
        Failure::Unavailable(source) | Failure::OutcomeUnknown(source) => {
            PostgresError::Unreachable { target, source }
        }
        Failure::Busy => late(&target),
    }
}
