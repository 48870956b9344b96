//! Who takes part.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    certificate::Certificate,
    configured::{Caddy, Haproxy, Nginx},
    gateway::Gateway,
    shape::Shape,
};
use crate::rig::{backend::Backend, plan::Plan, processes::Running, scratch::Scratch};

/// The one whose figures have aims.
pub(super) const GATEWAY: &str = "gateway";

/// What every contender is set up with.
pub(super) struct Bed<'a> {
    pub(super) scratch: &'a Scratch,
    pub(super) backend: &'a Backend,
    /// Certificate for those that listen with TLS.
    pub(super) certificate: &'a Certificate,
}

/// A proxy that can be measured.
pub(super) trait Contender {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Name of its configuration's file.
    fn file(&self) -> &'static str;

    /// Starts it in the given shape, on the core of the proxies. `None` when it has no such feature.
    fn start(&self, bed: &Bed<'_>, shape: &Shape) -> Result<Option<Serving>>;

    /// Changes the configuration while it serves, as its operators would.
    fn reload(&self, bed: &Bed<'_>, serving: &Serving, step: usize) -> Result<()>;
}

/// A started contender.
pub(super) struct Serving {
    pub(super) running: Running,
    /// Where its configuration is.
    pub(super) folder: PathBuf,
    /// Without TLS.
    pub(super) plain: SocketAddr,
    /// With TLS.
    pub(super) tls: Option<SocketAddr>,
    /// What it needs beside it and is not counted, such as the catalog.
    pub(super) _helpers: Vec<Running>,
    /// Where its configuration is changed, when that is done over the network.
    pub(super) control: Option<SocketAddr>,
}

/// All of them; nginx comes first, for it is the one that the others are compared with.
pub(super) fn all(plan: &Plan, programs: &Path) -> Vec<Box<dyn Contender>> {
    let mut all: Vec<Box<dyn Contender>> = vec![
        Box::new(Nginx),
        Box::new(Haproxy),
        Box::new(Caddy),
        Box::new(Gateway::new(GATEWAY, programs)),
    ];
    if let Some(before) = &plan.before {
        all.push(Box::new(Gateway::new("before", before)));
    }
    all
}
