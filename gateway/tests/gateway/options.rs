//! Every setting of the gateway does something. The table says what a setting changes in the configuration, and which test shows what
//! that does to clients, operators or the log. A setting that is not in the table, or whose test is gone, fails here.

use std::collections::{BTreeMap, BTreeSet};

use gateway::{Config, PROGRAM};
use service_kit::settings::Sources;
use tempfile::TempDir;

use crate::harness::{Authority, get};
use crate::program::{Process, command};

/// One setting.
struct Row {
    name: &'static str,
    /// Something else than the default.
    value: &'static str,
    /// Whether a configuration shows that, besides by being accepted.
    is_shown: fn(&Config) -> bool,
    /// The test of the effect, as `file::function`.
    test: &'static str,
}

const fn row(
    name: &'static str,
    value: &'static str,
    is_shown: fn(&Config) -> bool,
    test: &'static str,
) -> Row {
    Row {
        name,
        value,
        is_shown,
        test,
    }
}

/// Read when the log begins and not kept in the configuration.
fn of_the_log(_: &Config) -> bool {
    true
}

const OPTIONS: [Row; 27] = [
    row(
        "GATEWAY_LISTEN",
        "127.0.0.1:81",
        |config| config.listen.port == 81,
        "program::mistakes_in_the_configuration_are_named_and_exit_with_2",
    ),
    row(
        "HOST",
        "127.0.0.9",
        |config| config.listen.to_string() == "127.0.0.9:80",
        "options::host_and_port_move_the_listener_of_clients",
    ),
    row(
        "PORT",
        "8081",
        |config| config.listen.to_string() == "0.0.0.0:8081",
        "options::host_and_port_move_the_listener_of_clients",
    ),
    row(
        "ADMIN_LISTEN",
        "127.0.0.1:82",
        |config| config.admin_listen.port == 82,
        "program::the_healthcheck_asks_the_gateway_itself_and_not_what_it_leads_to",
    ),
    row(
        "GATEWAY_SERVICE_LISTEN",
        "127.0.0.1:83=hold",
        |config| {
            config
                .service_listeners
                .iter()
                .any(|listener| listener.service.as_str() == "hold")
        },
        "program::a_listener_of_a_service_leads_there_whatever_the_path",
    ),
    row(
        "CATALOG_URL",
        "http://127.0.0.1:84,http://127.0.0.1:85",
        |config| config.catalog_urls.len() == 2,
        "catalog_stream::another_replica_takes_over",
    ),
    row(
        "DATA_DIR",
        "elsewhere",
        |config| config.data_dir.ends_with("elsewhere"),
        "disk_copy::a_gateway_starts_from_its_copy_when_the_catalog_is_down",
    ),
    row(
        "GATEWAY_TLS_CERT",
        "site.pem",
        |config| config.tls.is_some(),
        "tls::both_protocols_are_agreed_on_and_the_service_learns_the_scheme",
    ),
    row(
        "GATEWAY_TLS_KEY",
        "site.key",
        |config| config.tls.is_some(),
        "tls::both_protocols_are_agreed_on_and_the_service_learns_the_scheme",
    ),
    row(
        "GATEWAY_TLS_LISTEN",
        "127.0.0.1:444",
        |config| {
            config
                .tls
                .as_ref()
                .is_some_and(|tls| tls.listen.port == 444)
        },
        "options::settings_of_tls_reach_the_program",
    ),
    row(
        "GATEWAY_HTTPS_REDIRECT",
        "true",
        |config| config.tls.as_ref().is_some_and(|tls| tls.redirect),
        "tls::requests_without_tls_are_sent_to_tls",
    ),
    row(
        "GATEWAY_H2C_LISTEN",
        "127.0.0.1:86",
        |config| config.h2c_listen.as_ref().is_some_and(|h2c| h2c.port == 86),
        "http2::requests_and_answers_pass_with_their_fields",
    ),
    row(
        "GATEWAY_UPGRADE",
        "true",
        |config| config.upgrade,
        "upgrade::three_upgrades_under_load_fail_no_request_and_cut_no_tunnel",
    ),
    row(
        "GATEWAY_UPGRADE_TIMEOUT",
        "7s",
        |config| config.upgrade_timeout.as_secs() == 7,
        "upgrade::a_tunnel_is_cut_when_the_time_after_an_upgrade_is_over",
    ),
    row(
        "GATEWAY_TRUSTED_PROXIES",
        "10.0.0.0/8,::1",
        |config| config.trusted_proxies.len() == 2,
        "trusted_proxies::a_trusted_proxy_is_believed_and_the_gateway_adds_itself",
    ),
    row(
        "GATEWAY_MAX_CONNECTIONS",
        "7",
        |config| config.limits.connections_max == 7,
        "limits::connections_over_the_limit_are_closed_and_counted",
    ),
    row(
        "GATEWAY_HEADER_TIMEOUT",
        "7s",
        |config| config.limits.header_timeout.as_secs() == 7,
        "limits::a_head_that_trickles_in_is_cut_off_at_its_deadline",
    ),
    row(
        "GATEWAY_IDLE_TIMEOUT",
        "7s",
        |config| config.limits.idle_timeout.as_secs() == 7,
        "limits::an_idle_connection_is_closed_and_one_in_use_is_not",
    ),
    row(
        "GATEWAY_HEADER_BYTES_MAX",
        "2048",
        |config| config.limits.header_bytes_max == 2048,
        "limits::heads_and_targets_have_a_longest_length",
    ),
    row(
        "GATEWAY_TARGET_BYTES_MAX",
        "512",
        |config| config.limits.target_bytes_max == 512,
        "limits::heads_and_targets_have_a_longest_length",
    ),
    row(
        "GATEWAY_EXPOSE_REVISION",
        "true",
        |config| config.expose_revision,
        "forwarding::answers_carry_the_revision_only_when_asked_for",
    ),
    row(
        "GATEWAY_RELAY",
        "false",
        |config| !config.relay,
        "relay::plain_requests_take_the_short_way_unless_it_is_off",
    ),
    row(
        "GATEWAY_DRAIN_TIMEOUT",
        "7s",
        |config| config.drain_timeout.as_secs() == 7,
        "program::the_deadline_of_the_drain_cuts_and_still_exits_with_0",
    ),
    row(
        "GATEWAY_STATIC_DIR",
        "elsewhere",
        |config| format!("{:?}", config.file_routes).contains("elsewhere"),
        "program::folders_are_served_by_setting_and_by_route",
    ),
    row(
        "GATEWAY_CACHE_SIZE",
        "1MiB",
        |config| config.cache_bytes == 1 << 20,
        "cache_faults::the_cache_stays_within_its_size_and_answers_stay_right",
    ),
    row(
        "RUST_LOG",
        "warn",
        of_the_log,
        "access_log::a_log_that_nobody_reads_delays_no_request_and_says_what_it_dropped",
    ),
    row(
        "LOG_FORMAT",
        "json",
        of_the_log,
        "access_log::an_event_says_what_became_of_a_request_and_nothing_secret",
    ),
];

