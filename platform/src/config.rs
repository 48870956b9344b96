//! One table of settings over those of all parts.

use std::path::PathBuf;

use service_kit::{
    listen::ListenAddress,
    settings::{Program, Setting, Settings, SettingsError},
    telemetry,
};

/// Most instances of the name service in one process.
const NAMES_INSTANCES_MAX: u16 = 100;

/// Port of the gateway where port 80 cannot be had.
const FALLBACK_PORT: u16 = 8080;

const SETTINGS: &[Setting] = &[
    Setting::new("NAMES_LISTEN", "where the first instance of the name service listens; further ones take free ports of its host")
        .default("0.0.0.0:5000")
        .allowed("host:port, port 0 = a free one"),
    Setting::new("NAMES_INSTANCES", "instances of the name service")
        .default("2")
        .allowed("0 to 100"),
];

/// The program `platform`.
pub const PROGRAM: Program = Program {
    name: "platform",
    about: "The whole platform in one process: gateway, service catalog and name service on an embedded store",
    settings: &[
        SETTINGS,
        gateway::SETTINGS,
        catalog::SETTINGS,
        catalog::DISCOVERY_SETTINGS,
        telemetry::SETTINGS,
    ],
    tables: gateway::PROGRAM.tables,
    config_variable: "PLATFORM_CONFIG",
    refused: &[(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "trace export is not part of this version; unset it",
    )],
    listen: "ADMIN_LISTEN",
};

/// The configuration of all parts, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the catalog; also says where the data is.
    pub catalog: catalog::Config,
    /// Where the gateway listens.
    pub gateway_listen: ListenAddress,
    /// Where it listens instead when that cannot be had; none when the address is the user's choice, which is never replaced.
    pub gateway_fallback: Option<ListenAddress>,
    /// Of the gateway, but for the address of the catalog, which is only known when it listens.
    pub gateway: GatewayPart,
    /// One address per instance of the name service.
    pub names_listen: Vec<ListenAddress>,
}

/// What of the gateway's configuration does not depend on the other parts.
#[derive(Clone, Debug)]
pub struct GatewayPart {
    settings: Settings,
    data_dir: PathBuf,
}

// === impl Config ===

impl Config {
    /// Reads the settings of the program `platform`.
    ///
    /// # Errors
    /// Names the setting, where it was set and what is allowed.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let catalog = catalog::Config::from_settings(settings)?;
        let first: ListenAddress = settings.get("NAMES_LISTEN")?;
        let instances: u16 = settings.get("NAMES_INSTANCES")?;
        if instances > NAMES_INSTANCES_MAX {
            return Err(settings.invalid("NAMES_INSTANCES", "is more than one process should have"));
        }
        let further = ListenAddress {
            host: first.host.clone(),
            port: 0,
        };
        let names_listen = std::iter::once(first)
            .chain(std::iter::repeat(further))
            .take(instances.into())
            .collect();
        let gateway = GatewayPart {
            settings: settings.clone(),
            data_dir: catalog.data_dir.clone(),
        };
        // What the gateway would refuse is refused now, not when the catalog already runs.
        gateway.config(Vec::new())?;
        let gateway_listen = settings.listen("GATEWAY_LISTEN")?;
        let gateway_fallback = (!settings.is_explicit("GATEWAY_LISTEN")).then(|| ListenAddress {
            host: gateway_listen.host.clone(),
            port: FALLBACK_PORT,
        });
        Ok(Self {
            gateway_listen,
            gateway_fallback,
            gateway,
            names_listen,
            catalog,
        })
    }
}

// === impl GatewayPart ===

impl GatewayPart {
    /// The configuration with the addresses of the catalog.
    ///
    /// # Errors
    /// Names the setting, where it was set and what is allowed.
    pub fn config(
        &self,
        catalog_urls: Vec<catalog_api::CatalogUrl>,
    ) -> Result<gateway::Config, SettingsError> {
        let listen = self.settings.listen("GATEWAY_LISTEN")?;
        gateway::Config::with_catalog(&self.settings, listen, catalog_urls, self.data_dir.clone())
    }
}
