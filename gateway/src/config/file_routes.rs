//! `[[routes]]` of `gateway.toml`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use catalog_api::{HeaderMatch, HostPattern, Method, PathPrefix, RouteSpec, ServiceName};
use serde::Deserialize;
use service_kit::settings::{Settings, SettingsError};

use crate::{metrics::UNMATCHED, route::Target, snapshot::FileRoute};

/// Key of the list in the file.
pub(super) const KEY: &str = "routes";

/// The documented file, which is also where the defaults come from.
const DOCUMENTED: &str = include_str!("../../gateway.toml");

/// The setting that names the folder of `answer = "static"`.
pub(super) const STATIC_DIR: &str = "GATEWAY_STATIC_DIR";

/// Longest name of a route, in bytes: it is a label of every metric of the route.
const NAME_BYTES_MAX: usize = 63;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    name: String,
    service: Option<ServiceName>,
    answer: Option<Answer>,
    files: Option<PathBuf>,
    host: Option<HostPattern>,
    #[serde(default)]
    path_prefix: PathPrefix,
    #[serde(default)]
    strip_prefix: bool,
    #[serde(default)]
    methods: BTreeSet<Method>,
    #[serde(default)]
    headers: HeaderMatch,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Metrics,
    Static,
}

/// The routes of the file that was given, or the built-in ones.
pub(super) fn read(settings: &Settings) -> Result<Vec<FileRoute>, SettingsError> {
    let folder: PathBuf = settings.get(STATIC_DIR)?;
    let routes = match settings.table(KEY) {
        Some(routes) => {
            parse(routes.clone(), &folder).map_err(|reason| settings.invalid(KEY, reason))?
        }
        None => built_in(&folder),
    };
    let is_used =
        |route: &FileRoute| matches!(&route.target, Target::Files(used) if **used == *folder);
    if settings.is_explicit(STATIC_DIR) && !routes.iter().any(is_used) {
        return Err(settings.without_effect(STATIC_DIR, "no route has answer = \"static\""));
    }
    Ok(routes)
}

/// The routes of the documented file.
pub(super) fn built_in(folder: &Path) -> Vec<FileRoute> {
    let parsed = DOCUMENTED
        .parse::<toml::Table>()
        .map_err(|error| error.to_string())
        .and_then(|mut file| {
            let routes = file.remove(KEY).unwrap_or(toml::Value::Array(Vec::new()));
            parse(routes, folder)
        });
    // A test holds that the documented file is valid; without it there would be no routes, which every other test would notice.
    parsed.unwrap_or_default()
}

fn parse(routes: toml::Value, folder: &Path) -> Result<Vec<FileRoute>, String> {
    let raw: Vec<RawRoute> = routes
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let mut names = BTreeSet::new();
    raw.into_iter()
        .map(|route| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if route.name.is_empty()
                || route.name.len() > NAME_BYTES_MAX
                || !route.name.bytes().all(plain)
            {
                return Err(format!(
                    "the name {:?} must have 1 to {NAME_BYTES_MAX} characters of A-Z a-z 0-9 . _ -",
                    route.name
                ));
            }
            if route.name == UNMATCHED || !names.insert(route.name.clone()) {
                return Err(format!(
                    "the name {:?} is taken; names must be unique",
                    route.name
                ));
            }
            file_route(route, folder)
        })
        .collect()
}

fn file_route(route: RawRoute, folder: &Path) -> Result<FileRoute, String> {
    let target = match (route.service, route.answer, route.files) {
        (Some(service), None, None) => Target::Service(service),
        (None, Some(Answer::Metrics), None) => Target::Metrics,
        (None, Some(Answer::Static), None) => Target::Files(folder.into()),
        (None, None, Some(files)) if !files.as_os_str().is_empty() => Target::Files(files.into()),
        _ => {
            return Err(format!(
                "route {:?} needs one target: service = \"name\", answer = \"metrics\" or \"static\", or files = \"folder\"",
                route.name
            ));
        }
    };
    if !matches!(target, Target::Service(_)) && route.strip_prefix {
        return Err(format!(
            "strip_prefix of route {:?} has no effect without a service",
            route.name
        ));
    }
    Ok(FileRoute {
        name: Arc::from(route.name),
        spec: RouteSpec {
            host: route.host,
            path_prefix: route.path_prefix,
            strip_prefix: route.strip_prefix,
            methods: route.methods,
            headers: route.headers,
        },
        target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(text: &str) -> Result<Vec<FileRoute>, String> {
        let routes = text.parse::<toml::Table>().unwrap().remove(KEY).unwrap();
        parse(routes, Path::new("static"))
    }

    #[test]
    fn the_documented_file_has_the_documented_routes() {
        let names: Vec<_> = built_in(Path::new("static"))
            .iter()
            .map(|route| (route.name.to_string(), route.spec.path_prefix.to_string()))
            .collect();
        let expected = [
            ("catalog", "/"),
            ("api", "/api/"),
            ("metrics", "/metrics/"),
            ("static", "/static/"),
        ];
        assert_eq!(
            names,
            expected.map(|(name, prefix)| (name.to_owned(), prefix.to_owned()))
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("[[routes]]\nname='a'", "needs one target"),
            (
                "[[routes]]\nname='a'\nservice='x'\nanswer='metrics'",
                "needs one target",
            ),
            (
                "[[routes]]\nname='a'\nservice='x'\n[[routes]]\nname='a'\nservice='x'",
                "unique",
            ),
            ("[[routes]]\nname='a b'\nservice='x'", "characters of"),
            ("[[routes]]\nname='a'\nservice='X'", "DNS label"),
            (
                "[[routes]]\nname='a'\nservice='x'\npath='/'",
                "unknown field `path`",
            ),
            (
                "[[routes]]\nname='a'\nservice='x'\npath_prefix='x'",
                "start with /",
            ),
            (
                "[[routes]]\nname='a'\nanswer='metrics'\nstrip_prefix=true",
                "no effect",
            ),
            ("[[routes]]\nname='a'\nfiles=''", "needs one target"),
            (
                "[[routes]]\nname='a'\nfiles='x'\nservice='x'",
                "needs one target",
            ),
            ("[[routes]]\nname='a'\nanswer='pong'", "unknown variant"),
        ] {
            let error = routes(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
