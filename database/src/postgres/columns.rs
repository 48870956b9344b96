//! How numbers and services of ours become columns, and back.

use std::time::Duration;

use catalog_api::Service;
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::{Row, types::FromSql};

use super::error::{Cause, Failure};

/// PostgreSQL's integers are signed. A number beyond them was never stored, so the largest one serves as "not there".
pub(super) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`column()`]; negative numbers are never stored.
pub(super) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// An age as a column of microseconds.
pub(super) fn micros(age: Duration) -> i64 {
    i64::try_from(age.as_micros()).unwrap_or(i64::MAX)
}

/// A column of a row.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, Failure> {
    row.try_get(index).map_err(|error| Failure::of(&error))
}

/// A service out of its JSON.
pub(super) fn service(document: &str) -> Result<Service, Failure> {
    serde_json::from_str(document)
        .map_err(|error| Failure::Failed(Cause::new(format!("a document is no service: {error}"))))
}

/// A note's part that is kept as JSON.
pub(super) fn to_json(part: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(part).map_err(|error| Failure::Failed(Cause::new(error.to_string())))
}

/// The reverse of [`to_json()`].
pub(super) fn from_json<T: DeserializeOwned>(document: &str) -> Result<T, Failure> {
    serde_json::from_str(document).map_err(|error| Failure::Failed(Cause::new(error.to_string())))
}
