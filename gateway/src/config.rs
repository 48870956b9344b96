//! From settings to values that cannot be wrong.

mod file_routes;
mod limits;
mod service_listener;
mod tls;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use catalog_api::{CatalogUrl, CatalogUrls};
use service_kit::{
    listen::ListenAddress,
    settings::{Program, Setting, Settings, SettingsError, Size, Span},
    telemetry,
};

use crate::{Limits, proxy::Network, snapshot::FileRoute};

pub use service_listener::{ServiceListener, ServiceListenerError};
pub use tls::TlsConfig;

/// Settings of the gateway itself, also part of `platform`'s.
pub const SETTINGS: &[Setting] = &[
    Setting::new("GATEWAY_LISTEN", "where clients connect")
        .default("0.0.0.0:80")
        .allowed("host:port, port 0 = a free one"),
    Setting::new(
        "ADMIN_LISTEN",
        "where operators connect; keep it off public networks",
    )
    .default("127.0.0.1:9901")
    .allowed("host:port, port 0 = a free one")
    .second_listener(),
    Setting::new(
        "GATEWAY_TRUSTED_PROXIES",
        "networks of proxies before the gateway, whose X-Forwarded-* and Forwarded are believed",
    )
    .allowed("addresses or networks such as 10.0.0.0/8, separated by commas"),
    Setting::new(
        "GATEWAY_MAX_CONNECTIONS",
        "most open connections of clients; more are closed at once",
    )
    .default("10000")
    .allowed("1 to 1000000"),
    Setting::new(
        "GATEWAY_HEADER_TIMEOUT",
        "longest time from the first to the last byte of a request's header",
    )
    .default("10s")
    .allowed("a duration from 10ms to 1h"),
    Setting::new(
        "GATEWAY_IDLE_TIMEOUT",
        "how long a connection may wait for its next request",
    )
    .default("75s")
    .allowed("a duration from 10ms to 1h"),
    Setting::new(
        "GATEWAY_HEADER_BYTES_MAX",
        "longest header of a request in bytes, request line included; more is 431",
    )
    .default("65536")
    .allowed("1024 to 1048576"),
    Setting::new(
        "GATEWAY_TARGET_BYTES_MAX",
        "longest target of a request in bytes, path and query; more is 414",
    )
    .default("16384")
    .allowed("256 to 65536"),
    Setting::new(
        "GATEWAY_EXPOSE_REVISION",
        "whether answers carry the catalog revision as x-config-revision",
    )
    .default("false")
    .allowed("true or false"),
    Setting::new(
        "GATEWAY_RELAY",
        "whether plain requests take the short way; false sends all of them through Pingora's",
    )
    .default("true")
    .allowed("true or false"),
    Setting::new(
        "GATEWAY_DRAIN_TIMEOUT",
        "how long a stop waits for the requests under way",
    )
    .default("10s")
    .allowed("a duration such as 500ms or 10s"),
    Setting::new(
        "GATEWAY_STATIC_DIR",
        "folder whose files are served under /static/",
    )
    .default(STATIC_DIR)
    .allowed("a path; it may be made later"),
    Setting::new(
        "GATEWAY_CACHE_SIZE",
        "memory for kept answers of services that declare a cache policy; 0 = nothing is kept",
    )
    .default("64MiB")
    .allowed("0, or 1MiB and more, such as 512MiB or 2GiB"),
];

/// Settings that only the single program has: in `platform` the catalog is in the same process.
const PROGRAM_SETTINGS: &[Setting] = &[
    Setting::new("CATALOG_URL", "base URLs of the catalog's replicas")
        .default("http://127.0.0.1:5001")
        .allowed("http://host:port, several separated by commas"),
    Setting::new("DATA_DIR", "folder of the last good snapshot")
        .default("./data")
        .allowed("a path"),
    Setting::new("HOST", "host part of the default of GATEWAY_LISTEN")
        .allowed("a host or an address"),
    Setting::new("PORT", "port part of the default of GATEWAY_LISTEN").allowed("0 to 65535"),
    Setting::new(
        "GATEWAY_TLS_LISTEN",
        "where clients connect by TLS, once there is a certificate",
    )
    .default("0.0.0.0:443")
    .allowed("host:port, port 0 = a free one")
    .second_listener(),
    Setting::new(
        "GATEWAY_TLS_CERT",
        "file of the certificate for clients that no other one is for, with its chain, in PEM",
    )
    .allowed("a path"),
    Setting::new("GATEWAY_TLS_KEY", "file of its private key, in PEM").allowed("a path"),
    Setting::new(
        "GATEWAY_HTTPS_REDIRECT",
        "whether requests without TLS on GATEWAY_LISTEN are sent to the TLS listener (308)",
    )
    .default("false")
    .allowed("true or false"),
    Setting::new(
        "GATEWAY_H2C_LISTEN",
        "where clients speak HTTP/2 without TLS; unset = nowhere",
    )
    .allowed("host:port, port 0 = a free one")
    .second_listener(),
    Setting::new(
        "GATEWAY_UPGRADE",
        "whether to take the listeners over from the gateway that runs with the same DATA_DIR; a gateway that gets QUIT starts its own successor so",
    )
    .default("false")
    .allowed("true or false"),
    Setting::new(
        "GATEWAY_UPGRADE_TIMEOUT",
        "how long connections may go on after their listeners were handed to a successor",
    )
    .default("10m")
    .allowed("a duration such as 30s or 10m"),
    Setting::new(
        "GATEWAY_SERVICE_LISTEN",
        "addresses that lead to one service each, whatever the path",
    )
    .allowed("host:port=service, several separated by commas"),
];

