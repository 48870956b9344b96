//! From a path to a connection that can be trusted: ours, of this version, undamaged. Decides what is damage (set aside, start
//! anew) and what is an obstacle (refuse, touch nothing).

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use catalog_api::{Revision, ServiceId, ServiceSpec, Timestamp};
use rusqlite::{Connection, ErrorCode, TransactionBehavior, config::DbConfig};

use super::{OpenError, SetAside, schema, set_aside::set_aside};
use crate::{
    command::{Command, Refusal},
    decide::{Decision, Position, decide},
};

/// Longest wait for a lock that another program (a backup, a shell) holds on the file.
pub(super) const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);

/// Statements that stay prepared; the program has about a dozen.
const STATEMENTS_MAX: usize = 32;

/// Why one attempt to open failed.
enum Failure {
    /// The content is beyond use.
    Damaged(String),
    /// Something stands in the way.
    Obstacle(OpenError),
}

pub(super) fn open(
    path: &Path,
    seeds: &[ServiceSpec],
) -> Result<(Connection, Revision, Option<SetAside>), OpenError> {
    let reason = match attempt(path, seeds, Revision::default()) {
        Ok((connection, head)) => return Ok((connection, head, None)),
        Err(Failure::Obstacle(error)) => return Err(error),
        Err(Failure::Damaged(reason)) => reason,
    };
    let kept = set_aside(path).map_err(|source| OpenError::Stuck {
        path: path.to_owned(),
        source,
    })?;
    let start = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    match attempt(path, seeds, Revision(start)) {
        Ok((connection, head)) => Ok((connection, head, Some(SetAside { path: kept, reason }))),
        Err(Failure::Obstacle(error)) => Err(error),
        Err(Failure::Damaged(reason)) => Err(OpenError::Stuck {
            path: path.to_owned(),
            source: io::Error::other(format!("its new file is damaged as well: {reason}")),
        }),
    }
}

/// `start` is the revision before the first one of a new database.
fn attempt(
    path: &Path,
    seeds: &[ServiceSpec],
    start: Revision,
) -> Result<(Connection, Revision), Failure> {
    let classify = |error: rusqlite::Error| classify(path, error);
    let mut connection = Connection::open(path).map_err(classify)?;
    connection.busy_timeout(LOCK_WAIT_MAX).map_err(classify)?;
    // Until the file is known to be sound: closing it would fold the log into a damaged file and delete the log.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(classify)?;
    let version = identify(path, &connection)?;
    // FULL: in WAL mode anything less may lose acknowledged writes when the power fails.
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(classify)?;
    if mode != "wal" {
        return Err(Failure::Obstacle(OpenError::Folder {
            path: path.to_owned(),
            source: io::Error::other("its file system has no shared memory, which WAL mode needs"),
        }));
    }
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(classify)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    if version < schema::VERSION {
        create_or_migrate(&mut connection, version, seeds, start).map_err(|error| match error {
            Creation::Sqlite(error) => classify(error),
            Creation::Seed(refusal) => Failure::Obstacle(OpenError::Seed(refusal)),
        })?;
    }
    let head = verify(&connection).map_err(|error| match error {
        Verdict::Sqlite(error) => classify(error),
        Verdict::Damaged(reason) => Failure::Damaged(reason),
    })?;
    connection
        .set_db_config(keep_log, false)
        .map_err(classify)?;
    Ok((connection, head))
}

/// Version of the schema in the file, 0 when it is new; refuses what is not ours before anything is written.
fn identify(path: &Path, connection: &Connection) -> Result<usize, Failure> {
    let classify = |error| classify(path, error);
    let read =
        |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let version = read("user_version").map_err(classify)?;
    let application = read("application_id").map_err(classify)?;
    // The count of schema entries, not the file's size: an interrupted creation leaves an empty but valid file.
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(classify)?;
    if application != schema::APPLICATION_ID && tables > 0 {
        return Err(Failure::Obstacle(OpenError::Foreign {
            path: path.to_owned(),
        }));
    }
    usize::try_from(version)
        .ok()
        .filter(|version| *version <= schema::VERSION)
        .ok_or_else(|| {
            Failure::Obstacle(OpenError::Newer {
                path: path.to_owned(),
                found: version,
                known: schema::VERSION,
            })
        })
}

/// Damage is what SQLite itself calls so; a lock, a full disk or missing permission is not.
fn classify(path: &Path, error: rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Failure::Damaged(error.to_string())
        }
        _ => Failure::Obstacle(OpenError::Open {
            path: path.to_owned(),
            source: error,
        }),
    }
}

enum Creation {
    Sqlite(rusqlite::Error),
    Seed(Refusal),
}

impl From<rusqlite::Error> for Creation {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Tables and first services come in one transaction, so that a crash cannot leave a catalog without them.
fn create_or_migrate(
    connection: &mut Connection,
    version: usize,
    seeds: &[ServiceSpec],
    start: Revision,
) -> Result<(), Creation> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::migrate(&transaction, version)?;
    if version == 0 {
        let mut meta = schema::Meta {
            revision: start,
            next_id: ServiceId(1),
            compacted: start,
        };
        for (services, seed) in seeds.iter().enumerate() {
            let command = Command::Create(seed.clone());
            let current = schema::service(&transaction, &command.target())?;
            let position = Position {
                revision: meta.revision.next(),
                next_id: meta.next_id,
                services,
                now: Timestamp::now(),
            };
            if let Decision::Put(service, _) =
                decide(current.as_ref(), &command, &position).map_err(Creation::Seed)?
            {
                schema::put_service(&transaction, &service)?;
                meta.revision = service.revision;
                meta.next_id = ServiceId(service.id.0 + 1);
            }
        }
        schema::set_meta(&transaction, &meta)?;
    }
    transaction.commit()?;
    Ok(())
}

enum Verdict {
    Sqlite(rusqlite::Error),
    Damaged(String),
}

/// Reads everything once. What cannot be read now could not be served later either.
fn verify(connection: &Connection) -> Result<Revision, Verdict> {
    let check: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(Verdict::Sqlite)?;
    if check != "ok" {
        return Err(Verdict::Damaged(check));
    }
    let head = super::reader::snapshot(connection).map(|snapshot| snapshot.revision);
    head.map_err(|error| match &error {
        rusqlite::Error::SqliteFailure(failure, _) if failure.code != ErrorCode::Unknown => {
            Verdict::Sqlite(error)
        }
        // A missing table or row, a column of another type, a document that is not a service.
        _ => Verdict::Damaged(error.to_string()),
    })
}
