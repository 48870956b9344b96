//! Answers that are kept for a while: bytes under a key. What may be kept and for how long is the caller's business.
//!
//! [`MemoryCache`] is of one process, [`RedisCache`](crate::redis::RedisCache) of all catalogs on one Redis. Both are [`AnswerCache`]
//! and give the same answers (`tests/store/cache.rs`): one answer is bounded, all together are bounded, and when there is no room, those
//! go that would end soonest.

mod memory;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::memory::MemoryCache;
use crate::redis::SharedError;

/// Longest answer, in bytes. Longer ones are not kept.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of all answers together.
pub const TOTAL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest time for which an answer is kept.
pub const KEPT_MAX: Duration = Duration::from_secs(60 * 60);

/// Keeps answers.
#[async_trait]
pub trait AnswerCache: Send + Sync + 'static {
    /// The answer under a key, if there is one and its time is not over.
    ///
    /// # Errors
    /// [`SharedError`]: it could not be reached.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, SharedError>;

    /// Keeps an answer, in place of the one that is there. At most for [`KEPT_MAX`]; not at all when it is too long.
    ///
    /// # Errors
    /// [`SharedError`]: it could not be reached.
    async fn put(&self, key: &str, answer: Bytes, kept: Duration) -> Result<(), SharedError>;

    /// Forgets the answer under a key.
    ///
    /// # Errors
    /// [`SharedError`]: it could not be reached.
    async fn remove(&self, key: &str) -> Result<(), SharedError>;
}
