//! Compressing small files, and keeping what was made.

use std::{
    collections::VecDeque, fs::File, io, io::Write as _, os::unix::fs::MetadataExt as _,
    time::SystemTime,
};

use ahash::AHashMap;
use bytes::Bytes;
use parking_lot::Mutex;

use super::encoding::Encoding;

/// Memory for compressed files, in bytes. The oldest go first: they are few, and making one anew costs milliseconds.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// Levels at which a megabyte takes some ten milliseconds.
const BROTLI_LEVEL: u32 = 5;
const BROTLI_WINDOW: u32 = 20;
const BROTLI_BUFFER_BYTES: usize = 4096;
const ZSTD_LEVEL: i32 = 5;
const GZIP_LEVEL: u32 = 6;

/// Which content of which file in which encoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    device: u64,
    inode: u64,
    modified: SystemTime,
    length: u64,
    encoding: Encoding,
}

/// Compressed files.
#[derive(Debug, Default)]
pub(super) struct Compressed(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    files: AHashMap<Key, Bytes>,
    order: VecDeque<Key>,
    bytes: usize,
}

// === impl Key ===

impl Key {
    pub(super) fn of(file: &File, modified: SystemTime, length: u64, encoding: Encoding) -> Self {
        // Without them every file would be its own.
        let (device, inode) = file
            .metadata()
            .map_or((0, 0), |metadata| (metadata.dev(), metadata.ino()));
        Self {
            device,
            inode,
            modified,
            length,
            encoding,
        }
    }
}

// === impl Compressed ===

impl Compressed {
    pub(super) fn get(&self, key: &Key) -> Option<Bytes> {
        self.0.lock().files.get(key).cloned()
    }

    pub(super) fn put(&self, key: Key, bytes: Bytes) {
        let mut kept = self.0.lock();
        kept.bytes += bytes.len();
        match kept.files.insert(key.clone(), bytes) {
            Some(before) => kept.bytes -= before.len(),
            None => kept.order.push_back(key),
        }
        while kept.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = kept.order.pop_front() else {
                return;
            };
            let freed = kept.files.remove(&oldest).map_or(0, |bytes| bytes.len());
            kept.bytes -= freed;
        }
    }
}

pub(super) fn compress(plain: &[u8], encoding: Encoding) -> io::Result<Bytes> {
    let bytes = match encoding {
        Encoding::Brotli => {
            let mut writer = brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_LEVEL,
                BROTLI_WINDOW,
            );
            writer.write_all(plain)?;
            writer.into_inner()
        }
        Encoding::Zstd => zstd::encode_all(plain, ZSTD_LEVEL)?,
        Encoding::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(plain)?;
            writer.finish()?
        }
    };
    Ok(bytes.into())
}
