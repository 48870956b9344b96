//! `GET /explain`: what the gateway would do with a request, and why.
//!
//! ```text
//! Question ─▶ head ─▶ check_head ─▶ Admission::decide(…, witness) ─▶ Pool::peek ─▶ Explanation
//! ```
//!
//! The request is put together as a client would send it in HTTP/1.1 and goes through the functions that requests go through; the
//! explanation only writes down what they say. What is known only by asking (whether an endpoint answers, whether a file is there) is
//! not foretold.

mod question;

use std::{net::SocketAddr, sync::Arc};

use http::Method;
use pingora_http::RequestHeader;
use serde::Serialize;
use service_kit::problem::Problem;

use super::view::{PoolView, RouteView};
use crate::{
    downstream::{Limits, check_head},
    error::GatewayError,
    proxy::{Admission, Arrival, Decision, RateLimiter, Refused, ToService, passing},
    route::{Mismatch, RequestView, Route, Witness},
    snapshot::Snapshot,
    upstream::{NoEndpoint, Pool},
};

pub use question::Question;

/// Routes in an explanation that were not even come by, because of their host or path.
const OTHER_ROUTES_MAX: usize = 1000;

/// Explains requests.
pub struct Explainer {
    /// What requests are asked first.
    pub admission: Arc<Admission>,
    /// How often clients have asked.
    pub rates: Arc<RateLimiter>,
    /// What the head of a request may be.
    pub limits: Limits,
    /// Where requests come in.
    pub listeners: Vec<Listener>,
}

/// A listener of clients.
#[derive(Clone, Debug)]
pub struct Listener {
    /// `clients`, `tls`, `h2c`, or `service:` with the name of its service.
    pub name: String,
    /// What it is bound to.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub has_tls: bool,
}

/// What becomes of a request.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// Revision of the snapshot.
    pub revision: u64,
    /// `service`, `metrics`, `files`, `redirect`, `options` or `refused`.
    pub outcome: &'static str,
    /// What routes were looked for with; none when the request did not get so far.
    pub looked_up: Option<LookedUp>,
    /// Routes in the order in which they come, up to the one taken.
    pub routes: Vec<Tried>,
    /// Further routes whose host or path is another one.
    pub routes_left_out: usize,
    /// The route taken.
    pub route: Option<RouteView<'a>>,
    /// Path and query that the target gets.
    pub upstream_target: Option<String>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Rules of the service.
    pub policy: Option<&'a catalog_api::Policy>,
    /// The endpoints.
    pub pool: Option<PoolView<'a>>,
    /// The endpoint that would get the request.
    pub pick: Option<Pick>,
    /// Stable name of the reason for a refusal, the same as in the problem.
    pub reason: Option<&'static str>,
    /// What the client gets instead of an answer.
    pub problem: Option<Problem>,
}

/// Host and path in the form in which routes know them.
#[derive(Clone, Debug, Serialize)]
pub struct LookedUp {
    /// Method of the request line.
    pub method: String,
    /// Host without its port.
    pub host: String,
    /// Normalised path.
    pub path: String,
}

/// A route and the first of its conditions that failed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Name of the route.
    pub name: String,
    /// `host`, `path`, `header` or `method`; none for the route taken.
    pub failed: Option<&'static str>,
    /// What the route demands there.
    pub wanted: Option<String>,
}

/// An endpoint that would get a request. Where chance decides, the next one may go elsewhere.
#[derive(Debug, Serialize)]
pub struct Pick {
    /// Its address.
    pub address: SocketAddr,
    /// `sticky_cookie`, `balance`, `panic`, `not_yet_probed` or `ejected`.
    pub because: &'static str,
}

/// What a look-up came by.
#[derive(Default)]
struct Trail {
    looked_up: Option<LookedUp>,
    passed: Vec<(Arc<Route>, Mismatch)>,
}

// === impl Trail ===

impl Witness for Trail {
    fn looks_up(&mut self, request: &RequestView<'_>) {
        self.looked_up = Some(LookedUp {
            method: request.method.to_string(),
            host: request.host.to_owned(),
            path: request.path.to_owned(),
        });
    }

    fn passed_by(&mut self, route: &Arc<Route>, because: Mismatch) {
        self.passed.push((Arc::clone(route), because));
    }
}

impl Trail {
    /// Why a route was not taken; none for one that nothing speaks against.
    fn against(&self, route: &Arc<Route>, header: &RequestHeader) -> Option<Mismatch> {
        let passed = self.passed.iter().find(|(by, _)| Arc::ptr_eq(by, route));
        match (passed, &self.looked_up) {
            (Some((_, because)), _) => Some(*because),
            (None, Some(LookedUp { host, path, .. })) => route.mismatch(&RequestView {
                host,
                path,
                method: &header.method,
                headers: &header.headers,
            }),
            (None, None) => None,
        }
    }
}

// === impl Explainer ===

