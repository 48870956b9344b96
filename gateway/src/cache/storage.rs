//! The store as Pingora sees it.

use std::{any::Any, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header;
use pingora_cache::{
    CacheKey, CacheMeta, HitHandler, MissHandler, PurgeOutcome, PurgeTarget, PurgeType, Storage,
    key::CacheHashKey,
    storage::{HandleHit, HandleMiss, MissFinishType},
    trace::SpanHandle,
};
use pingora_error::{Error, ErrorType, Result};

use super::{
    Cache, Fetch,
    budget::Charge,
    key,
    object::{Body, Object, header_bytes},
    purge::Selector,
    shard::{EntryId, UrlId},
};

/// Part of a kept body that is written to a client at once: its time limit is for each write.
const PIECE_BYTES: usize = 64 << 10;
/// Share of a body's memory that may be unused: one part in so many.
const SLACK_SHARE: usize = 8;

/// Reads a kept body.
struct Hit {
    object: Arc<Object>,
    left: Range<usize>,
}

/// Takes the answer of a service.
struct Fill {
    cache: &'static Cache,
    url_id: UrlId,
    id: EntryId,
    fetch: Fetch,
    /// Taken when the object is made.
    parts: Option<Parts>,
}

struct Parts {
    meta: CacheMeta,
    header_charge: Charge,
    body: BytesMut,
    body_charge: Charge,
}

#[async_trait]
impl Storage for Cache {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let (url, id) = place(key);
        Ok(self.store.get(url, id).map(|object| {
            let meta = object.meta();
            let left = 0..object.body.bytes.len();
            (meta, Box::new(Hit { object, left }) as HitHandler)
        }))
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<MissHandler> {
        let (url_id, id) = place(key);
        let Some(fetch) = key.extensions.get::<Fetch>().cloned() else {
            return Err(full("the key was not made by this cache"));
        };
        let headers = header_bytes(meta.headers(), &fetch.url);
        // A longer one was refused before; without a length it shows while it comes.
        let announced = content_length(meta)
            .unwrap_or(0)
            .min(fetch.object_bytes_max);
        let header_charge = self.store.charge(headers, announced);
        let body_charge = self.store.charge(announced, headers);
        let (Some(header_charge), Some(body_charge)) = (header_charge, body_charge) else {
            return Err(full("no room in the cache"));
        };
        Ok(Box::new(Fill {
            cache: self,
            url_id,
            id,
            fetch,
            parts: Some(Parts {
                meta: copy(meta),
                header_charge,
                body: BytesMut::with_capacity(announced),
                body_charge,
            }),
        }))
    }

    async fn purge(
        &'static self,
        target: PurgeTarget<'_>,
        _purge_type: PurgeType,
        _trace: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        // Every variant, as a purge by URL does; Pingora itself asks for it only where PURGE requests are let in.
        let id = key::url_of(&target.key().primary_bin());
        Ok(match self.store.purge(&Selector::Url { id }) {
            0 => PurgeOutcome::NotFound,
            _ => PurgeOutcome::Purged(None),
        })
    }

    async fn update_meta(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<bool> {
        let (url, id) = place(key);
        Ok(self.store.replace(url, id, |before| {
            let charge = self
                .store
                .charge(header_bytes(meta.headers(), &before.url), 0)?;
            let header = meta.response_header_copy();
            let (url, body) = (Arc::clone(&before.url), Arc::clone(&before.body));
            Some(Object::new(url, meta, header, body, charge))
        }))
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

#[async_trait]
impl HandleHit for Hit {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let end = self.left.end.min(self.left.start + PIECE_BYTES);
        let piece = self.object.body.bytes.slice(self.left.start..end);
        self.left.start = end;
        Ok(Some(piece))
    }

    async fn finish(
        self: Box<Self>,
        _storage: &'static (dyn Storage + Sync),
        _key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let length = self.object.body.bytes.len();
        let end = end.unwrap_or(length).min(length);
        if start >= end {
            let text = format!("bytes {start} to {end} of an object of {length}");
            return Error::e_explain(ErrorType::InternalError, text);
        }
        self.left = start..end;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

#[async_trait]
impl HandleMiss for Fill {
    async fn write_body(&mut self, data: Bytes, _eof: bool) -> Result<()> {
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        let length = parts.body.len() + data.len();
        if length > self.fetch.object_bytes_max {
            // The phase that sees the bytes on their way to the client ends the fill; nothing more is copied until then.
            self.parts = None;
            return Ok(());
        }
        if length > parts.body_charge.bytes() {
            // Doubled as the buffer is, so that its memory is charged before it is taken.
            let wanted = (2 * parts.body.len()).max(length);
            let more = wanted - parts.body_charge.bytes();
            match self.cache.store.charge(more, parts.body_charge.bytes()) {
                Some(charge) => parts.body_charge.absorb(charge),
                None => return Err(full("no room in the cache")),
            }
            parts.body.reserve(wanted - parts.body.len());
        }
        parts.body.extend_from_slice(&data);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<MissFinishType> {
        let Some(parts) = self.parts.take() else {
            return Ok(MissFinishType::Created(0));
        };
        let announced = content_length(&parts.meta);
        if announced.is_some_and(|announced| announced != parts.body.len()) {
            return Err(full("the body is not as long as announced"));
        }
        let object = object(Arc::clone(&self.fetch.url), parts);
        let bytes = object.bytes();
        self.cache
            .store
            .put(self.url_id, self.id, self.fetch.epoch, object);
        Ok(MissFinishType::Created(bytes))
    }
}

fn object(url: Arc<super::StoredUrl>, parts: Parts) -> Object {
    let Parts {
        meta,
        header_charge,
        body,
        mut body_charge,
    } = parts;
    let bytes = if body.capacity() > body.len() + body.len() / SLACK_SHARE {
        Bytes::copy_from_slice(&body)
    } else {
        body.freeze()
    };
    body_charge.shrink_to(bytes.len() + bytes.len() / SLACK_SHARE);
    let mut header = meta.response_header_copy();
    // Known now, so hits need no chunks and ranges can be answered.
    if !header.headers.contains_key(header::CONTENT_LENGTH) && header.status != 204 {
        let _valid = header.insert_header(header::CONTENT_LENGTH, bytes.len());
    }
    let body = Body {
        bytes,
        charge: body_charge,
    };
    Object::new(url, &meta, header, Arc::new(body), header_charge)
}

fn place(key: &CacheKey) -> (UrlId, EntryId) {
    let url = key::url_of(&key.primary_bin());
    (url, EntryId::from_be_bytes(key.combined_bin()))
}

fn content_length(meta: &CacheMeta) -> Option<usize> {
    let value = meta.headers().get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

/// `CacheMeta` offers no copy of itself.
fn copy(meta: &CacheMeta) -> CacheMeta {
    let mut copy = CacheMeta::new(
        meta.fresh_until(),
        meta.provenance(),
        meta.stale_while_revalidate_sec(),
        meta.stale_if_error_sec(),
        meta.response_header_copy(),
    );
    copy.set_epoch_override(meta.epoch());
    if let Some(variance) = meta.variance() {
        copy.set_variance(variance);
    }
    copy
}

fn full(reason: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, reason)
}