/// Sources of the tests that the table names.
const SOURCES: [(&str, &str); 13] = [
    ("access_log", include_str!("access_log.rs")),
    ("cache_faults", include_str!("cache_faults.rs")),
    ("catalog_stream", include_str!("catalog_stream.rs")),
    ("disk_copy", include_str!("disk_copy.rs")),
    ("forwarding", include_str!("forwarding.rs")),
    ("http2", include_str!("http2.rs")),
    ("limits", include_str!("limits.rs")),
    ("options", include_str!("options.rs")),
    ("program", include_str!("program.rs")),
    ("relay", include_str!("relay.rs")),
    ("tls", include_str!("tls.rs")),
    ("trusted_proxies", include_str!("trusted_proxies.rs")),
    ("upgrade", include_str!("upgrade.rs")),
];

/// Settings without a row: colours are for terminals, which tests do not have. `telemetry` refuses what is no value of it.
const WITHOUT_A_ROW: [&str; 1] = ["NO_COLOR"];

fn config(env: &[(&str, &str)]) -> Config {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let sources = Sources {
        args: Vec::new(),
        env: env.iter().map(owned).collect::<BTreeMap<_, _>>(),
    };
    Config::from_settings(&PROGRAM.load(sources).unwrap()).unwrap()
}

#[test]
fn every_setting_has_a_row_and_a_test() {
    let declared: BTreeSet<_> = (PROGRAM.settings.iter().copied().flatten())
        .map(|setting| setting.name())
        .collect();
    let listed = OPTIONS.iter().map(|option| option.name);
    let listed: BTreeSet<_> = listed.chain(WITHOUT_A_ROW).collect();
    assert_eq!(declared, listed);
    for option in &OPTIONS {
        let (file, function) = option.test.split_once("::").unwrap();
        let source = SOURCES.iter().find(|(name, _)| *name == file);
        let (_, text) = source.unwrap_or_else(|| panic!("{file} is not among the sources"));
        let declared = format!("fn {function}(");
        assert!(
            text.contains(&declared),
            "{} has no test {declared}",
            option.name
        );
    }
}

