//! Notes about leases, in a table of their own that makes no revision and needs no flush.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use catalog_api::{InstanceId, ServiceId};
use tokio_postgres::{Client, types::Type};

use super::{
    columns::{column, get, micros, number},
    error::Failure,
    pool::Pool,
};
use crate::{
    renewals::{NOTES_MAX, Renewal, Renewals},
    store::StoreError,
};

/// Every so many recordings the notes of instances that are long gone are thrown away. No lease is longer than a day.
const SWEEP_EVERY: u64 = 1_000;

pub(super) struct Notes {
    pool: Arc<Pool>,
    recordings: AtomicU64,
}

// === impl Notes ===

impl Notes {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            recordings: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl Renewals for Notes {
    async fn record(&self, renewals: &[Renewal]) -> Result<(), StoreError> {
        // By key: one statement may not touch a row twice, and two catalogs that lock rows in one order cannot lock each other out.
        let mut youngest: BTreeMap<(i64, &str), i64> = BTreeMap::new();
        for renewal in renewals.iter().take(NOTES_MAX) {
            let key = (column(renewal.service.0), renewal.instance.as_str());
            let age = micros(renewal.age);
            youngest
                .entry(key)
                .and_modify(|known| *known = age.min(*known))
                .or_insert(age);
        }
        if youngest.is_empty() {
            return Ok(());
        }
        let sweep = self
            .recordings
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(SWEEP_EVERY);
        let connection = self.pool.get().await?;
        let recording = record(connection.client(), &youngest, sweep);
        self.pool.in_time(recording).await?;
        connection.release();
        Ok(())
    }

    async fn ages(
        &self,
        instances: &[(ServiceId, InstanceId)],
    ) -> Result<Vec<Option<Duration>>, StoreError> {
        let connection = self.pool.get().await?;
        let reading = ages(connection.client(), instances);
        let ages = self.pool.in_time(reading).await?;
        connection.release();
        Ok(ages)
    }
}

async fn record(
    client: &Client,
    youngest: &BTreeMap<(i64, &str), i64>,
    sweep: bool,
) -> Result<(), Failure> {
    let services: Vec<i64> = youngest.keys().map(|(service, _)| *service).collect();
    let instances: Vec<&str> = youngest.keys().map(|(_, instance)| *instance).collect();
    let ages: Vec<i64> = youngest.values().copied().collect();
    let recorded = client
        .execute_typed(
            "INSERT INTO catalog.renewals AS r (service, instance, renewed_at)
             SELECT service, instance, clock_timestamp() - age * interval '1 microsecond'
             FROM unnest($1, $2, $3) AS n (service, instance, age)
             ON CONFLICT (service, instance)
             DO UPDATE SET renewed_at = greatest(r.renewed_at, excluded.renewed_at)",
            &[
                (&services, Type::INT8_ARRAY),
                (&instances, Type::TEXT_ARRAY),
                (&ages, Type::INT8_ARRAY),
            ],
        )
        .await;
    recorded.map_err(|error| Failure::of(&error))?;
    if sweep {
        let swept = client
            .execute_typed(
                "DELETE FROM catalog.renewals WHERE renewed_at < now() - interval '2 days'",
                &[],
            )
            .await;
        swept.map_err(|error| Failure::of(&error))?;
    }
    Ok(())
}

async fn ages(
    client: &Client,
    instances: &[(ServiceId, InstanceId)],
) -> Result<Vec<Option<Duration>>, Failure> {
    let services: Vec<i64> = instances.iter().map(|(id, _)| column(id.0)).collect();
    let names: Vec<&str> = instances.iter().map(|(_, id)| id.as_str()).collect();
    let rows = client
        .query_typed(
            "SELECT (extract(epoch FROM clock_timestamp() - r.renewed_at) * 1000000)::bigint
             FROM unnest($1, $2) WITH ORDINALITY AS n (service, instance, place)
             LEFT JOIN catalog.renewals r USING (service, instance) ORDER BY n.place",
            &[(&services, Type::INT8_ARRAY), (&names, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(|error| Failure::of(&error))?;
    rows.iter()
        .map(|row| {
            let age: Option<i64> = get(row, 0)?;
            Ok(age.map(|micros| Duration::from_micros(number(micros))))
        })
        .collect()
}
