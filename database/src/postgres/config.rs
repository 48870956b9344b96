//! From a URL to settings for connections. Every option either has an effect or is refused, and nothing here ever shows a password.

use std::{fmt, str::FromStr, time::Duration};

use tokio_postgres::config::{
    ChannelBinding, Config, Host, SslMode, SslNegotiation, TargetSessionAttrs,
};

/// Longest wait for one server to take a connection and accept the password; `connect_timeout` in the URL replaces it.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(3);

/// Longest time that sent data may stay without an acknowledgement before the connection counts as lost (RFC 5482).
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// Silence after which the system asks whether the other side is still there, how often, and how many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(3), 3);

/// What the driver has when the URL says nothing about it.
const KEEPALIVE_IDLE_OF_DRIVER: Duration = Duration::from_secs(2 * 60 * 60);

/// Settings of every session. What the URL's `options` say comes after these and wins.
///
/// `synchronous_commit`: an acknowledged write is on disk whatever the server's default. `statement_timeout`: the server gives up when
/// we do. `idle_in_transaction_session_timeout`: a catalog that was stopped between two statements must not hold the lock on the
/// revision longer than the others are willing to wait for it.
const SESSION: &str = "-c synchronous_commit=on -c statement_timeout=5000 -c idle_in_transaction_session_timeout=3000";

/// How to reach a PostgreSQL database: a URL `postgres://user:password@host:port/database`, with several hosts if need be.
#[derive(Clone)]
pub struct PostgresConfig {
    pub(super) driver: Config,
    /// Limit of one attempt over all hosts.
    pub(super) connect_wait_max: Duration,
    target: String,
}

/// Why a URL is not usable. Never contains any part of the URL that can hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresConfigError {
    /// Another kind of URL.
    #[error("must start with postgres:// or postgresql://")]
    Scheme,
    /// It cannot be taken apart.
    #[error(
        "must be postgres://user:password@host:port/database, with special characters of user and password percent-encoded \
         (@ is %40, / is %2F, ? is %3F) and only options of libpq that the driver knows"
    )]
    Syntax,
    /// User, host or database is left out.
    #[error("names no {0}; it must be postgres://user:password@host:port/database")]
    Missing(&'static str),
    /// An option that asks for something that is not there.
    #[error("asks for {0}, which this version cannot do: {1}")]
    Unsupported(&'static str, &'static str),
}

// === impl PostgresConfig ===

impl PostgresConfig {
    /// Host, port and database, for messages: no user, no password.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl FromStr for PostgresConfig {
    type Err = PostgresConfigError;

    fn from_str(url: &str) -> Result<Self, PostgresConfigError> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(PostgresConfigError::Scheme);
        }
        // The driver's own message quotes the option it stumbled over, which can be the end of a password.
        let mut driver: Config = url.parse().map_err(|_| PostgresConfigError::Syntax)?;
        check(&driver)?;
        let target = target(&driver)?;
        complete(&mut driver);
        let servers = u32::try_from(driver.get_hosts().len()).unwrap_or(u32::MAX);
        let wait = driver
            .get_connect_timeout()
            .copied()
            .unwrap_or(CONNECT_WAIT_MAX);
        Ok(Self {
            driver,
            connect_wait_max: wait.saturating_mul(servers),
            target,
        })
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresConfig({})", self.target)
    }
}

fn check(driver: &Config) -> Result<(), PostgresConfigError> {
    use PostgresConfigError::{Missing, Unsupported};
    let no_tls = "it speaks to PostgreSQL without TLS";
    if driver.get_ssl_mode() == SslMode::Require {
        return Err(Unsupported("sslmode=require", no_tls));
    }
    if driver.get_ssl_negotiation() == SslNegotiation::Direct {
        return Err(Unsupported("sslnegotiation=direct", no_tls));
    }
    if driver.get_channel_binding() == ChannelBinding::Require {
        return Err(Unsupported("channel_binding=require", no_tls));
    }
    if driver.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
        return Err(Unsupported(
            "target_session_attrs=read-only",
            "the catalog has to write",
        ));
    }
    if driver.get_user().is_none_or(str::is_empty) {
        return Err(Missing("user"));
    }
    if driver.get_dbname().is_none_or(str::is_empty) {
        return Err(Missing("database"));
    }
    if driver.get_hosts().is_empty() {
        return Err(Missing("host"));
    }
    Ok(())
}

