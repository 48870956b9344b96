//! How settings are found and read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use service_kit::settings::{Mode, Program, Setting, Settings, SettingsError, Sources, Span};
use tempfile::TempDir;

pub(crate) const PROGRAM: Program = Program {
    name: "example",
    about: "An example",
    settings: &[
        &[
            Setting::new("CATALOG_LISTEN", "Address to listen on")
                .default("0.0.0.0:5001")
                .allowed("host:port"),
            Setting::new("CATALOG_TOKEN", "Token for writes").secret(),
            Setting::new("CATALOG_URL", "Replicas of the catalog"),
            Setting::new("LEASE", "Length of a lease")
                .default("30s")
                .allowed("a duration"),
        ],
        &[
            Setting::new("HOST", "Host to listen on"),
            Setting::new("PORT", "Port to listen on").allowed("0 to 65535"),
            Setting::new("NO_COLOR", "No colours").empty_is_unset(),
            Setting::new("LEASE", "Declared twice").default("99s"),
        ],
    ],
    tables: &["routes"],
    config_variable: "CATALOG_CONFIG",
    refused: &[("CATALOG_DEBUG", "it would log tokens")],
    listen: "CATALOG_LISTEN",
};

/// The sources of one start; files live as long as it.
#[derive(Default)]
pub(crate) struct Start {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    folder: Option<TempDir>,
}

