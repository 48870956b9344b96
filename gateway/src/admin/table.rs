//! `GET /routes`: the live table of what is routed where, and how the endpoints are.

use serde::Serialize;

use super::view::{PoolView, RouteView};
use crate::snapshot::Snapshot;

/// Routes and pools of one snapshot, with the load of this moment.
#[derive(Serialize)]
pub(super) struct Table<'a> {
    revision: u64,
    /// In the order in which they are tried.
    routes: Vec<RouteView<'a>>,
    services: Vec<PoolView<'a>>,
}

// === impl Table ===

impl<'a> Table<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let routes = snapshot.routes().all().iter();
        Self {
            revision: snapshot.revision().0,
            routes: routes.map(|route| RouteView::of(route)).collect(),
            services: snapshot.pools().map(|pool| PoolView::of(pool)).collect(),
        }
    }
}
