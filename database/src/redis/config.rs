//! From a URL to what connections need. Nothing here ever shows a password.

use std::{fmt, str::FromStr};

use bb8_redis::redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, parse_redis_url,
};

/// How to reach a Redis: a URL `redis://user:password@host:port/number`.
#[derive(Clone)]
pub struct RedisConfig {
    pub(super) driver: ConnectionInfo,
    target: String,
}

/// Why a URL is not usable. Never contains any part of the URL that can hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisConfigError {
    /// Another kind of URL.
    #[error("must start with redis://")]
    Scheme,
    /// TLS is asked for.
    #[error("must start with redis://: it speaks to Redis without TLS")]
    Tls,
    /// It cannot be taken apart.
    #[error(
        "must be redis://user:password@host:port/number, with special characters of user and password percent-encoded \
         (@ is %40, / is %2F, # is %23)"
    )]
    Syntax,
    /// Something that would have no effect.
    #[error("must end with the number of the database: it takes no {0}")]
    Unknown(&'static str),
}

// === impl RedisConfig ===

impl RedisConfig {
    /// Host, port and database, for messages: no user, no password.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl FromStr for RedisConfig {
    type Err = RedisConfigError;

    fn from_str(text: &str) -> Result<Self, RedisConfigError> {
        use RedisConfigError::{Scheme, Syntax, Tls, Unknown};
        if text.starts_with("rediss://") {
            return Err(Tls);
        }
        if !text.starts_with("redis://") {
            return Err(Scheme);
        }
        let url = parse_redis_url(text).ok_or(Syntax)?;
        if url.query().is_some() {
            return Err(Unknown("options"));
        }
        if url.fragment().is_some() {
            return Err(Unknown("fragment"));
        }
        let driver = url.into_connection_info().map_err(|_| Syntax)?;
        let ConnectionAddr::Tcp(host, port) = driver.addr() else {
            return Err(Syntax);
        };
        // An unencoded @ in a password moves its end into the host; such a host must not get into a message.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let number = driver.redis_settings().db();
        if host.is_empty() || !host.chars().all(plain) || number < 0 {
            return Err(Syntax);
        }
        let target = format!("{host}:{port}/{number}");
        // The older protocol: what we ask for needs nothing else, and every server and proxy knows it.
        let settings = driver.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP2);
        Ok(Self {
            driver: driver.set_redis_settings(settings),
            target,
        })
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisConfig({})", self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_neither_user_nor_password() {
        let config: RedisConfig = "redis://ann:s%40cret@redis.example/3".parse().unwrap();
        assert_eq!(config.target(), "redis.example:6379/3");
        let shown = format!("{config:?}");
        assert!(!shown.contains("ann") && !shown.contains("cret"), "{shown}");
        assert_eq!(config.driver.redis_settings().password(), Some("s@cret"));
    }

    #[test]
    fn what_cannot_work_is_refused_without_showing_secrets() {
        for url in [
            "rediss://u:hidden@h",
            "http://u:hidden@h",
            "redis://u:hidden@h:port",
            "redis://u:hidden@h/name",
            "redis://u:hidden@h/-1",
            "redis://u:x@h/0?protocol=hidden",
            "redis://u:x@h/0#hidden",
            "redis://",
            "",
        ] {
            let error = url.parse::<RedisConfig>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
        }
    }
}
