//! `[[routes]]` of `gateway.toml`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use catalog_api::{PathChange, PathMatch, RouteAction, RouteSpec, ServiceName};
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

/// What the file says about a route besides what a service could say, too, which is read as a [`RouteSpec`].
#[derive(Deserialize)]
struct RawTarget {
    name: String,
    service: Option<ServiceName>,
    answer: Option<Answer>,
    files: Option<PathBuf>,
}

/// Keys of [`RawTarget`].
const TARGET_KEYS: [&str; 4] = ["name", "service", "answer", "files"];

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
    let tables: Vec<toml::Table> = routes.try_into().map_err(message)?;
    let mut names = BTreeSet::new();
    tables
        .into_iter()
        .map(|mut table| {
            let target = TARGET_KEYS
                .into_iter()
                .filter_map(|key| table.remove_entry(key))
                .collect::<toml::Table>();
            let target: RawTarget = target.try_into().map_err(message)?;
            let name = target.name.clone();
            check_name(&name, &mut names)?;
            let spec: RouteSpec = table
                .try_into()
                .map_err(|error: toml::de::Error| format!("route {name:?}: {}", error.message()))?;
            file_route(target, spec, folder)
        })
        .collect()
}

fn message(error: toml::de::Error) -> String {
    error.message().to_owned()
}

fn check_name(name: &str, taken: &mut BTreeSet<String>) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        return Err(format!(
            "the name {name:?} must have 1 to {NAME_BYTES_MAX} characters of A-Z a-z 0-9 . _ -"
        ));
    }
    if name == UNMATCHED || !taken.insert(name.to_owned()) {
        return Err(format!("the name {name:?} is taken; names must be unique"));
    }
    Ok(())
}

fn file_route(raw: RawTarget, spec: RouteSpec, folder: &Path) -> Result<FileRoute, String> {
    let name = &raw.name;
    let target = match (raw.service, raw.answer, raw.files, &spec.action) {
        (Some(service), None, None, RouteAction::Forward(_)) => Target::Service(service),
        (None, Some(Answer::Metrics), None, RouteAction::Forward(_)) => Target::Metrics,
        (None, Some(Answer::Static), None, RouteAction::Forward(_)) => Target::Files(folder.into()),
        (None, None, Some(files), RouteAction::Forward(_)) if !files.as_os_str().is_empty() => {
            Target::Files(files.into())
        }
        (None, None, None, RouteAction::Redirect(redirect)) => {
            Target::Redirect(Arc::new(redirect.clone()))
        }
        _ => {
            return Err(format!(
                "route {name:?} needs one target: service = \"name\", answer = \"metrics\" or \"static\", files = \"folder\", or redirect = {{ to = \"/path\" }}"
            ));
        }
    };
    let changes_path =
        matches!(&spec.action, RouteAction::Forward(change) if *change != PathChange::Keep);
    if !matches!(target, Target::Service(_)) && changes_path {
        return Err(format!(
            "strip_prefix or rewrite of route {name:?} has no effect without a service"
        ));
    }
    if matches!(target, Target::Files(_)) && matches!(spec.path, PathMatch::Exact(_)) {
        return Err(format!(
            "route {name:?} serves a folder, whose files have paths below its own: use path_prefix"
        ));
    }
    Ok(FileRoute {
        name: Arc::from(raw.name),
        spec,
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
            .map(|route| (route.name.to_string(), route.spec.path.to_string()))
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
                "[[routes]]\nname='a'\nservice='x'\ncolour='/'",
                "route \"a\": unknown field `colour`",
            ),
            (
                "[[routes]]\nname='a'\nservice='x'\nmirror='y'",
                "unknown field `mirror`",
            ),
            (
                "[[routes]]\nname='a'\nservice='x'\npath='/'\npath_prefix='/'",
                "must not be given with path_prefix",
            ),
            (
                "[[routes]]\nname='a'\nservice='x'\nredirect={to='/y'}",
                "needs one target",
            ),
            ("[[routes]]\nname='a'\nredirect={to='//y'}", "redirect.to"),
            (
                "[[routes]]\nname='a'\nredirect={to='/y', status=300}",
                "301, 302, 303, 307 or 308",
            ),
            (
                "[[routes]]\nname='a'\npath='/y'\nredirect={to='/y'}",
                "round in circles",
            ),
            (
                "[[routes]]\nname='a'\nanswer='metrics'\nrewrite='/y'",
                "no effect",
            ),
            (
                "[[routes]]\nname='a'\nfiles='x'\npath='/y'",
                "use path_prefix",
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
