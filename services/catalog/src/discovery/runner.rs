//! The task that owns all sources: one at a time something is learned, done or reported, so there is nothing to lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use catalog_api::{Host, ServiceName, ServiceRef, Source, Timestamp};
use database::{Command, Expect, Refusal, WriteError};
use service_kit::{readiness::Condition, shutdown::Shutdown};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinSet, spawn_blocking},
    time::sleep_until,
};

use super::{
    FILE_INTERVAL, RENEWAL, REPORT_AGE_MAX,
    dns::{Dns, Looked},
    file::WatchedFile,
    plan::Plan,
    reconcile::{Reconciled, Reconciler},
    report::{Done, Report, SourceReport},
    wanted::{self, Wanted},
    watched::WatchedName,
};
use crate::{follower::chain, snapshot::Entry};

/// Somebody who waits for a report.
pub(super) type Asker = oneshot::Sender<Arc<Report>>;

/// Looks, and does what comes of it.
pub(crate) struct Runner {
    pub(super) reconciler: Reconciler,
    pub(super) dns: Dns,
    pub(super) interval_max: Duration,
    pub(super) names: Vec<WatchedName>,
    pub(super) file: Option<WatchedFile>,
    pub(super) condition: Condition,
    pub(super) asks: mpsc::Receiver<Asker>,
    pub(super) state: State,
}

/// What is under way.
pub(super) struct State {
    looks: JoinSet<(usize, Looked)>,
    /// Names that have to be looked up before the askers get their report.
    awaited: BTreeSet<usize>,
    askers: Vec<Asker>,
    /// What was done since the last report was asked for.
    done: BTreeMap<(Source, ServiceName), Done>,
    /// Why the catalog is not as the sources want it.
    store_problem: Option<String>,
    /// The newest report after a look at everything.
    newest: Option<(Instant, Arc<Report>)>,
    reported: Option<String>,
    file_due: Instant,
    reconcile_due: Instant,
    /// The file was read since its services were declared.
    is_undeclared: bool,
}

// === impl State ===

impl State {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            looks: JoinSet::new(),
            awaited: BTreeSet::new(),
            askers: Vec::new(),
            done: BTreeMap::new(),
            store_problem: None,
            newest: None,
            reported: None,
            file_due: now + FILE_INTERVAL,
            reconcile_due: now,
            is_undeclared: true,
        }
    }
}

// === impl Runner ===

