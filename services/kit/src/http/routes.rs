//! The route table: path first, then method, so that a wrong method is told from a wrong path.

use http::Method;
use matchit::Router;

use super::PathParams;
use super::operations::Operation;
use crate::problem::Problem;

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<E> {
    Application(E),
    Operation(Operation),
}

pub(super) struct Routes<E> {
    paths: Router<Methods<E>>,
}

struct Methods<E> {
    pattern: &'static str,
    targets: Vec<(Method, Target<E>)>,
    /// Value of `Allow`.
    allow: String,
}

/// The outcome for one request; the pattern is known also when the method is wrong.
pub(super) struct Found<E> {
    pub(super) pattern: &'static str,
    pub(super) outcome: Result<(Target<E>, PathParams), Problem>,
}

/// Routes that contradict each other, which is a fault of the program.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("route {0} {1} is declared twice, perhaps once by the kit")]
    Twice(Method, &'static str),
    #[error("route {0} is not possible")]
    Pattern(&'static str, #[source] matchit::InsertError),
}

impl<E: Copy> Routes<E> {
    pub(super) fn new(application: Vec<(Method, &'static str, E)>) -> Result<Self, RouteError> {
        let application = application
            .into_iter()
            .map(|(method, pattern, endpoint)| (method, pattern, Target::Application(endpoint)));
        let operations = Operation::ROUTES
            .into_iter()
            .map(|(method, pattern, operation)| (method, pattern, Target::Operation(operation)));
        let mut patterns: Vec<Methods<E>> = Vec::new();
        for (method, pattern, target) in operations.chain(application) {
            let index = patterns.iter().position(|known| known.pattern == pattern);
            let index = index.unwrap_or_else(|| {
                patterns.push(Methods {
                    pattern,
                    targets: Vec::new(),
                    allow: String::new(),
                });
                patterns.len() - 1
            });
            let targets = &mut patterns[index].targets;
            if targets.iter().any(|(known, _)| *known == method) {
                return Err(RouteError::Twice(method, pattern));
            }
            targets.push((method, target));
        }
        let mut paths = Router::new();
        for mut methods in patterns {
            methods.complete();
            let pattern = methods.pattern;
            paths
                .insert(pattern, methods)
                .map_err(|error| RouteError::Pattern(pattern, error))?;
        }
        Ok(Self { paths })
    }

    /// `None` when no pattern fits the path.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<Found<E>> {
        let matched = self.paths.at(path).ok()?;
        let methods = matched.value;
        let target = methods
            .targets
            .iter()
            .find(|(known, _)| known == method)
            .map(|(_, target)| *target);
        let outcome = match target {
            None => Err(Problem::method_not_allowed(&methods.allow)),
            Some(target) => PathParams::decode(&matched.params).map(|params| (target, params)),
        };
        Some(Found {
            pattern: methods.pattern,
            outcome,
        })
    }
}

impl<E: Copy> Methods<E> {
    /// Adds HEAD where GET is, and lists what is allowed.
    fn complete(&mut self) {
        let target = |wanted: Method| {
            let found = self.targets.iter().find(|(method, _)| *method == wanted);
            found.map(|(_, target)| *target)
        };
        if let (Some(get), None) = (target(Method::GET), target(Method::HEAD)) {
            self.targets.push((Method::HEAD, get));
        }
        let names: Vec<&str> = self
            .targets
            .iter()
            .map(|(method, _)| method.as_str())
            .collect();
        self.allow = names.join(", ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(list: &[(Method, &'static str, u8)]) -> Result<Routes<u8>, RouteError> {
        Routes::new(list.to_vec())
    }

    #[test]
    fn contradictions_are_found_when_the_table_is_built() {
        for list in [
            &[(Method::GET, "/a", 1), (Method::GET, "/a", 2)][..],
            &[(Method::GET, "/health", 1)],
            &[(Method::GET, "/{a}", 1), (Method::GET, "/{b}", 2)],
            &[(Method::GET, "/{a", 1)],
        ] {
            assert!(routes(list).is_err(), "{list:?}");
        }
    }

    #[test]
    fn a_path_of_two_methods_leads_to_two_endpoints() {
        let list = [(Method::GET, "/a/{x}", 1), (Method::PUT, "/a/{x}", 2)];
        let routes = routes(&list).unwrap();
        let endpoint = |method: Method| {
            let found = routes.find(&method, "/a/b%20c").unwrap();
            let (target, params) = found.outcome.unwrap();
            assert_eq!(params.get("x"), "b c");
            assert_eq!(params.get("y"), "");
            match target {
                Target::Application(endpoint) => endpoint,
                Target::Operation(operation) => panic!("{operation:?}"),
            }
        };
        assert_eq!(
            [Method::GET, Method::HEAD, Method::PUT].map(endpoint),
            [1, 1, 2]
        );
        assert!(routes.find(&Method::GET, "/a").is_none());
    }
}
