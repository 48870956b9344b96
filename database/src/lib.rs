//! Where the catalog is kept: one trait, [`CatalogStore`], and the stores behind it.
//!
//! What a write *means* is decided by one pure function, [`decide()`], so that every store gives the same answers; a store only
//! adds atomicity, durability and order. SQL and Redis appear in this crate and nowhere else.
//!
//! Beside the catalog there is what becomes of calls: [`history`], kept answers ([`cache`]) and those that are carried out later
//! ([`jobs`]), in memory or shared by catalogs in a [`redis`].
//!
//! Must not know: HTTP, leases, watchers. It hands out whole services and revisions.

pub mod cache;
pub mod callers;
pub mod command;
pub mod decide;
pub mod found;
pub mod history;
pub mod jobs;
pub mod postgres;
pub mod receivers;
pub mod redis;
pub mod renewals;
pub mod retention;
pub mod sqlite;
pub mod store;

pub use callers::{CallerCount, CallerNote, Callers, Departed};
pub use command::{Command, Expect, Found, LeaseTerms, Refusal, declares, is_as_found};
pub use decide::{Decision, Outcome, Position, decide};
pub use postgres::{
    PostgresConfig, PostgresConfigError, PostgresError, PostgresStore, pool::PoolState,
};
pub use receivers::{ReceiverNote, Receivers};
pub use redis::{
    Redis, RedisCache, RedisConfig, RedisConfigError, RedisHistory, RedisJobs, SharedError,
};
pub use renewals::{Renewal, Renewals};
pub use retention::{DELETIONS_KEPT, Options};
pub use sqlite::{OpenError, Opened, SetAside, SqliteStore};
pub use store::{Availability, CatalogStore, Change, Changes, Committed, StoreError, WriteError};