#[test]
fn every_setting_changes_the_configuration() {
    let data = TempDir::new().unwrap();
    let pair = Authority::new().issue(data.path(), "site", &["site.test"]);
    let (cert, key) = (pair.cert.to_str().unwrap(), pair.key.to_str().unwrap());
    for option in &OPTIONS {
        let value = match option.value {
            "site.pem" => cert,
            "site.key" => key,
            value => value,
        };
        // What is about TLS has an effect with a certificate only.
        let mut env = match option.name.contains("TLS") || option.name.contains("HTTPS") {
            true => vec![("GATEWAY_TLS_CERT", cert), ("GATEWAY_TLS_KEY", key)],
            false => Vec::new(),
        };
        env.push((option.name, value));
        assert!((option.is_shown)(&config(&env)), "{}", option.name);
    }
    let default = config(&[]);
    for option in OPTIONS.iter().filter(|option| !option.name.contains("LOG")) {
        assert!(
            !(option.is_shown)(&default),
            "{} is the default",
            option.name
        );
    }
}

#[tokio::test]
async fn host_and_port_move_the_listener_of_clients() {
    let data = TempDir::new().unwrap();
    let mut command = command(data.path());
    command.env_remove("GATEWAY_LISTEN");
    let process = Process::start(command.env("HOST", "127.0.0.9").env("PORT", "0"));
    assert_eq!(process.address.ip().to_string(), "127.0.0.9");
    assert_ne!(process.address.port(), 80);
    assert_eq!(get(process.address, "/nobody").await.status(), 503);
}

#[tokio::test]
async fn settings_of_tls_reach_the_program() {
    let data = TempDir::new().unwrap();
    let pair = Authority::new().issue(data.path(), "site", &["site.test"]);
    let process = Process::start(
        command(data.path())
            .env("GATEWAY_TLS_LISTEN", "127.0.0.1:0")
            .env("GATEWAY_TLS_CERT", &pair.cert)
            .env("GATEWAY_TLS_KEY", &pair.key)
            .env("GATEWAY_HTTPS_REDIRECT", "true"),
    );
    let told = get(process.admin, "/explain?listener=tls&path=/metrics").await;
    assert_eq!(told.json()["route"]["answer"], "metrics");
    let redirected = get(process.address, "/metrics").await;
    assert_eq!(redirected.status(), 308);
    let told = get(process.admin, "/explain?host=gateway.test&path=/metrics")
        .await
        .json();
    assert_eq!(told["outcome"], "redirect");
    assert_eq!(told["location"].as_str(), redirected.header("location"));
}