impl Explainer {
    /// What would become of a request under a snapshot. Changes nothing.
    ///
    /// # Errors
    /// A 400 for a listener that does not exist.
    pub fn explain<'a>(
        &self,
        snapshot: &'a Snapshot,
        question: &Question,
    ) -> Result<Explanation<'a>, Problem> {
        let listener = self.listener(question.listener.as_deref())?;
        let mut explanation = Explanation::of(snapshot);
        let header = match self.arrive(question) {
            Ok(header) => header,
            Err(error) => {
                explanation.refuse(error);
                return Ok(explanation);
            }
        };
        let arrival = Arrival {
            header: &header,
            listener: Some(listener.address),
            peer: Some(question.client),
            by_tls: listener.has_tls,
        };
        let origin = self.admission.origin(&arrival);
        let mut trail = Trail::default();
        let decision = (self.admission).decide(&arrival, &origin, snapshot, &mut trail);
        let route = match &decision {
            Ok(Decision::Service(to)) => Some(&to.route),
            Ok(Decision::Metrics(route) | Decision::Files(route, _)) => Some(route),
            Ok(Decision::Redirect(to)) => to.route.as_ref(),
            Ok(Decision::AboutTheGateway) => None,
            Err(refused) => refused.route.as_ref(),
        };
        explanation.tell_routes(snapshot, &trail, &header, route);
        explanation.looked_up = trail.looked_up;
        match decision {
            Ok(Decision::Service(to)) => {
                let rates = &self.rates;
                let passes = passing::foretell(&to, origin.client, &header.headers, rates);
                explanation.follow(snapshot, to, &header, passes);
            }
            Ok(Decision::Metrics(_)) => explanation.outcome = "metrics",
            Ok(Decision::Files(..)) => explanation.outcome = "files",
            Ok(Decision::Redirect(to)) => {
                explanation.outcome = "redirect";
                explanation.location = Some(to.location);
            }
            Ok(Decision::AboutTheGateway) => explanation.outcome = "options",
            Err(Refused { error, .. }) => explanation.refuse(error),
        }
        Ok(explanation)
    }

    fn listener(&self, name: Option<&str>) -> Result<&Listener, Problem> {
        let name = name.unwrap_or("clients");
        let found = self.listeners.iter().find(|known| known.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = self.listeners.iter().map(|known| &*known.name).collect();
            let known = known.join(", ");
            Problem::bad_request(format!(
                "there is no listener {name:?}; use one of: {known}"
            ))
        })
    }

    /// The request as it is after the check of its head, read as Pingora reads it.
    fn arrive(&self, question: &Question) -> Result<RequestHeader, GatewayError> {
        check_head(question.head().as_bytes(), &self.limits)?;
        let invalid = |error: Box<pingora_error::Error>| GatewayError::from_pingora(&error);
        let method = Method::from_bytes(question.method.as_bytes())
            .map_err(|_| GatewayError::Malformed("the method is not valid"))?;
        let mut header =
            RequestHeader::build(method, question.path.as_bytes(), None).map_err(invalid)?;
        for (name, value) in question.fields() {
            (header.append_header(name.to_owned(), value.trim())).map_err(invalid)?;
        }
        Ok(header)
    }
}

// === impl Explanation ===

impl<'a> Explanation<'a> {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            revision: snapshot.revision().0,
            outcome: "refused",
            looked_up: None,
            routes: Vec::new(),
            routes_left_out: 0,
            route: None,
            upstream_target: None,
            location: None,
            policy: None,
            pool: None,
            pick: None,
            reason: None,
            problem: None,
        }
    }

    fn refuse(&mut self, error: GatewayError) {
        self.outcome = "refused";
        self.reason = Some(error.reason().0);
        self.problem = error.problem();
    }

    /// Every route before the one taken with what spoke against it; all of them when none was.
    fn tell_routes(
        &mut self,
        snapshot: &'a Snapshot,
        trail: &Trail,
        header: &RequestHeader,
        taken: Option<&Arc<Route>>,
    ) {
        let table = snapshot.routes().all();
        let is_taken = |route: &Arc<Route>| taken.is_some_and(|taken| Arc::ptr_eq(taken, route));
        let mut others = 0;
        // A listener of a service has a route of its own, and nothing is looked up.
        let tried = if trail.looked_up.is_some() {
            table
        } else {
            &[]
        };
        for route in tried.iter().take_while(|route| !is_taken(route)) {
            let because = trail.against(route, header);
            if matches!(because, Some(Mismatch::Host | Mismatch::Path)) {
                others += 1;
                if others > OTHER_ROUTES_MAX {
                    self.routes_left_out += 1;
                    continue;
                }
            }
            self.routes.push(Tried {
                name: route.name().to_owned(),
                failed: because.map(Mismatch::as_str),
                wanted: because.map(|because| because.demand(route)),
            });
        }
        if let Some(taken) = taken {
            self.routes.push(Tried {
                name: taken.name().to_owned(),
                failed: None,
                wanted: None,
            });
            // Of the snapshot when it is in the table, which outlives this; a listener's own is told by its name alone.
            let own = table.iter().find(|route| is_taken(route));
            self.route = own.map(|route| RouteView::of(route));
        }
    }

    fn follow(
        &mut self,
        snapshot: &'a Snapshot,
        to: ToService,
        header: &RequestHeader,
        passes: Result<(), GatewayError>,
    ) {
        self.outcome = "service";
        self.upstream_target = Some(match to.upstream_target {
            Some(target) => target,
            None => String::from_utf8_lossy(header.raw_path()).into_owned(),
        });
        // The same pool, borrowed from the snapshot.
        let Some(pool) = snapshot.pool(to.pool.service()) else {
            return;
        };
        self.policy = Some(pool.policy());
        self.pool = Some(PoolView::of(pool));
        if let Err(error) = passes {
            return self.refuse(error);
        }
        match pool.peek(&to.affinity) {
            Ok(choice) => {
                self.pick = Some(Pick {
                    address: choice.endpoint.address(),
                    because: choice.because.as_str(),
                });
            }
            Err(why) => self.refuse(no_endpoint(pool, why)),
        }
    }
}

fn no_endpoint(pool: &Pool, why: NoEndpoint) -> GatewayError {
    GatewayError::NoEndpoint {
        service: pool.service().to_string(),
        why,
    }
}
