//! The answers of one process.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ANSWER_BYTES_MAX, AnswerCache, KEPT_MAX};
use crate::redis::SharedError;

/// A bounded table in memory.
pub struct MemoryCache {
    table: Mutex<Table>,
    total_bytes_max: usize,
}

#[derive(Default)]
struct Table {
    answers: HashMap<Arc<str>, (Instant, Bytes)>,
    /// The same, the one that ends soonest first.
    ends: BTreeSet<(Instant, Arc<str>)>,
    bytes: usize,
}

// === impl MemoryCache ===

impl MemoryCache {
    /// For so many bytes of answers.
    pub fn new(total_bytes_max: usize) -> Self {
        Self {
            table: Mutex::default(),
            total_bytes_max,
        }
    }
}

#[async_trait]
impl AnswerCache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, SharedError> {
        let table = self.table.lock();
        let found = table.answers.get(key);
        Ok(found
            .filter(|(end, _)| *end > Instant::now())
            .map(|(_, answer)| answer.clone()))
    }

    async fn put(&self, key: &str, answer: Bytes, kept: Duration) -> Result<(), SharedError> {
        let mut table = self.table.lock();
        table.remove(key);
        if answer.len() > ANSWER_BYTES_MAX.min(self.total_bytes_max) {
            return Ok(());
        }
        // Those that are over are the first ones, so there is nothing else to clear.
        while table.bytes + answer.len() > self.total_bytes_max {
            table.remove_first();
        }
        let key: Arc<str> = key.into();
        let end = Instant::now() + kept.min(KEPT_MAX);
        table.bytes += answer.len();
        table.ends.insert((end, Arc::clone(&key)));
        table.answers.insert(key, (end, answer));
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), SharedError> {
        self.table.lock().remove(key);
        Ok(())
    }
}

// === impl Table ===

impl Table {
    fn remove(&mut self, key: &str) {
        if let Some((key, (end, answer))) = self.answers.remove_entry(key) {
            self.ends.remove(&(end, key));
            self.bytes -= answer.len();
        }
    }

    fn remove_first(&mut self) {
        if let Some((_, key)) = self.ends.first().cloned() {
            self.remove(&key);
        }
    }
}
