//! The stores against their contract, through the public interface only.

mod conformance;
mod fixture;
mod kill;
mod model;
mod sqlite;
