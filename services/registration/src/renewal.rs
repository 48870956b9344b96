//! The loop that keeps an instance in the catalog.

use std::time::Duration;

use catalog_api::InstanceSpec;
use service_kit::{backoff::Backoff, readiness::Condition, shutdown::Shutdown};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

use crate::{
    CatalogUrl, Config, Failure, State, advertise,
    catalog_client::{CatalogClient, Put},
    lease::REQUEST_TIMEOUT,
};

/// Delays while only a person can help: soon at first, because the catalog may just be starting with its new token, then rarely.
const REFUSED_RETRY_MIN: Duration = Duration::from_secs(1);
const REFUSED_RETRY_MAX: Duration = Duration::from_secs(30);

/// The state of the loop.
#[derive(Debug)]
pub(crate) struct Renewal {
    config: Config,
    client: CatalogClient,
    /// Index of the replica that answered last; the next round starts there.
    preferred: usize,
    announce: watch::Sender<State>,
    detail: Condition,
    /// What was logged last, so that each change is logged once.
    logged: Option<Failure>,
}

// === impl Renewal ===

impl Renewal {
    pub(crate) fn new(config: Config, announce: watch::Sender<State>, detail: Condition) -> Self {
        detail.fail("registering");
        Self {
            client: CatalogClient::new(&config),
            config,
            preferred: 0,
            announce,
            detail,
            logged: None,
        }
    }

    /// Runs until the stop is asked for, finishes the attempt under way, and hands itself back for [`Renewal::leave`].
    pub(crate) async fn run(mut self, stop: Shutdown) -> Self {
        let lease = self.config.settings.lease;
        let (retry_min, retry_max) = lease.retry_delays();
        let mut passing = Backoff::new(retry_min, retry_max);
        let mut refused = Backoff::new(REFUSED_RETRY_MIN, REFUSED_RETRY_MAX);
        // Equal bounds: only the jitter is of use here, so that instances started together do not renew together.
        let mut steady = Backoff::new(lease.renewal_interval(), lease.renewal_interval());
        while !stop.is_requested() {
            let delay = match self.round(&stop).await {
                Ok(()) => {
                    passing.reset();
                    refused.reset();
                    self.registered();
                    steady.next_delay()
                }
                Err(failure) => {
                    let delay = if failure.needs_a_person() {
                        refused.next_delay()
                    } else {
                        passing.next_delay()
                    };
                    self.pending(failure);
                    delay
                }
            };
            tokio::select! {
                () = stop.requested() => break,
                () = sleep(delay) => {}
            }
        }
        self
    }

    /// Tries every replica once, the one that answered last first. A refusal is reported in preference to a silence, because it
    /// is the one somebody can do something about.
    async fn round(&mut self, stop: &Shutdown) -> Result<(), Failure> {
        let replicas = self.config.settings.catalog_urls.as_slice().len();
        let mut worst: Option<Failure> = None;
        for step in 0..replicas {
            let index = (self.preferred + step) % replicas;
            let failure = match self.register(index).await {
                Ok(()) => {
                    self.preferred = index;
                    return Ok(());
                }
                Err(failure) => failure,
            };
            if worst
                .as_ref()
                .is_none_or(|worst| failure.needs_a_person() && !worst.needs_a_person())
            {
                worst = Some(failure);
            }
            if stop.is_requested() {
                break;
            }
        }
        worst.map_or(Ok(()), Err)
    }

    async fn register(&self, index: usize) -> Result<(), Failure> {
        let Some(catalog) = self.config.settings.catalog_urls.as_slice().get(index) else {
            return Ok(());
        };
        let deadline = self.config.settings.lease.request_timeout();
        let spec = self.instance_spec(catalog, deadline).await?;
        if let Put::Registered = self.client.put(catalog, &spec, deadline).await? {
            return Ok(());
        }
        self.client
            .create_service(catalog, &self.config.service, deadline)
            .await?;
        match self.client.put(catalog, &spec, deadline).await? {
            Put::Registered => Ok(()),
            // Somebody deletes the service as fast as it is created, or the URL is not that of a catalog.
            Put::UnknownService => Err(Failure::Refused {
                catalog: catalog.to_string(),
                status: http::StatusCode::NOT_FOUND,
                detail:
                    "the service was created and is still unknown; is this the URL of a catalog?"
                        .to_owned(),
            }),
        }
    }

    async fn instance_spec(
        &self,
        catalog: &CatalogUrl,
        deadline: Duration,
    ) -> Result<InstanceSpec, Failure> {
        Ok(InstanceSpec {
            address: advertise::address(&self.config, catalog, deadline).await?,
            ttl: Some(self.config.settings.lease.span()),
            weight: self.config.weight,
            zone: self.config.zone.clone(),
            metadata: self.config.metadata.clone(),
        })
    }

    /// Takes the instance out, trying every replica once, until `until`.
    pub(crate) async fn leave(&self, until: Instant) -> Result<(), Failure> {
        let replicas = self.config.settings.catalog_urls.as_slice();
        let mut last = None;
        for catalog in replicas
            .iter()
            .cycle()
            .skip(self.preferred)
            .take(replicas.len())
        {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.client.delete(catalog, left.min(REQUEST_TIMEOUT)).await {
                Ok(()) => {
                    info!(service.name = %self.config.service.name, instance.id = %self.config.instance, "left the catalog");
                    return Ok(());
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::Unreachable {
            catalog: self.config.settings.catalog_urls.to_string(),
            reason: "no time was left to ask it".to_owned(),
        }))
    }

    fn registered(&mut self) {
        self.logged = None;
        let state = State::Registered;
        if *self.announce.borrow() == state {
            return;
        }
        info!(service.name = %self.config.service.name, instance.id = %self.config.instance, "registered in the catalog");
        self.detail.pass();
        self.announce.send_replace(state);
    }

    fn pending(&mut self, failure: Failure) {
        if self.logged.as_ref() == Some(&failure) {
            return;
        }
        let reason = failure.to_string();
        if failure.needs_a_person() {
            error!(service.name = %self.config.service.name, "{reason}");
        } else {
            warn!(service.name = %self.config.service.name, "{reason}; trying again");
        }
        self.detail.fail(reason.as_str());
        self.announce.send_replace(State::Pending { reason });
        self.logged = Some(failure);
    }
}