/// Folder of the built-in route `/static/`.
const STATIC_DIR: &str = "./static";

/// Smallest cache: one object may have a quarter of it.
const CACHE_BYTES_MIN: usize = 1 << 20;

/// The program `gateway`.
pub const PROGRAM: Program = Program {
    name: "gateway",
    about: "API gateway on Pingora: routes, balances and health-checks what the service catalog knows",
    settings: &[SETTINGS, PROGRAM_SETTINGS, telemetry::SETTINGS],
    tables: &[file_routes::KEY, tls::KEY],
    config_variable: "GATEWAY_CONFIG",
    refused: &[(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "trace export is not part of this version; unset it",
    )],
    listen: "ADMIN_LISTEN",
};

/// A gateway's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: ListenAddress,
    /// Addresses that lead to one service each.
    pub service_listeners: Vec<ServiceListener>,
    /// Where operators connect.
    pub admin_listen: ListenAddress,
    /// Replicas of the catalog.
    pub catalog_urls: Vec<CatalogUrl>,
    /// Folder of the copy of the snapshot.
    pub data_dir: PathBuf,
    /// Whether answers carry `x-config-revision`.
    pub expose_revision: bool,
    /// Whether plain requests take the short way.
    pub relay: bool,
    /// How long a stop waits for requests under way.
    pub drain_timeout: Duration,
    /// Whether the listeners of the gateway that runs with the same data folder are taken over.
    pub upgrade: bool,
    /// How long connections may go on after a hand-over.
    pub upgrade_timeout: Duration,
    /// TLS, when there is a certificate.
    pub tls: Option<TlsConfig>,
    /// Where HTTP/2 is spoken without TLS.
    pub h2c_listen: Option<ListenAddress>,
    /// Peers whose forwarded fields are believed.
    pub trusted_proxies: Vec<Network>,
    /// What one client may take.
    pub limits: Limits,
    /// Memory for kept answers, in bytes; 0 = nothing is kept.
    pub cache_bytes: usize,
    /// Routes of the operator.
    pub file_routes: Vec<FileRoute>,
}

// === impl Config ===

impl Config {
    /// Reads the settings of the program `gateway`.
    ///
    /// # Errors
    /// Names the setting, where it was set and what is allowed.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let catalog_urls: CatalogUrls = settings.get("CATALOG_URL")?;
        let data_dir = settings.get("DATA_DIR")?;
        let shared = Self::with_catalog(
            settings,
            settings.listen("GATEWAY_LISTEN")?,
            catalog_urls.as_slice().to_vec(),
            data_dir,
        )?;
        let Span(upgrade_timeout) = settings.get("GATEWAY_UPGRADE_TIMEOUT")?;
        Ok(Self {
            service_listeners: settings.list("GATEWAY_SERVICE_LISTEN")?,
            upgrade: settings.get("GATEWAY_UPGRADE")?,
            upgrade_timeout,
            tls: tls::read(settings)?,
            h2c_listen: settings.optional("GATEWAY_H2C_LISTEN")?,
            ..shared
        })
    }

    /// Reads the operator's routes alone, which can change while the gateway runs.
    ///
    /// # Errors
    /// Names the key, the file and what is allowed.
    pub fn read_routes(settings: &Settings) -> Result<Vec<FileRoute>, SettingsError> {
        file_routes::read(settings)
    }

    /// Reads the settings that `platform` shares, which knows the catalog and the folder itself.
    ///
    /// # Errors
    /// Names the setting, where it was set and what is allowed.
    pub fn with_catalog(
        settings: &Settings,
        listen: ListenAddress,
        catalog_urls: Vec<CatalogUrl>,
        data_dir: PathBuf,
    ) -> Result<Self, SettingsError> {
        let Span(drain_timeout) = settings.get("GATEWAY_DRAIN_TIMEOUT")?;
        Ok(Self {
            listen,
            service_listeners: Vec::new(),
            admin_listen: settings.listen("ADMIN_LISTEN")?,
            catalog_urls,
            data_dir,
            expose_revision: settings.get("GATEWAY_EXPOSE_REVISION")?,
            relay: settings.get("GATEWAY_RELAY")?,
            drain_timeout,
            upgrade: false,
            upgrade_timeout: Duration::ZERO,
            tls: None,
            h2c_listen: None,
            trusted_proxies: settings.list("GATEWAY_TRUSTED_PROXIES")?,
            limits: limits::read(settings)?,
            cache_bytes: cache_bytes(settings)?,
            file_routes: file_routes::read(settings)?,
        })
    }
}

fn cache_bytes(settings: &Settings) -> Result<usize, SettingsError> {
    const NAME: &str = "GATEWAY_CACHE_SIZE";
    match settings.get(NAME)? {
        Size(0) => Ok(0),
        Size(bytes) if bytes >= CACHE_BYTES_MIN => Ok(bytes),
        Size(_) => Err(settings.invalid(NAME, "too small to keep anything")),
    }
}

/// The routes that a gateway has when no file says otherwise.
pub fn default_routes() -> Vec<FileRoute> {
    file_routes::built_in(Path::new(STATIC_DIR))
}
