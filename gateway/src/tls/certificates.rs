//! Which certificate a client gets.

use std::{fmt, sync::Arc};

use ahash::AHashMap;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::pair::{Pair, PairError, PairFiles};

/// Every certificate of the gateway. The first is for clients that name no host, or one that none of them is for.
pub struct Certificates {
    files: Vec<PairFiles>,
    /// The last good one of each. One reload at a time; never taken by a handshake.
    pairs: Mutex<Vec<Pair>>,
    table: ArcSwap<Table>,
}

/// Look-ups of a handshake, built once per reload.
struct Table {
    exact: AHashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcard: AHashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

// === impl Certificates ===

impl Certificates {
    /// Loads every pair; the first is the default.
    ///
    /// # Errors
    /// The first pair that cannot be used.
    pub fn load(default: PairFiles, further: Vec<PairFiles>) -> Result<Arc<Self>, PairError> {
        let first = default.load()?;
        let mut files = vec![default];
        let mut pairs = vec![first.clone()];
        for each in further {
            let pair = each.load()?;
            if pair.names.is_empty() {
                return Err(PairError::Nameless(each.cert));
            }
            pairs.push(pair);
            files.push(each);
        }
        Ok(Arc::new(Self {
            files,
            table: ArcSwap::from_pointee(Table::new(&first, &pairs)),
            pairs: Mutex::new(pairs),
        }))
    }

    /// Reads every file again. A pair that cannot be used is told, and its last good one stays. Reads files: not for a task that
    /// others wait for.
    pub(crate) fn reload(&self) -> Vec<PairError> {
        let mut pairs = self.pairs.lock();
        let mut errors = Vec::new();
        for (files, pair) in self.files.iter().zip(pairs.iter_mut()) {
            match files.load() {
                Ok(fresh) => *pair = fresh,
                Err(error) => errors.push(error),
            }
        }
        if let Some(first) = pairs.first() {
            self.table.store(Arc::new(Table::new(first, &pairs)));
        }
        errors
    }

    /// Where they lie.
    pub(crate) fn files(&self) -> &[PairFiles] {
        &self.files
    }

    /// A name for each, its first DNS name or its file, and when it ends in seconds since 1970.
    pub(crate) fn expiries(&self) -> Vec<(String, i64)> {
        let pairs = self.pairs.lock();
        self.files
            .iter()
            .zip(pairs.iter())
            .map(|(files, pair)| {
                let name = pair.names.first().cloned();
                let name = name.unwrap_or_else(|| files.cert.display().to_string());
                (name, pair.expires)
            })
            .collect()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.table.load().find(hello.server_name()))
    }
}

// === impl Table ===

impl Table {
    fn new(first: &Pair, pairs: &[Pair]) -> Self {
        let mut table = Self {
            exact: AHashMap::new(),
            wildcard: AHashMap::new(),
            default: Arc::clone(&first.certified),
        };
        // The one that is listed first wins a name that several have.
        for pair in pairs.iter().rev() {
            for name in &pair.names {
                let certified = Arc::clone(&pair.certified);
                match name.strip_prefix("*.") {
                    Some(parent) => table.wildcard.insert(parent.to_owned(), certified),
                    None => table.exact.insert(name.clone(), certified),
                };
            }
        }
        table
    }

    /// A wildcard stands for exactly one label (RFC 9525 §6.3).
    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.exact
                .get(&name)
                .or_else(|| parent.and_then(|parent| self.wildcard.get(parent)))
        });
        Arc::clone(found.unwrap_or(&self.default))
    }
}
