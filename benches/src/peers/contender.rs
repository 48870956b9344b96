//! Who takes part.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;

use super::{
    backend::Backend,
    configured::{Caddy, Haproxy, Nginx},
    gateway::Gateway,
    processes::Running,
    scratch::Scratch,
    shape::Shape,
};

/// What every contender is set up with.
pub(super) struct Bed<'a> {
    pub(super) scratch: &'a Scratch,
    pub(super) backend: &'a Backend,
    /// Folder of this project's programs.
    pub(super) programs: &'a Path,
}

/// A proxy that can be measured.
pub(super) trait Contender {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Starts it in the given shape, on the core of the proxies. `None` when it has no such feature.
    fn start(&self, bed: &Bed<'_>, shape: &Shape) -> Result<Option<Serving>>;

    /// Changes the configuration while it serves, as its operators would.
    fn reload(&self, bed: &Bed<'_>, serving: &Serving, step: usize) -> Result<()>;
}

/// A started contender.
pub(super) struct Serving {
    pub(super) running: Running,
    /// Without TLS.
    pub(super) plain: SocketAddr,
    /// With TLS.
    pub(super) tls: Option<SocketAddr>,
    /// What it needs beside it and is not counted, such as the catalog.
    pub(super) _helpers: Vec<Running>,
    /// Where its configuration is changed, when that is done over the network.
    pub(super) control: Option<SocketAddr>,
}

/// All of them; nginx is the one that the others are compared with.
pub(super) fn all() -> [&'static dyn Contender; 4] {
    [&Nginx, &Haproxy, &Caddy, &Gateway]
}
