//! The program's settings, and what it says about itself to the catalog.

use catalog_api::{HealthCheck, InstanceId, Invalid, Policy, Probe, ServiceSpec};
use registration::RegistrationSettings;
use service_kit::{
    VERSION,
    listen::ListenAddress,
    settings::{Program, Setting, Settings, SettingsError},
    telemetry,
};

/// What the service is, in a sentence.
pub(crate) const DESCRIPTION: &str = "Generates names of people in several languages";

const NAMES_LISTEN: &str = "NAMES_LISTEN";
const NAMES_INSTANCE: &str = "NAMES_INSTANCE";

/// The settings of the service itself.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        NAMES_LISTEN,
        "Address to listen on; port 0 takes a free one",
    )
    .default("0.0.0.0:5000")
    .allowed("host:port"),
    Setting::new("HOST", "Host to listen on, when NAMES_LISTEN is not set")
        .allowed("a host or an IP address"),
    Setting::new("PORT", "Port to listen on, when NAMES_LISTEN is not set").allowed("0 to 65535"),
    Setting::new(
        NAMES_INSTANCE,
        "Name of this instance; by default <hostname>-<port>",
    )
    .allowed("1 to 128 characters of A-Z a-z 0-9 . _ : -"),
];

/// The program `service-api`.
pub const PROGRAM: Program = Program {
    name: "service-api",
    about: DESCRIPTION,
    settings: &[SETTINGS, registration::SETTINGS, telemetry::SETTINGS],
    tables: &[],
    config_variable: "NAMES_CONFIG",
    refused: &[(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "trace export is not part of this version",
    )],
    listen: NAMES_LISTEN,
};

/// How one instance runs. Where it listens is the caller's: the server takes a bound socket.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Name of the instance; none = `<hostname>-<port>`.
    pub instance: Option<InstanceId>,
    /// None = the instance does not register.
    pub registration: Option<RegistrationSettings>,
}

// === impl Config ===

impl Config {
    /// Where to listen, and how to run.
    ///
    /// # Errors
    ///
    /// A setting that is not allowed or has no effect.
    pub fn read(settings: &Settings) -> Result<(ListenAddress, Self), SettingsError> {
        let config = Self {
            instance: settings.optional(NAMES_INSTANCE)?,
            registration: RegistrationSettings::read(settings)?,
        };
        Ok((settings.listen(NAMES_LISTEN)?, config))
    }
}

/// What the catalog is told about the service. No routes: the gateway leads `/api/` to it from the start.
///
/// # Errors
///
/// Never in practice: every value is a constant, and a test builds it. The types parse, so they can fail.
pub fn service_spec() -> Result<ServiceSpec, Invalid> {
    Ok(ServiceSpec {
        description: DESCRIPTION.to_owned().try_into()?,
        version: VERSION.to_owned().try_into()?,
        policy: Policy {
            // Closer than the default, because the platform promises that a killed instance is out of rotation within 2 s.
            health: HealthCheck {
                probe: Probe::Http {
                    path: "/readyz".to_owned(),
                },
                interval: "1s".parse()?,
                timeout: "1s".parse()?,
                ..HealthCheck::default()
            },
            ..Policy::default()
        },
        ..ServiceSpec::named("service-api".parse()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_describes_itself() {
        let spec = serde_json::to_value(service_spec().unwrap()).unwrap();
        assert_eq!(spec["name"], "service-api");
        assert_eq!(spec["version"], VERSION);
        let health = &spec["policy"]["health"];
        assert_eq!(
            (&health["path"], &health["interval"], &health["timeout"]),
            (&"/readyz".into(), &"1s".into(), &"1s".into())
        );
    }
}
