//! One watcher: a position in the journal, and nothing that could grow while it does not read.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use catalog_api::{EventKind, Revision};
use futures_util::{Stream, stream};
use service_kit::{BoxError, shutdown::Shutdown, sse};
use tokio::time::{Instant, sleep_until};

use crate::{journal::Step, state::Subscription};

/// What one stream knows.
pub(super) struct Watcher {
    subscription: Subscription,
    /// Everything up to here was sent; none = nothing yet.
    position: Option<Revision>,
    /// Rest of a snapshot event, at most two pieces.
    pieces: VecDeque<Bytes>,
    heartbeat: Duration,
    silent_until: Instant,
    shutdown: Shutdown,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(
        subscription: Subscription,
        resume: Option<Revision>,
        heartbeat: Duration,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            subscription,
            position: resume,
            pieces: VecDeque::new(),
            heartbeat,
            silent_until: Instant::now() + heartbeat,
            shutdown,
        }
    }

    /// The stream. `guard` is dropped with it.
    pub(super) fn into_stream<G: Send>(
        self,
        guard: G,
    ) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + use<G> {
        stream::unfold((self, guard), async |(mut watcher, guard)| {
            let bytes = watcher.next().await?;
            watcher.silent_until = Instant::now() + watcher.heartbeat;
            Some((Ok(bytes), (watcher, guard)))
        })
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            if self.shutdown.is_requested() {
                return None;
            }
            let step = self
                .position
                .map_or(Step::Gap, |position| self.subscription.after(position));
            match step {
                Step::Event(record) => {
                    self.position = Some(record.revision());
                    return Some(record.event());
                }
                Step::Gap => {
                    self.begin_anew();
                    continue;
                }
                // Also when nothing was sent: a watcher of one service must not fall behind while others change.
                Step::UpToDate(head) => self.position = Some(head),
            }
            tokio::select! {
                () = self.shutdown.requested() => return None,
                () = self.subscription.rings() => {}
                () = sleep_until(self.silent_until) => return Some(sse::comment("heartbeat")),
            }
        }
    }

    /// Has a snapshot sent. In pieces, so that all watchers share the one encoded list.
    fn begin_anew(&mut self) {
        let snapshot = self.subscription.snapshot();
        let list = match self.subscription.filter() {
            None => snapshot.list(),
            Some(target) => snapshot.list_one(target),
        };
        let head = format!(
            "event: {}\nid: {}\ndata: ",
            EventKind::Snapshot.as_str(),
            snapshot.revision()
        );
        // JSON from serde has no line breaks, so it is one data line.
        self.pieces = [head.into(), list, Bytes::from_static(b"\n\n")].into();
        self.position = Some(snapshot.revision());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use catalog_api::{Service, ServiceId, ServiceRef, ServiceSpec, Timestamp};
    use futures_util::FutureExt as _;
    use service_kit::shutdown::{self, ShutdownTrigger};

    use super::*;
    use crate::{
        journal::Record,
        snapshot::{Entry, Snapshot},
        state::Live,
    };

    fn live() -> Arc<Live> {
        Arc::new(Live::new(Snapshot::new(catalog_api::Snapshot {
            revision: Revision(0),
            services: Vec::new(),
        })))
    }

    fn change(live: &Live, id: u64, revision: u64) {
        let spec = ServiceSpec::named(format!("s-{id}").parse().unwrap());
        let service = Service::new(ServiceId(id), spec, Revision(revision), Timestamp::now());
        let records = [Record::Service(Arc::new(Entry::new(service)))];
        live.publish(live.load().next(&records, Revision(revision)), &records);
    }

    fn watcher(live: &Arc<Live>, filter: Option<u64>) -> (Watcher, ShutdownTrigger) {
        let (trigger, shutdown) = shutdown::channel();
        let filter = filter.map(|id| ServiceRef::Id(ServiceId(id)));
        let resume = Some(Revision(0));
        let heartbeat = Duration::from_secs(3_600);
        let watcher = Watcher::new(live.subscribe(filter), resume, heartbeat, shutdown);
        (watcher, trigger)
    }

    /// What the watcher has for its client without waiting.
    fn pending(watcher: &mut Watcher) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(Some(bytes)) = watcher.next().now_or_never() {
            texts.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        texts
    }

    #[tokio::test]
    async fn whoever_was_slow_gets_the_newest_state_once() {
        let live = live();
        let (mut watcher, _trigger) = watcher(&live, None);
        for revision in 1..=100 {
            change(&live, revision % 2, revision);
        }
        let texts = pending(&mut watcher);
        let ids: Vec<_> = texts
            .iter()
            .map(|text| text.lines().nth(1).unwrap())
            .collect();
        assert_eq!(ids, ["id: 99", "id: 100"]);
    }

    #[tokio::test]
    async fn whoever_was_too_slow_gets_a_snapshot_in_three_pieces() {
        let live = live();
        let (mut watcher, _trigger) = watcher(&live, None);
        for id in 1..=crate::journal::RECORDS_MAX as u64 + 1 {
            change(&live, id, id);
        }
        let texts = pending(&mut watcher);
        assert_eq!(texts.len(), 3);
        assert!(texts[0].starts_with("event: snapshot\nid: 4097\ndata: "));
    }

    #[tokio::test]
    async fn a_change_wakes_only_those_who_asked_for_it() {
        let live = live();
        let (mut one, _first) = watcher(&live, Some(1));
        let (mut two, _second) = watcher(&live, Some(2));
        assert!(pending(&mut one).is_empty() && pending(&mut two).is_empty());
        change(&live, 1, 1);
        assert!(one.subscription.rings().now_or_never().is_some());
        assert!(two.subscription.rings().now_or_never().is_none());
        assert_eq!(pending(&mut one).len(), 1);
        drop((one, two));
        assert_eq!(live.bells(), 0);
    }

    #[tokio::test]
    async fn the_stop_ends_it() {
        let live = live();
        let (mut watcher, trigger) = watcher(&live, None);
        change(&live, 1, 1);
        trigger.trigger();
        assert_eq!(watcher.next().await, None);
    }
}