impl Start {
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args
            .extend(args.iter().map(|&argument| argument.to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&mut self, name: &str, content: &str) -> PathBuf {
        let folder = self
            .folder
            .get_or_insert_with(|| tempfile::tempdir().unwrap());
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The configuration file.
    pub(crate) fn file(mut self, content: &str) -> Self {
        let path = self.write("example.toml", content);
        self.env("CATALOG_CONFIG", path.to_str().unwrap())
    }

    /// A file whose path is in an environment variable.
    pub(crate) fn env_file(mut self, name: &str, content: &str) -> Self {
        let path = self.write(name, content);
        self.env(name, path.to_str().unwrap())
    }

    pub(crate) fn try_load(&self) -> Result<Settings, SettingsError> {
        PROGRAM.load(Sources {
            args: self.args.clone(),
            env: self.env.clone(),
        })
    }

    pub(crate) fn load(&self) -> Settings {
        self.try_load().unwrap()
    }
}

pub(crate) fn start() -> Start {
    Start::default()
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let listen = |settings: Settings| settings.listen("CATALOG_LISTEN").unwrap().port;
    let mut start = start();
    assert_eq!(listen(start.load()), 5001);
    assert!(!start.load().is_explicit("CATALOG_LISTEN"));
    start = start.file("catalog_listen = '127.0.0.1:1'");
    assert_eq!(listen(start.load()), 1);
    start = start.env("CATALOG_LISTEN", "127.0.0.1:2");
    assert_eq!(listen(start.load()), 2);
    start = start.args(&["--catalog-listen", "127.0.0.1:3"]);
    assert_eq!(listen(start.load()), 3);
    assert!(start.load().is_explicit("CATALOG_LISTEN"));
}

#[test]
fn values_have_types() {
    let settings = start()
        .file("catalog_url = ['http://a', ' http://b ']\nport = 80")
        .load();
    assert_eq!(
        settings.get::<Span>("LEASE").unwrap(),
        Span(Duration::from_secs(30))
    );
    assert_eq!(settings.get::<u16>("PORT").unwrap(), 80);
    assert_eq!(settings.optional::<String>("HOST").unwrap(), None);
    assert_eq!(
        settings.list::<String>("CATALOG_URL").unwrap(),
        ["http://a", "http://b"]
    );
    assert!(
        start()
            .load()
            .list::<String>("CATALOG_URL")
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        settings.file().unwrap().file_name().unwrap(),
        "example.toml"
    );
    assert_eq!(Span(Duration::from_millis(500)).to_string(), "500ms");
}

#[test]
fn a_secret_comes_by_value_or_by_file_and_a_flag_wins_over_both() {
    let secret = |start: &Start| {
        let secret = start.load().secret("CATALOG_TOKEN").unwrap();
        secret.map(|secret| secret.expose().to_owned())
    };
    assert_eq!(secret(&start()), None);
    assert_eq!(
        secret(&start().env("CATALOG_TOKEN", "v")).as_deref(),
        Some("v")
    );
    for content in ["from file\n", "from file\r\n", "from file"] {
        let start = start().env_file("CATALOG_TOKEN_FILE", content);
        assert_eq!(secret(&start).as_deref(), Some("from file"));
    }
    let start = start()
        .env_file("CATALOG_TOKEN_FILE", "f")
        .args(&["--catalog-token=flag"]);
    assert_eq!(secret(&start).as_deref(), Some("flag"));
}

#[test]
fn host_and_port_replace_the_halves_of_the_default_address() {
    let listen = |start: Start| start.load().listen("CATALOG_LISTEN").unwrap().to_string();
    assert_eq!(listen(start().env("PORT", "8080")), "0.0.0.0:8080");
    assert_eq!(listen(start().env("HOST", "::1")), "[::1]:5001");
    assert_eq!(
        listen(start().args(&["--host=[::1]", "--port=0"])),
        "[::1]:0"
    );
    let own = start().env("CATALOG_LISTEN", "127.0.0.1:7");
    assert_eq!(listen(own), "127.0.0.1:7");
}

#[test]
fn modes_are_flags() {
    for (args, mode) in [
        (&[][..], Mode::Run),
        (&["--check"], Mode::Check),
        (&["--print-config"], Mode::PrintConfig),
        (&["--healthcheck"], Mode::Healthcheck),
    ] {
        assert_eq!(start().args(args).load().mode(), mode);
    }
}

#[test]
fn help_lists_each_setting_with_default_and_allowed_values() {
    let error = start().args(&["--help"]).try_load().unwrap_err();
    let SettingsError::Information(help) = error else {
        panic!("{error:?}");
    };
    for part in [
        "--catalog-listen",
        "host:port",
        "0.0.0.0:5001",
        "--catalog-token-file",
        "--config",
    ] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    assert_eq!(help.matches("--lease ").count(), 1);
}

#[test]
fn an_empty_no_color_counts_as_unset() {
    let settings = start().env("NO_COLOR", "").load();
    assert_eq!(settings.optional::<String>("NO_COLOR").unwrap(), None);
}

#[test]
fn the_printed_configuration_is_redacted_and_can_be_loaded_again() {
    let first = start()
        .env("CATALOG_URL", "http://a,http://b \"quoted\" \\ # no comment")
        .env_file("CATALOG_TOKEN_FILE", "hunter2")
        .args(&["--port", "80"])
        .file("lease = '5s'\n[[routes]]\nprefix = '/a'\napi_keys = ['hunter2']\n[routes.limits]\nrate = 5")
        .load();
    let printed = first.print();
    assert!(!printed.contains("hunter2"), "{printed}");
    for line in [
        "catalog_listen = \"0.0.0.0:5001\"  # from default",
        "catalog_token = \"<redacted>\"  # from environment CATALOG_TOKEN_FILE",
        "port = \"80\"  # from flag",
        "# host is not set",
    ] {
        assert!(
            printed.lines().any(|found| found == line),
            "{line} is missing in\n{printed}"
        );
    }
    assert!(
        printed.contains("lease = \"5s\"  # from file "),
        "{printed}"
    );

    let second = start().file(&printed).load();
    for name in ["CATALOG_LISTEN", "CATALOG_URL", "LEASE", "PORT"] {
        assert_eq!(
            second.get::<String>(name).unwrap(),
            first.get::<String>(name).unwrap()
        );
    }
    let routes = second.table("routes").unwrap();
    assert_eq!(routes[0]["prefix"].as_str(), Some("/a"));
    assert_eq!(routes[0]["limits"]["rate"].as_integer(), Some(5));
}
