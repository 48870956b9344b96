//! From settings to values that cannot be wrong.

mod file_routes;

use std::{path::PathBuf, time::Duration};

use catalog_api::{CatalogUrl, CatalogUrls};
use service_kit::{
    listen::ListenAddress,
    settings::{Program, Setting, Settings, SettingsError, Span},
    telemetry,
};

use crate::snapshot::FileRoute;

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
        "GATEWAY_EXPOSE_REVISION",
        "whether answers carry the catalog revision as x-config-revision",
    )
    .default("false")
    .allowed("true or false"),
    Setting::new(
        "GATEWAY_DRAIN_TIMEOUT",
        "how long a stop waits for the requests under way",
    )
    .default("10s")
    .allowed("a duration such as 500ms or 10s"),
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
];

/// The program `gateway`.
pub const PROGRAM: Program = Program {
    name: "gateway",
    about: "API gateway on Pingora: routes, balances and health-checks what the service catalog knows",
    settings: &[SETTINGS, PROGRAM_SETTINGS, telemetry::SETTINGS],
    tables: &[file_routes::KEY],
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
    /// Where operators connect.
    pub admin_listen: ListenAddress,
    /// Replicas of the catalog.
    pub catalog_urls: Vec<CatalogUrl>,
    /// Folder of the copy of the snapshot.
    pub data_dir: PathBuf,
    /// Whether answers carry `x-config-revision`.
    pub expose_revision: bool,
    /// How long a stop waits for requests under way.
    pub drain_timeout: Duration,
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
        Self::with_catalog(
            settings,
            settings.listen("GATEWAY_LISTEN")?,
            catalog_urls.as_slice().to_vec(),
            data_dir,
        )
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
            admin_listen: settings.listen("ADMIN_LISTEN")?,
            catalog_urls,
            data_dir,
            expose_revision: settings.get("GATEWAY_EXPOSE_REVISION")?,
            drain_timeout,
            file_routes: file_routes::read(settings)?,
        })
    }
}

/// The routes that a gateway has when no file says otherwise.
pub fn default_routes() -> Vec<FileRoute> {
    file_routes::built_in()
}
