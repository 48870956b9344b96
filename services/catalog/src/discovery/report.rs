//! What discovery found and did, for whoever asks.

use catalog_api::{Address, InstanceId, Revision, ServiceName, Source, Timestamp};
use serde::Serialize;

/// All sources.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(super) checked_at: Timestamp,
    /// Of the catalog, with all that was done.
    pub(super) revision: Revision,
    pub(super) sources: Vec<SourceReport>,
}

/// One source's part in one service.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SourceReport {
    pub(super) source: Source,
    /// None is about the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<ServiceName>,
    pub(super) status: Verdict,
    /// Why it is not as it should be.
    pub(super) problems: Vec<String>,
    /// What it has now.
    pub(super) found: Vec<Address>,
    #[serde(flatten)]
    pub(super) done: Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    /// Somebody could not be asked, or has nothing to say.
    Failing,
}

/// What was done about a service because of a source.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Done {
    /// Instances that are new.
    pub(super) added: Vec<InstanceId>,
    /// Instances that are gone.
    pub(super) removed: Vec<InstanceId>,
    /// Instances that the source does not have here, but that another catalog has seen lately.
    pub(super) leaving: Vec<InstanceId>,
    /// Found addresses that somebody else has put there.
    pub(super) registered: Vec<Address>,
}

// === impl Done ===

impl Done {
    /// Adds what was done after that. What is still to be done replaces what was.
    pub(super) fn add(&mut self, later: Self) {
        self.added.extend(later.added);
        self.removed.extend(later.removed);
        self.leaving = later.leaving;
        self.registered = later.registered;
    }
}

// === impl SourceReport ===

impl SourceReport {
    pub(super) fn new(
        source: Source,
        service: Option<ServiceName>,
        problems: Vec<String>,
        found: Vec<Address>,
        done: Done,
    ) -> Self {
        Self {
            source,
            service,
            status: match problems.is_empty() {
                true => Verdict::Ok,
                false => Verdict::Failing,
            },
            problems,
            found,
            done,
        }
    }
}

// === impl Report ===

impl Report {
    /// That there is nothing to discover.
    pub(super) fn nothing(revision: Revision) -> Self {
        Self {
            checked_at: Timestamp::now(),
            revision,
            sources: Vec::new(),
        }
    }

    /// Everything that is not as it should be, in one line. None when nothing is.
    pub(super) fn problem(&self) -> Option<String> {
        let problems: Vec<String> = self
            .sources
            .iter()
            .flat_map(|part| part.problems.iter().map(move |problem| (part, problem)))
            .map(|(part, problem)| match &part.service {
                Some(service) => format!("{service}: {problem}"),
                None => format!("{}: {problem}", part.source.as_str()),
            })
            .collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}
