//! What went wrong with PostgreSQL: said so that somebody can act on it, without user or password, and sorted by what it means for
//! whoever waits.

use std::{fmt, io, sync::Arc};

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::{command::Refusal, store::StoreError};

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server cannot be reached or does not take connections. May pass on its own.
    #[error(
        "cannot reach PostgreSQL at {target}; check that it runs and that DATABASE_URL is right"
    )]
    Unreachable {
        /// Host, port, database.
        target: String,
        /// Why.
        source: Cause,
    },
    /// It does not let us in.
    #[error(
        "PostgreSQL at {target} refuses the user or the password; correct them in DATABASE_URL"
    )]
    LoginRefused {
        /// Host, port, database.
        target: String,
        /// Why.
        source: Cause,
    },
    /// There is no such database.
    #[error("PostgreSQL has no database as in {target}; create it, or correct DATABASE_URL")]
    NoDatabase {
        /// Host, port, database.
        target: String,
    },
    /// The user may not do what is needed.
    #[error(
        "the user of DATABASE_URL may not use the schema \"catalog\" at {target}; grant CREATE on the database once"
    )]
    NotPermitted {
        /// Host, port, database.
        target: String,
        /// Why.
        source: Cause,
    },
    /// It was written by a newer version.
    #[error(
        "the database at {target} has schema version {found}, this program knows up to {known}; use the newer program, or a backup"
    )]
    Newer {
        /// Host, port, database.
        target: String,
        /// Version in the database.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// Its schema "catalog" belongs to something else.
    #[error(
        "the schema \"catalog\" of the database at {target} belongs to another program; choose another database"
    )]
    Foreign {
        /// Host, port, database.
        target: String,
    },
    /// The first services of a new catalog are not acceptable.
    #[error("cannot create the first services")]
    Seed(#[from] Refusal),
    /// Anything else the server says.
    #[error("cannot prepare the database at {target}")]
    Failed {
        /// Host, port, database.
        target: String,
        /// Why.
        source: Cause,
    },
}

/// What the server or the network said, fit for logs. Cheap to clone: one failure may concern many who wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause(Arc<str>);

/// One failure, and what it means.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No connection is free.
    Busy,
    /// The database cannot be asked now; nothing happened.
    Unavailable(Cause),
    /// It went away during a commit.
    OutcomeUnknown(Cause),
    /// It works, but not this.
    Failed(Cause),
}

// === impl PostgresError ===

impl PostgresError {
    /// Whether it may pass without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(super) fn new(target: &str, error: &tokio_postgres::Error) -> Self {
        let target = target.to_owned();
        let source = Cause::from(error);
        match error.code() {
            Some(code) if code.code().starts_with("28") => Self::LoginRefused { target, source },
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => Self::NoDatabase { target },
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::NotPermitted { target, source }
            }
            Some(code) if *code == SqlState::DUPLICATE_TABLE => Self::Foreign { target },
            _ if is_outage(error) => Self::Unreachable { target, source },
            // Without a server's word: the password is missing, or its method is unknown to us.
            None if error.to_string().contains("configuration")
                || error.to_string().contains("authentication") =>
            {
                Self::LoginRefused { target, source }
            }
            _ => Self::Failed { target, source },
        }
    }
}

// === impl Cause ===

impl Cause {
    pub(super) fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

impl From<&tokio_postgres::Error> for Cause {
    fn from(error: &tokio_postgres::Error) -> Self {
        if let Some(error) = error.as_db_error() {
            return Self::new(said(error));
        }
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self::new(text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// The server's message, without its details (they quote rows), and without what it says about logins (that quotes the user).
fn said(error: &DbError) -> String {
    let code = error.code().code();
    if code.starts_with("28") {
        return format!("the login was refused (SQLSTATE {code})");
    }
    format!("{} (SQLSTATE {code})", error.message())
}

// === impl Failure ===

impl Failure {
    /// Of a statement that has not changed anything for good.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let cause = Cause::from(error);
        if is_outage(error) {
            Self::Unavailable(cause)
        } else {
            Self::Failed(cause)
        }
    }

    /// Of statements that were sent together with their COMMIT.
    pub(super) fn of_commit(error: &tokio_postgres::Error) -> Self {
        // An ERROR is the server's word that the transaction is off. Anything else may have come after the commit.
        let aborted = error
            .as_db_error()
            .is_some_and(|error| error.parsed_severity() == Some(Severity::Error));
        if aborted {
            Self::of(error)
        } else {
            Self::OutcomeUnknown(Cause::from(error))
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            Failure::Unavailable(cause) => Self::Unavailable(cause.into()),
            Failure::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause.into()),
            Failure::Failed(cause) => Self::Failed(cause.into()),
        }
    }
}

/// Whether the database cannot be asked now, as against: it was asked, and objects.
fn is_outage(error: &tokio_postgres::Error) -> bool {
    if let Some(code) = error.code() {
        // By class: 08 connection, 28 login, 40 rolled back in favour of another, 57 operator or timeout.
        return ["08", "28", "40", "57"]
            .iter()
            .any(|class| code.code().starts_with(class))
            || [
                SqlState::TOO_MANY_CONNECTIONS,
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::READ_ONLY_SQL_TRANSACTION,
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            ]
            .contains(code);
    }
    match std::error::Error::source(error) {
        Some(source) => source.is::<io::Error>(),
        // Closed, timed out, out of step.
        None => true,
    }
}
