//! Servers of a test's own: each on a free port of 127.0.0.1, in a temporary folder, gone with its value. They can be killed, and started
//! again on the same port.
//!
//! The tests of several crates include this file by its path, so what belongs to it uses nothing but the standard library and `tempfile`.

mod postgres;
mod redis;
mod running;

pub(crate) use self::{
    postgres::{Durability, PostgresServer},
    redis::RedisServer,
};
