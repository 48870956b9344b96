//! The tables, their version, and how numbers of ours become columns.

use catalog_api::{Revision, Service, ServiceId, ServiceRef};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// One script per version, oldest first. A script that was released is never changed.
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/sqlite/0001_catalog.sql")];

/// Version of the newest script.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Marks the file as ours (`PRAGMA application_id`): "catg" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x6361_7467;

/// The row of `meta`.
pub(super) struct Meta {
    pub(super) revision: Revision,
    pub(super) next_id: ServiceId,
    pub(super) compacted: Revision,
}

/// Runs the scripts above `version`, in the caller's transaction.
pub(super) fn migrate(transaction: &Transaction<'_>, version: usize) -> rusqlite::Result<()> {
    for script in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", column(VERSION as u64))
}

pub(super) fn meta(connection: &Connection) -> rusqlite::Result<Meta> {
    connection
        .prepare_cached("SELECT revision, next_id, compacted FROM meta")?
        .query_row([], |row| {
            Ok(Meta {
                revision: Revision(number(row.get(0)?)),
                next_id: ServiceId(number(row.get(1)?)),
                compacted: Revision(number(row.get(2)?)),
            })
        })
}

pub(super) fn set_meta(connection: &Connection, meta: &Meta) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta VALUES (1, ?1, ?2, ?3)")?
        .execute(params![
            column(meta.revision.0),
            column(meta.next_id.0),
            column(meta.compacted.0)
        ])
        .map(drop)
}

pub(super) fn service(
    connection: &Connection,
    target: &ServiceRef,
) -> rusqlite::Result<Option<Service>> {
    match target {
        ServiceRef::Id(id) => connection
            .prepare_cached("SELECT document FROM services WHERE id = ?1")?
            .query_row([column(id.0)], |row| document(row, 0)),
        ServiceRef::Name(name) => connection
            .prepare_cached("SELECT document FROM services WHERE name = ?1")?
            .query_row([name.as_str()], |row| document(row, 0)),
    }
    .optional()
}

pub(super) fn put_service(connection: &Connection, service: &Service) -> rusqlite::Result<()> {
    let document = serde_json::to_string(service)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection
        .prepare_cached(
            "INSERT INTO services VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, document = excluded.document",
        )?
        .execute(params![
            column(service.id.0),
            service.name.as_str(),
            column(service.revision.0),
            document
        ])
        .map(drop)
}

/// A service out of its JSON column.
pub(super) fn document(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Service> {
    serde_json::from_str(row.get_ref(index)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    })
}

/// SQLite's integers are signed. A number beyond them was never stored, so the largest one serves as "not there".
pub(super) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`column()`]; negative numbers are never stored.
pub(super) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}