/// An unencoded `@` in a password moves its end into the host; such a host must not get into a message.
fn target(driver: &Config) -> Result<String, PostgresConfigError> {
    let ports = driver.get_ports();
    let mut servers = Vec::new();
    for (index, host) in driver.get_hosts().iter().enumerate() {
        let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
        let host = match host {
            Host::Tcp(host) => host.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(PostgresConfigError::Syntax);
        }
        servers.push(format!("{host}:{port}"));
    }
    let database = driver.get_dbname().unwrap_or_default();
    if database.contains('@') {
        return Err(PostgresConfigError::Syntax);
    }
    Ok(format!("{}/{database}", servers.join(",")))
}

/// Limits where the URL sets none: the driver's own defaults are none, or hours.
fn complete(driver: &mut Config) {
    if driver.get_connect_timeout().is_none() {
        driver.connect_timeout(CONNECT_WAIT_MAX);
    }
    if driver.get_tcp_user_timeout().is_none() {
        driver.tcp_user_timeout(UNACKNOWLEDGED_MAX);
    }
    let (idle, interval, retries) = KEEPALIVE;
    if driver.get_keepalives_idle() == KEEPALIVE_IDLE_OF_DRIVER {
        driver.keepalives_idle(idle);
    }
    if driver.get_keepalives_interval().is_none() {
        driver.keepalives_interval(interval);
    }
    if driver.get_keepalives_retries().is_none() {
        driver.keepalives_retries(retries);
    }
    if driver.get_application_name().is_none() {
        driver.application_name("service-catalog");
    }
    // Of several hosts the one that can write: a standby would show the past and refuse every write.
    driver.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let options = match driver.get_options() {
        Some(own) => format!("{SESSION} {own}"),
        None => SESSION.to_owned(),
    };
    driver.options(options);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<PostgresConfig, PostgresConfigError> {
        url.parse()
    }

    #[test]
    fn what_is_shown_has_neither_user_nor_password() {
        let config =
            parse("postgresql://ann:s%40cret@db.example,10.0.0.2:6543/catalog?connect_timeout=7")
                .unwrap();
        assert_eq!(config.target(), "db.example:5432,10.0.0.2:6543/catalog");
        let shown = format!("{config:?}");
        assert!(!shown.contains("ann") && !shown.contains("cret"), "{shown}");
        assert_eq!(config.driver.get_password(), Some(b"s@cret".as_slice()));
        assert_eq!(config.connect_wait_max, Duration::from_secs(14));
    }

    #[test]
    fn limits_are_set_unless_the_url_sets_them() {
        let config = parse("postgres://u@h/d?keepalives_idle=60&options=-c%20work_mem%3D8MB");
        let driver = config.unwrap().driver;
        assert_eq!(driver.get_keepalives_idle(), Duration::from_secs(60));
        assert_eq!(driver.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED_MAX));
        let options = driver.get_options().unwrap();
        assert!(options.starts_with(SESSION) && options.ends_with(" -c work_mem=8MB"));
    }

    #[test]
    fn what_cannot_work_is_refused_without_showing_secrets() {
        for url in [
            "mysql://u:hidden@h/d",
            "postgres://u:hidden@h:port/d",
            "postgres://u:hid@hidden@h/d",
            "postgres://u:x@h/hidden@d",
            "postgres://u:x@h/d?hidden=1",
            "postgres://u:hidden@h",
            "postgres://u:hidden@/d",
            "postgres://h/d",
            "postgres://u:hidden@h/d?sslmode=require",
            "postgres://u:hidden@h/d?sslmode=verify-full",
            "postgres://u:hidden@h/d?target_session_attrs=read-only",
        ] {
            let error = parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
        }
    }
}
