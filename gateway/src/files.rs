//! Files of a folder, as answers.
//!
//! ```text
//! path ─▶ names (no dots, no encoded separators) ─▶ openat2 beneath the folder ─▶ whole file │ its .br .zst .gz sibling │ compressed here
//!      ─▶ preconditions (RFC 9110 §13) ─▶ 304 │ 412 │ range │ whole
//! ```
//!
//! The folder may change at any time; nothing about it is remembered but compressed bodies, by what they were made of.
//!
//! Files that are asked for often are in the kernel's memory. So each of these steps is tried at once first, in a way that never waits for
//! a disk (`RESOLVE_CACHED`, `RWF_NOWAIT`); what would wait runs on the blocking pool, at most [`READS_MAX`] at a time. A cache of open files
//! would save four system calls of a microsecond each, and show what is no longer there.
//!
//! Must not know: Pingora, routes, services.

mod compress;
mod conditions;
mod encoding;
mod find;
mod kind;
mod name;
mod open;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod range;

use std::{fs::File, path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::Semaphore;

use compress::Compressed;
use conditions::Verdict;
use encoding::{Accepted, Encoding};
use find::{Found, Miss, Patience, find, read_at, read_cached};
use range::Wanted;

/// Reads that run at the same time, over all requests. More wait.
const READS_MAX: usize = 64;
/// Part of a file that is read at once, in bytes.
pub(crate) const PIECE_BYTES: u64 = 64 << 10;
/// Largest file that is compressed here, in bytes. Larger ones are worth a sibling that was compressed before.
const COMPRESSED_BYTES_MAX: u64 = 1 << 20;
/// Smallest file that is worth it.
const COMPRESSED_BYTES_MIN: u64 = 256;

/// Serves files.
#[derive(Debug)]
pub struct Files {
    reads: Semaphore,
    compressed: Compressed,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// Where the content is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// None.
    Empty,
    /// In memory.
    Bytes(Bytes),
    /// In a file, from here to there.
    File(Arc<File>, u64, u64),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilesError {
    /// Nothing that may be served has this name.
    #[error("there is no such file")]
    NotFound,
    /// The folder itself is not there.
    #[error("the folder of this route does not exist")]
    NoFolder,
    /// The disk fails.
    #[error("the file cannot be read")]
    Unreadable,
}

// === impl Files ===

impl Default for Files {
    fn default() -> Self {
        Self {
            reads: Semaphore::new(READS_MAX),
            compressed: Compressed::default(),
        }
    }
}

impl Files {
    /// The answer to a GET or HEAD of `path` below a folder; `path` is normalised and begins with a slash. `location` is the path that the
    /// client asked for.
    ///
    /// # Errors
    /// [`FilesError`].
    pub(crate) async fn answer(
        self: &Arc<Self>,
        folder: &Path,
        path: &str,
        location: &str,
        request: &HeaderMap,
    ) -> Result<Answer, FilesError> {
        if path.is_empty() {
            return Ok(moved(location));
        }
        let mut names = name::parse(path).ok_or(FilesError::NotFound)?;
        let is_folder = path.ends_with('/');
        if is_folder {
            names.push("index.html".to_owned());
        }
        let accepted = Accepted::read(request);
        let has_range = request.contains_key(header::RANGE);
        let wanted = names.join("/");
        let Some(found) = self.find(folder, &wanted, &accepted).await? else {
            return Ok(moved(location));
        };
        let kind = kind::of(&wanted);
        let modified = found.modified;
        let (content, length, encoding) = match self.compress(&found, &kind, &accepted, has_range) {
            Some(encoding) => {
                let bytes = self.compressed(found, encoding).await?;
                let length = bytes.len() as u64;
                (Content::Bytes(bytes), length, Some(encoding))
            }
            None => {
                let (length, encoding) = (found.length, found.encoding);
                let content = Content::File(Arc::new(found.file), 0, length);
                (content, length, encoding)
            }
        };
        let headers = headers(&wanted, &kind, modified, length, encoding);
        Ok(select(request, headers, modified, content, length))
    }

    /// Reads a part of a file.
    ///
    /// # Errors
    /// [`FilesError::Unreadable`], also when the file has become shorter.
    pub(crate) async fn read(
        &self,
        file: Arc<File>,
        from: u64,
        length: u64,
    ) -> Result<Bytes, FilesError> {
        if let Some(bytes) = read_cached(&file, from, length) {
            return Ok(bytes);
        }
        self.blocking(move || read_at(&file, from, length)).await?
    }

    async fn find(
        &self,
        folder: &Path,
        name: &str,
        accepted: &Accepted,
    ) -> Result<Option<Found>, FilesError> {
        match find(folder, name, accepted, Patience::None) {
            Ok(found) => return Ok(found),
            Err(Miss::No(error)) => return Err(error),
            Err(Miss::WouldWait) => {}
        }
        let (folder, name) = (folder.to_owned(), name.to_owned());
        let accepted = accepted.clone();
        self.blocking(
            move || match find(&folder, &name, &accepted, Patience::Waits) {
                Ok(found) => Ok(found),
                Err(Miss::No(error)) => Err(error),
                Err(Miss::WouldWait) => Err(FilesError::Unreadable),
            },
        )
        .await?
    }

    /// In which encoding the file is compressed here; none when it is not.
    fn compress(
        &self,
        found: &Found,
        kind: &kind::Kind,
        accepted: &Accepted,
        has_range: bool,
    ) -> Option<Encoding> {
        let is_worth_it = found.encoding.is_none()
            && kind.is_compressible
            && (COMPRESSED_BYTES_MIN..=COMPRESSED_BYTES_MAX).contains(&found.length);
        // Parts of something that is made anew each time would not fit together.
        (is_worth_it && !has_range)
            .then(|| accepted.best(&Encoding::ALL))
            .flatten()
    }

    async fn compressed(
        self: &Arc<Self>,
        found: Found,
        encoding: Encoding,
    ) -> Result<Bytes, FilesError> {
        let this = Arc::clone(self);
        self.blocking(move || {
            let key = compress::Key::of(&found.file, found.modified, found.length, encoding);
            if let Some(known) = this.compressed.get(&key) {
                return Ok(known);
            }
            let plain = read_at(&found.file, 0, found.length)?;
            let bytes = compress::compress(&plain, encoding).map_err(|_| FilesError::Unreadable)?;
            this.compressed.put(key, bytes.clone());
            Ok(bytes)
        })
        .await?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FilesError> {
        let _permit = self.reads.acquire().await;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| FilesError::Unreadable)
    }
}

fn headers(
    name: &str,
    kind: &kind::Kind,
    modified: SystemTime,
    length: u64,
    encoding: Option<Encoding>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str| {
        // Made of letters, digits and what the type of a file has: always valid.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, &kind.content_type);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::ETAG, &conditions::etag(modified, length, encoding));
    set(header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    set(header::ACCEPT_RANGES, "bytes");
    set(header::VARY, "accept-encoding");
    set(header::CACHE_CONTROL, kind::cache_control(name));
    if let Some(encoding) = encoding {
        set(header::CONTENT_ENCODING, encoding.token());
    }
    headers
}

/// Preconditions first, then the range (RFC 9110 §13.2.2).
fn select(
    request: &HeaderMap,
    mut headers: HeaderMap,
    modified: SystemTime,
    content: Content,
    length: u64,
) -> Answer {
    let etag = headers.get(header::ETAG).cloned();
    let etag = etag.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    match conditions::evaluate(request, etag, modified) {
        Verdict::Failed => return empty(StatusCode::PRECONDITION_FAILED, headers),
        Verdict::NotModified => {
            for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                headers.remove(name);
            }
            return Answer {
                status: StatusCode::NOT_MODIFIED,
                headers,
                content: Content::Empty,
            };
        }
        Verdict::Passed => {}
    }
    let wanted = if conditions::if_range(request, etag, modified) {
        range::wanted(request, length)
    } else {
        Wanted::Whole
    };
    match wanted {
        Wanted::Whole => {
            headers.insert(header::CONTENT_LENGTH, length.into());
            Answer {
                status: StatusCode::OK,
                headers,
                content,
            }
        }
        Wanted::Part { first, last } => {
            insert(&mut headers, format!("bytes {first}-{last}/{length}"));
            headers.insert(header::CONTENT_LENGTH, (last - first + 1).into());
            Answer {
                status: StatusCode::PARTIAL_CONTENT,
                headers,
                content: content.part(first, last + 1),
            }
        }
        Wanted::Nothing => {
            insert(&mut headers, format!("bytes */{length}"));
            empty(StatusCode::RANGE_NOT_SATISFIABLE, headers)
        }
    }
}

fn insert(headers: &mut HeaderMap, content_range: String) {
    if let Ok(value) = HeaderValue::try_from(content_range) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

/// Relative links in a folder's page need the slash.
fn moved(location: &str) -> Answer {
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::try_from(format!("{location}/")) {
        headers.insert(header::LOCATION, location);
    }
    empty(StatusCode::PERMANENT_REDIRECT, headers)
}

fn empty(status: StatusCode, mut headers: HeaderMap) -> Answer {
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_LENGTH, 0.into());
    Answer {
        status,
        headers,
        content: Content::Empty,
    }
}

// === impl Content ===

impl Content {
    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, from, to) => to - from,
        }
    }

    fn part(self, from: u64, to: u64) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Bytes(bytes) => Self::Bytes(bytes.slice(from as usize..to as usize)),
            Self::File(file, ..) => Self::File(file, from, to),
        }
    }
}
