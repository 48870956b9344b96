//! Sums of calls as counters in hashes of Redis: which there are, how they are written, and how they are put together again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use catalog_api::{ServiceId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::key;
use crate::history::{
    Batch, CallRecord, Exists, OTHER, RECORDS_MAX, SERVICE_ENDPOINTS_MAX, ServiceStatistics,
    Statistics, Sum, Windows,
};

/// Length of a short slot in seconds, and how many full ones are the last minute.
const SHORT: (u64, u64) = (10, 6);

/// Length of a long slot in seconds, and how many full ones are the last quarter of an hour.
const LONG: (u64, u64) = (60, 15);

/// How long a slot is kept after the last call was added, beyond its window: clocks differ.
const SLOT_GRACE_SECONDS: u64 = 60;

/// How long the sums of a service are kept after its last call.
const SERVICE_SECONDS: u64 = 30 * 24 * 60 * 60;

/// How long it is remembered what a sender sent last.
const SENDER_SECONDS: u64 = 60 * 60;

/// What `record.lua` is told.
#[derive(Serialize)]
pub(super) struct Script {
    sender: String,
    number: u64,
    sender_seconds: u64,
    now: u64,
    log: Vec<String>,
    log_max: usize,
    service_seconds: u64,
    endpoints_max: usize,
    other: &'static str,
    sums: Vec<Part>,
}

/// Calls to one endpoint that ended in the same short slot.
#[derive(Serialize)]
struct Part {
    /// None = the part counts in the totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    endpoint: String,
    /// By measure. Text, because a number in a script is exact only to 2^53.
    counts: BTreeMap<String, String>,
    slots: Vec<Slot>,
}

#[derive(Serialize)]
struct Slot {
    name: String,
    seconds: u64,
}

/// Which hashes answer a question.
pub(super) struct Reading {
    services: Vec<ServiceId>,
    short: Vec<String>,
    long: Vec<String>,
}

/// Service, endpoint and short slot; no service = the totals.
type Place = (Option<ServiceId>, String, u64);

// === impl Script ===

impl Script {
    pub(super) fn new(sender: Uuid, batch: &Batch, exists: Exists<'_>) -> Self {
        let mut sums: BTreeMap<Place, Sum> = BTreeMap::new();
        for call in &batch.calls {
            let slot = ended_at(call) / SHORT.0;
            sums.entry((None, String::new(), slot))
                .or_default()
                .add(call);
            if exists(call.service_id) {
                let place = (Some(call.service_id), call.endpoint.clone(), slot);
                sums.entry(place).or_default().add(call);
            }
        }
        let log = batch.calls.iter();
        Self {
            sender: sender.to_string(),
            number: batch.number,
            sender_seconds: SENDER_SECONDS,
            now: Timestamp::now().unix_millis(),
            log: log
                .filter_map(|call: &Arc<CallRecord>| serde_json::to_string(call).ok())
                .collect(),
            log_max: RECORDS_MAX,
            service_seconds: SERVICE_SECONDS,
            endpoints_max: SERVICE_ENDPOINTS_MAX,
            other: OTHER,
            sums: sums.into_iter().map(Part::new).collect(),
        }
    }
}

fn ended_at(call: &CallRecord) -> u64 {
    (call.at.unix_millis() / 1_000).saturating_add(call.duration.as_secs())
}

// === impl Part ===

impl Part {
    fn new(((service, endpoint, slot), sum): (Place, Sum)) -> Self {
        let long = slot * SHORT.0 / LONG.0;
        let kept = |(length, count): (u64, u64)| length * (count + 1) + SLOT_GRACE_SECONDS;
        Self {
            service: service.map(|id| id.to_string()),
            endpoint,
            counts: counts(&sum),
            slots: vec![
                Slot {
                    name: format!("short:{slot}"),
                    seconds: kept(SHORT),
                },
                Slot {
                    name: format!("long:{long}"),
                    seconds: kept(LONG),
                },
            ],
        }
    }
}

