//! Which services of the list are asked for, and how many at once: `?tag= &status= &name= &limit= &cursor=`.

use std::collections::BTreeMap;

use bytes::Bytes;
use catalog_api::{Service, ServiceId, Status, name::SERVICE_NAME_BYTES_MAX};
use service_kit::problem::Problem;

use crate::snapshot::{Entry, Snapshot};

/// The parameters of `GET /services`.
pub(super) const PARAMETERS: [&str; 5] = ["tag", "status", "name", "limit", "cursor"];

/// Most services on one page.
const LIMIT_MAX: usize = 1_000;

/// Starts every cursor, so that a number somebody made up is told from one.
const CURSOR_MARK: &str = "after-";

/// What is asked for; all conditions together. Nothing asked = everything.
#[derive(Debug, Default)]
pub(super) struct Selection {
    tag: Option<String>,
    status: Option<Status>,
    name: Option<NamePattern>,
    limit: Option<usize>,
    /// By id and not by position: what comes and goes between two pages moves nothing from one page to another.
    after: Option<ServiceId>,
}

/// A name, or the beginning of one.
#[derive(Debug)]
enum NamePattern {
    Exact(String),
    Prefix(String),
}

// === impl Selection ===

impl Selection {
    pub(super) fn parse(query: &BTreeMap<String, String>) -> Result<Self, Problem> {
        Ok(Self {
            tag: parameter(query, "tag", |text| {
                (!text.is_empty()).then(|| text.to_owned())
            })?,
            status: parameter(query, "status", parse_status)?,
            name: parameter(query, "name", NamePattern::parse)?,
            limit: parameter(query, "limit", |text| {
                text.parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            })?,
            after: parameter(query, "cursor", parse_cursor)?,
        })
    }

    /// The list as JSON; with `next_cursor` when there is more.
    pub(super) fn list(&self, snapshot: &Snapshot) -> Bytes {
        let mut entries: Vec<&Entry> = snapshot
            .entries_after(self.after)
            .map(AsRef::as_ref)
            .filter(|entry| self.fits(&entry.service))
            .take(self.limit.map_or(usize::MAX, |limit| limit + 1))
            .collect();
        let is_page = self.limit.is_some_and(|limit| entries.len() > limit);
        if is_page {
            entries.pop();
        }
        let next = entries.last().filter(|_| is_page);
        let next = next.map(|entry| format!("{CURSOR_MARK}{:x}", entry.service.id.0));
        snapshot.page(entries.into_iter(), next.as_deref())
    }

    fn fits(&self, service: &Service) -> bool {
        let has = |status| {
            let mut instances = service.instances.iter();
            instances.any(|instance| instance.status == status)
        };
        self.tag
            .as_ref()
            .is_none_or(|tag| service.tags.contains(tag))
            && self.status.is_none_or(has)
            && self
                .name
                .as_ref()
                .is_none_or(|name| name.fits(service.name.as_str()))
    }
}

/// A parameter, or a 400 that names it and what it may be.
fn parameter<T>(
    query: &BTreeMap<String, String>,
    name: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => Err(Problem::bad_request(format!(
            "{name}: must be {}",
            allowed(name)
        ))),
    }
}

fn allowed(name: &str) -> String {
    match name {
        "status" => {
            let words: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
            format!("one of {}", words.join(", "))
        }
        "limit" => format!("a number from 1 to {LIMIT_MAX}"),
        "cursor" => "the next_cursor of an answer before".to_owned(),
        "name" => {
            "a service's name, or the beginning of one with * at its end, such as api-*".to_owned()
        }
        _ => "not empty".to_owned(),
    }
}

fn parse_status(text: &str) -> Option<Status> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
}

fn parse_cursor(text: &str) -> Option<ServiceId> {
    let digits = text.strip_prefix(CURSOR_MARK)?;
    let id = u64::from_str_radix(digits, 16).ok()?;
    (format!("{id:x}") == digits).then_some(ServiceId(id))
}

// === impl NamePattern ===

impl NamePattern {
    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // Just "*" would be every service, which is what no parameter means.
        if name.is_empty() || name.len() > SERVICE_NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return None;
        }
        let name = name.to_owned();
        Some(if is_prefix {
            Self::Prefix(name)
        } else {
            Self::Exact(name)
        })
    }
}
