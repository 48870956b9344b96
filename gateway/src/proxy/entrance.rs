//! How the requests of a listener find their route: by the route table, or they all have the same one.
//!
//! The listener of a service is not a condition of routes: an operator who opens it means every path of the service, also those that
//! somebody else's route would take.

use std::{net::SocketAddr, sync::Arc};

use catalog_api::{RouteSpec, ServiceName};

use crate::{
    error::GatewayError,
    metrics::GatewayMetrics,
    route::{NoRoute, Owner, RequestView, Route, RouteTable, Target, Witness},
};

/// What a listener for clients leads to.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// Whatever the table says.
    Routes,
    /// One service, by a route that takes everything as it is.
    Service(Arc<Route>),
}

/// The entrances of all listeners, told apart by the address that each of them is bound to.
#[derive(Clone, Debug)]
pub struct Entrances {
    routes: Entrance,
    services: Vec<(SocketAddr, Entrance)>,
}

// === impl Entrance ===

impl Entrance {
    /// The entrance to one service. Its route is `listener:service` in metrics and logs; no route of a service can be called so,
    /// because their names have a host or a path after the colon.
    pub fn to_service(service: &ServiceName, metrics: &Arc<GatewayMetrics>) -> Self {
        let name: Arc<str> = format!("listener:{service}").into();
        let metrics = metrics.route(&name);
        Self::Service(Arc::new(Route::new(
            name,
            &RouteSpec::default(),
            Target::Service(service.clone()),
            // Of the operator, and in no table where positions would be compared.
            Owner::File(0),
            metrics,
        )))
    }

    /// The route of a request.
    ///
    /// # Errors
    /// When the table has none for it.
    pub(super) fn route<'a>(
        &'a self,
        table: &'a RouteTable,
        request: &RequestView<'_>,
        witness: &mut impl Witness,
    ) -> Result<&'a Arc<Route>, GatewayError> {
        match self {
            Self::Service(route) => Ok(route),
            Self::Routes => {
                table
                    .find_before(witness, request)
                    .map_err(|no_route| match no_route {
                        NoRoute::NotFound => GatewayError::NoRoute,
                        NoRoute::MethodNotAllowed(allowed) => {
                            GatewayError::MethodNotAllowed(allowed)
                        }
                    })
            }
        }
    }
}

// === impl Entrances ===

impl Entrances {
    /// The listeners at these addresses lead to one service each, any other to what the routes say.
    pub fn new(services: Vec<(SocketAddr, Entrance)>) -> Self {
        Self {
            routes: Entrance::Routes,
            services,
        }
    }

    /// The entrance of the listener that a request came in by.
    pub(crate) fn of(&self, listener: Option<SocketAddr>) -> &Entrance {
        self.services
            .iter()
            .find(|(address, _)| Some(*address) == listener)
            .map_or(&self.routes, |(_, entrance)| entrance)
    }
}
