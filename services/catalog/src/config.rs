//! From settings to a checked [`Config`]. Nothing is opened, bound or created here.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use catalog_api::Address;
use database::{PostgresConfig, RedisConfig, jobs::JobLimits};
use service_kit::{
    listen::ListenAddress,
    secret::Secret,
    settings::{Program, Setting, Settings, SettingsError, Span},
    telemetry,
};

use crate::discovery::{DiscoveryConfig, settings::SETTINGS as DISCOVERY_SETTINGS};

/// What every program with a catalog in it accepts, besides the settings of discovery.
pub const SETTINGS: &[Setting] = &[
    Setting::new("CATALOG_LISTEN", "Address of the catalog")
        .default("0.0.0.0:5001")
        .allowed("host:port"),
    Setting::new(
        "DATA_DIR",
        "Folder of the database and of the generated token",
    )
    .default("./data")
    .allowed("a path"),
    Setting::new(
        "CATALOG_TOKEN",
        "Token that writes need; unset = a generated one in DATA_DIR/catalog-token",
    )
    .allowed("printable ASCII characters without blanks")
    .secret(),
    Setting::new(
        "DATABASE_URL",
        "PostgreSQL database that several catalogs share; unset = an embedded database in DATA_DIR",
    )
    .allowed("postgres://user:password@host:port/database")
    .secret(),
    Setting::new(
        "REDIS_URL",
        "Redis that several catalogs share for calls and their answers; unset = each in its process",
    )
    .allowed("redis://user:password@host:port/number")
    .secret(),
    Setting::new("CATALOG_WATCHERS_MAX", "Most open watch streams")
        .default("4096")
        .allowed("a number from 1"),
    Setting::new(
        "CATALOG_HEARTBEAT",
        "Longest silence of a watch stream before a comment is sent",
    )
    .default("10s")
    .allowed("a duration of 10ms to 10s"),
];

/// What only the single program accepts.
const SINGLE_SETTINGS: &[Setting] = &[
    Setting::new(
        "HOST",
        "Host to listen on, in place of the one in CATALOG_LISTEN",
    )
    .allowed("a name or an address"),
    Setting::new(
        "PORT",
        "Port to listen on, in place of the one in CATALOG_LISTEN",
    )
    .allowed("0 to 65535"),
    Setting::new(
        ADVERTISE_ADDRESS,
        "Address under which others reach this catalog; unset = the address it listens on",
    )
    .allowed("host:port"),
];

/// The single program `service-catalog`.
pub const PROGRAM: Program = Program {
    name: "service-catalog",
    about: "The service catalog: which services run where, and who is told when that changes.",
    settings: &[
        SETTINGS,
        DISCOVERY_SETTINGS,
        SINGLE_SETTINGS,
        telemetry::SETTINGS,
    ],
    tables: &[],
    config_variable: "CATALOG_CONFIG",
    refused: &[(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "trace export is not part of this version",
    )],
    listen: "CATALOG_LISTEN",
};

const ADVERTISE_ADDRESS: &str = "ADVERTISE_ADDRESS";

/// Bounds of `CATALOG_HEARTBEAT`: below, heartbeats are a load; above, gateways take the stream for dead.
const HEARTBEAT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(10);

/// How one catalog runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the program listens. [`Catalog::start`](crate::Catalog::start) is given the bound socket.
    pub listen: ListenAddress,
    /// Folder of the embedded database and of a generated token; created when it is not there.
    pub data_dir: PathBuf,
    /// The database that several catalogs share; none = the embedded one.
    pub database: Option<PostgresConfig>,
    /// The Redis that several catalogs share; none = what would be in it is of this process.
    pub redis: Option<RedisConfig>,
    /// Token that writes need; none = read or create the one in the folder.
    pub token: Option<Secret>,
    /// What it registers itself as; none = the address it listens on.
    pub advertise: Option<Address>,
    /// Most open watch streams.
    pub watchers_max: NonZeroUsize,
    /// Longest silence of a watch stream.
    pub heartbeat: Duration,
    /// What is discovered besides those who register themselves.
    pub discovery: DiscoveryConfig,
    /// Of calls that are answered later. No settings.
    pub jobs: JobLimits,
}

// === impl Config ===

impl Config {
    /// Reads [`SETTINGS`].
    ///
    /// # Errors
    /// A setting that is wrong.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let database = settings.secret("DATABASE_URL")?;
        let database = database.map(|url| url.expose().parse()).transpose();
        let database = database.map_err(|error| settings.invalid("DATABASE_URL", error))?;
        let redis = settings.secret("REDIS_URL")?;
        let redis = redis.map(|url| url.expose().parse()).transpose();
        let redis = redis.map_err(|error| settings.invalid("REDIS_URL", error))?;
        let Span(heartbeat) = settings.get("CATALOG_HEARTBEAT")?;
        if !HEARTBEAT_RANGE.contains(&heartbeat) {
            return Err(settings.invalid("CATALOG_HEARTBEAT", "out of range"));
        }
        let token = settings.secret("CATALOG_TOKEN")?;
        if let Some(token) = &token {
            crate::token::check(token.expose())
                .map_err(|reason| settings.invalid("CATALOG_TOKEN", reason))?;
        }
        Ok(Self {
            listen: settings.listen("CATALOG_LISTEN")?,
            data_dir: settings.get("DATA_DIR")?,
            database,
            redis,
            token,
            advertise: None,
            watchers_max: settings.get("CATALOG_WATCHERS_MAX")?,
            heartbeat,
            discovery: DiscoveryConfig::from_settings(settings)?,
            jobs: JobLimits::default(),
        })
    }

    /// Reads the settings of [`PROGRAM`].
    ///
    /// # Errors
    /// As [`Config::from_settings`].
    pub fn single(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            advertise: settings.optional(ADVERTISE_ADDRESS)?,
            ..Self::from_settings(settings)?
        })
    }
}