impl Runner {
    /// Discovers until the stop is asked for. What was discovered stays: its leases run on.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        loop {
            self.begin_looks();
            let due = sleep_until(self.next_due().into());
            tokio::select! {
                () = shutdown.requested() => break,
                Some(asker) = self.asks.recv() => self.ask(asker),
                Some(looked) = self.state.looks.join_next() => {
                    // Whoever panicked was reported by the panic hook, and is asked again with the next report.
                    if let Ok((index, looked)) = looked {
                        self.learn(index, looked);
                    }
                }
                () = due => {}
            }
            if Instant::now() >= self.state.file_due {
                self.look_at_file().await;
            }
            if Instant::now() >= self.state.reconcile_due {
                self.reconcile().await;
            }
            self.answer();
        }
        self.state.looks.shutdown().await;
    }

    fn begin_looks(&mut self) {
        let now = Instant::now();
        for (index, name) in self.names.iter_mut().enumerate() {
            if let Host::Name(host) = name.target.address.host()
                && name.due().is_some_and(|due| due <= now)
            {
                let (dns, host) = (self.dns, host.clone());
                name.is_asked = true;
                self.state
                    .looks
                    .spawn(async move { (index, dns.look_up(host).await) });
            }
        }
    }

    fn next_due(&self) -> Instant {
        let names = self.names.iter().filter_map(WatchedName::due);
        let file = self.file.as_ref().map(|_| self.state.file_due);
        let first = names.chain(file).min();
        first.map_or(self.state.reconcile_due, |first| {
            first.min(self.state.reconcile_due)
        })
    }

    fn learn(&mut self, index: usize, looked: Looked) {
        let now = Instant::now();
        if let Some(name) = self.names.get_mut(index) {
            name.learn(looked, now, self.interval_max);
        }
        self.state.awaited.remove(&index);
        self.state.reconcile_due = now;
    }

    /// Has everything looked at now, unless that was done just before.
    fn ask(&mut self, asker: Asker) {
        let now = Instant::now();
        if let Some((at, report)) = &self.state.newest
            && now.duration_since(*at) < REPORT_AGE_MAX
        {
            // Who does not wait any more needs no answer.
            drop(asker.send(Arc::clone(report)));
            return;
        }
        if self.state.askers.is_empty() {
            self.state.done.clear();
            let names = self.names.iter_mut().enumerate();
            let awaited = names.filter_map(|(index, name)| name.hurry(now).then_some(index));
            self.state.awaited = awaited.collect();
            self.state.file_due = now;
            self.state.reconcile_due = now;
        }
        self.state.askers.push(asker);
    }

    async fn look_at_file(&mut self) {
        self.state.file_due = Instant::now() + FILE_INTERVAL;
        let Some(mut file) = self.file.take() else {
            return;
        };
        let looking = spawn_blocking(move || {
            let is_new = file.look();
            (file, is_new)
        });
        // It does not panic; if it did, the file would be lost with it, and what was read before goes on without it.
        if let Ok((file, is_new)) = looking.await {
            self.file = Some(file);
            if is_new {
                self.state.is_undeclared = true;
                self.state.reconcile_due = Instant::now();
            }
        }
    }

    /// Brings the catalog in line with the sources, and renews leases.
    async fn reconcile(&mut self) {
        self.state.reconcile_due = Instant::now() + RENEWAL;
        self.state.store_problem = None;
        let mut is_unfinished = false;
        for wanted in self.wanted() {
            match self.reconcile_service(&wanted).await {
                Ok(unfinished) => is_unfinished |= unfinished,
                Err(WriteError::Refused(refusal)) => {
                    tracing::warn!(%refusal, "the catalog refuses what was discovered");
                    self.state.store_problem = Some(refusal.to_string());
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "cannot store what was discovered");
                    let problem = "the store cannot be written; what is there stays".to_owned();
                    self.state.store_problem = Some(problem);
                    is_unfinished = true;
                    break;
                }
            }
        }
        if self.state.store_problem.is_none() {
            self.state.is_undeclared = false;
            if is_unfinished {
                self.state.reconcile_due = Instant::now();
            }
        }
        let report = self.report();
        self.show(&report);
    }

    fn wanted(&self) -> Vec<Wanted> {
        let snapshot = self.reconciler.registry.live.load();
        wanted::everything(&self.names, self.file.as_ref(), &snapshot)
    }

    /// True when there is more to do.
    async fn reconcile_service(&mut self, wanted: &Wanted) -> Result<bool, WriteError> {
        let Some(entry) = self.declared(wanted).await? else {
            return Ok(false);
        };
        let source = wanted.source;
        let plan = Plan::new(&entry.service, source, wanted.instances.clone());
        let reconciled = self
            .reconciler
            .reconcile(&entry.service, source, plan)
            .await?;
        let Reconciled {
            done,
            is_unfinished,
        } = reconciled;
        let key = (source, wanted.service.clone());
        self.state.done.entry(key).or_default().add(done);
        if wanted.spec.is_none() {
            self.forget(wanted).await?;
        }
        Ok(is_unfinished)
    }

    /// The service, declared as the source says where that is its business.
    async fn declared(&self, wanted: &Wanted) -> Result<Option<Arc<Entry>>, WriteError> {
        let registry = &self.reconciler.registry;
        let find = || {
            let reference = ServiceRef::Name(wanted.service.clone());
            registry.live.load().get(&reference).cloned()
        };
        let found = find();
        let Some(spec) = &wanted.spec else {
            return Ok(found);
        };
        // Only when the file was read anew: two catalogs with different files would declare the service in turn for ever.
        let is_new = self.state.is_undeclared && wanted.source == Source::File;
        let is_missing = found.is_none() && !wanted.instances.is_empty();
        if !is_new && !is_missing {
            return Ok(found);
        }
        let command = Command::FoundService {
            spec: spec.clone(),
            source: wanted.source,
        };
        registry.write(command).await?;
        Ok(find())
    }

    /// Takes out a service that only a file declared, when nobody has an instance of it any more.
    async fn forget(&self, wanted: &Wanted) -> Result<(), WriteError> {
        let registry = &self.reconciler.registry;
        let reference = ServiceRef::Name(wanted.service.clone());
        let Some(entry) = registry.live.load().get(&reference).cloned() else {
            return Ok(());
        };
        let service = &entry.service;
        if service.source != Some(wanted.source) || !service.instances.is_empty() {
            return Ok(());
        }
        let command = Command::Delete {
            target: ServiceRef::Id(service.id),
            expect: Expect::OneOf(vec![service.revision]),
        };
        match registry.write(command).await {
            // It changed meanwhile, so it is looked at again.
            Err(WriteError::Refused(
                Refusal::RevisionMismatch { .. } | Refusal::UnknownService(_),
            ))
            | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn report(&self) -> Report {
        let mut sources = Vec::new();
        if let Some(file) = &self.file {
            let problems = file.problem.iter().cloned().collect();
            let about =
                SourceReport::new(Source::File, None, problems, Vec::new(), Done::default());
            sources.push(about);
        }
        for wanted in self.wanted() {
            let key = (wanted.source, wanted.service.clone());
            let done = self.state.done.get(&key).cloned().unwrap_or_default();
            let addresses = wanted.addresses();
            let mut problems = wanted.problems;
            problems.extend(self.state.store_problem.clone());
            let service = Some(wanted.service);
            sources.push(SourceReport::new(
                wanted.source,
                service,
                problems,
                addresses,
                done,
            ));
        }
        Report {
            checked_at: Timestamp::now(),
            revision: self.reconciler.registry.live.load().revision(),
            sources,
        }
    }

    /// Says what is not as it should be, once.
    fn show(&mut self, report: &Report) {
        let problem = report.problem();
        if problem == self.state.reported {
            return;
        }
        match &problem {
            Some(reason) => {
                tracing::warn!(reason, "discovery is not complete");
                self.condition.fail(reason.clone());
            }
            None => self.condition.pass(),
        }
        self.state.reported = problem;
    }

    /// Answers those who asked, when everything was looked at.
    fn answer(&mut self) {
        if self.state.askers.is_empty() || !self.state.awaited.is_empty() {
            return;
        }
        let report = Arc::new(self.report());
        self.state.newest = Some((Instant::now(), Arc::clone(&report)));
        for asker in std::mem::take(&mut self.state.askers) {
            drop(asker.send(Arc::clone(&report)));
        }
    }
}