fn counts(sum: &Sum) -> BTreeMap<String, String> {
    let latencies = sum.latencies.counts();
    let latencies = latencies.map(|(bucket, count)| (format!("l{bucket}"), count));
    [
        ("c", sum.calls),
        ("e", sum.errors),
        ("i", sum.bytes_in),
        ("o", sum.bytes_out),
        ("h", sum.cache_hits),
        ("m", sum.cache_misses),
    ]
    .into_iter()
    .map(|(measure, count)| (measure.to_owned(), count))
    .chain(latencies)
    .filter(|(_, count)| *count > 0)
    .map(|(measure, count)| (measure, count.to_string()))
    .collect()
}

fn count(sum: &mut Sum, measure: &str, count: u64) {
    let field = match measure {
        "c" => &mut sum.calls,
        "e" => &mut sum.errors,
        "i" => &mut sum.bytes_in,
        "o" => &mut sum.bytes_out,
        "h" => &mut sum.cache_hits,
        "m" => &mut sum.cache_misses,
        _ => {
            let bucket = measure.strip_prefix('l').and_then(|text| text.parse().ok());
            if let Some(bucket) = bucket {
                sum.latencies.add_count(bucket, count);
            }
            return;
        }
    };
    *field = field.saturating_add(count);
}

// === impl Reading ===

impl Reading {
    pub(super) fn at(now: Timestamp, services: &[ServiceId]) -> Self {
        let seconds = now.unix_millis() / 1_000;
        let slots = |name: &str, (length, count): (u64, u64)| {
            let newest = seconds / length;
            let slots = newest.saturating_sub(count)..=newest;
            slots
                .map(|slot| key(format_args!("stats:{name}:{slot}")))
                .collect()
        };
        Self {
            services: services.to_vec(),
            short: slots("short", SHORT),
            long: slots("long", LONG),
        }
    }

    /// The hashes that [`Reading::add_up`] is to be given, in their order.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let services = self.services.iter();
        let services = services.map(|id| key(format_args!("stats:service:{id}")));
        std::iter::once(key("stats:total"))
            .chain(self.short.iter().cloned())
            .chain(self.long.iter().cloned())
            .chain(services)
    }

    pub(super) fn add_up(&self, hashes: Vec<HashMap<String, u64>>) -> Statistics {
        let mut hashes = hashes.into_iter();
        let total = hashes.next().unwrap_or_default();
        let since = total.get("since").copied();
        let mut totals = Windows::default();
        for (measure, number) in total {
            count(&mut totals.all, &measure, number);
        }
        let slots: Vec<_> = (0..self.short.len() + self.long.len())
            .filter_map(|index| Some((index < self.short.len(), hashes.next()?)))
            .collect();
        let mut services: BTreeMap<ServiceId, ServiceStatistics> = BTreeMap::new();
        for (id, hash) in self.services.iter().zip(hashes) {
            for (field, number) in hash {
                if let Some((endpoint, measure)) = field.split_once('\n') {
                    let service = services.entry(*id).or_default();
                    count(&mut service.totals.all, measure, number);
                    let endpoint = service.endpoints.entry(endpoint.to_owned()).or_default();
                    count(&mut endpoint.all, measure, number);
                }
            }
        }
        for (is_short, hash) in slots {
            for (field, number) in hash {
                add_to_window(is_short, &field, number, &mut totals, &mut services);
            }
        }
        Statistics {
            since: since.map_or_else(Timestamp::now, Timestamp::from_unix_millis),
            totals,
            services,
        }
    }
}

fn add_to_window(
    is_short: bool,
    field: &str,
    number: u64,
    totals: &mut Windows,
    services: &mut BTreeMap<ServiceId, ServiceStatistics>,
) {
    let window = |windows: &mut Windows, measure: &str| {
        let sum = if is_short {
            &mut windows.minute
        } else {
            &mut windows.quarter
        };
        count(sum, measure, number);
    };
    let mut parts = field.splitn(3, '\n');
    let (Some(id), Some(endpoint), Some(measure)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    if id.is_empty() {
        return window(totals, measure);
    }
    // Only services that were asked for have an entry.
    let service = id.parse().ok().map(ServiceId);
    if let Some(service) = service.and_then(|id| services.get_mut(&id)) {
        window(&mut service.totals, measure);
        if let Some(windows) = service.endpoints.get_mut(endpoint) {
            window(windows, measure);
        }
    }
}
