//! Catalog, name services and gateway in this process, each of which can be stopped and started by itself.

use std::{net::SocketAddr, path::Path, time::Duration};

use http::{Request, StatusCode};
use serde_json::Value;
use service_kit::{
    client::Client,
    http::body,
    settings::{Settings, Sources},
    shutdown::{self, ShutdownTrigger},
};
use tempfile::TempDir;

use super::{eventually, registry::Registry};

/// The parts, on free ports, with their data in a folder of their own.
pub(crate) struct Stack {
    pub(crate) folder: TempDir,
    pub(crate) catalog: Option<Part<catalog::Running>>,
    pub(crate) names: Vec<Part<names::Running>>,
    pub(crate) gateway: Option<Part<gateway::Gateway>>,
    /// Address of the catalog; stays when the catalog is stopped.
    pub(crate) catalog_address: SocketAddr,
    pub(crate) token: String,
}

pub(crate) struct Part<R> {
    pub(crate) running: R,
    stop: ShutdownTrigger,
}

fn free_socket() -> std::net::TcpListener {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn settings(program: &service_kit::settings::Program, env: &[(&str, &str)]) -> Settings {
    let sources = Sources {
        args: Vec::new(),
        env: env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    program.load(sources).unwrap()
}

impl Stack {
    /// Everything, with so many name services, ready to answer.
    pub(crate) async fn start(name_services: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let catalog = start_catalog(folder.path(), free_socket()).await;
        let mut stack = Self {
            catalog_address: catalog.running.address,
            token: catalog.running.token.expose().to_owned(),
            catalog: Some(catalog),
            names: Vec::new(),
            gateway: None,
            folder,
        };
        for _ in 0..name_services {
            stack.start_names();
        }
        stack.start_gateway(&[]).await;
        stack.until_healthy("service-catalog", 1).await;
        stack.until_healthy("service-api", name_services).await;
        stack
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::new(self.catalog_address, &self.token)
    }

    /// The operators' listener.
    pub(crate) fn operator(&self) -> Registry {
        let address = self.gateway.as_ref().unwrap().running.admin_address();
        Registry::new(address, "")
    }

    /// Where clients connect.
    pub(crate) fn gateway_address(&self) -> SocketAddr {
        self.gateway.as_ref().unwrap().running.address()
    }

    /// A document of the gateway's admin listener.
    pub(crate) async fn admin(&self, path: &str) -> (StatusCode, String) {
        let address = self.gateway.as_ref().unwrap().running.admin_address();
        let request = Request::get(format!("http://{address}{path}"))
            .body(body::empty())
            .unwrap();
        let answer = Client::new()
            .fetch(request, Duration::from_secs(10), 64 << 20)
            .await
            .unwrap();
        (
            answer.status(),
            String::from_utf8(answer.body().to_vec()).unwrap(),
        )
    }

    /// The live table of one service on the admin listener.
    pub(crate) async fn endpoints(&self, service: &str) -> Vec<Value> {
        let table: Value = serde_json::from_str(&self.admin("/routes").await.1).unwrap();
        let services = table["services"].as_array().unwrap();
        let found = services.iter().find(|entry| entry["name"] == service);
        found.map_or_else(Vec::new, |entry| {
            entry["endpoints"].as_array().unwrap().clone()
        })
    }

    /// Waits until exactly so many endpoints of a service are healthy.
    pub(crate) async fn until_healthy(&self, service: &str, count: usize) {
        eventually(
            &format!("{service} has {count} healthy endpoints"),
            || async {
                let healthy = |endpoint: &&Value| endpoint["health"] == "healthy";
                self.endpoints(service).await.iter().filter(healthy).count() == count
            },
        )
        .await;
    }

    pub(crate) fn start_names(&mut self) {
        let (stop, stopping) = shutdown::channel();
        let url = format!("http://{}", self.catalog_address);
        let settings = settings(
            &names::PROGRAM,
            &[
                ("CATALOG_URL", &url),
                ("CATALOG_TOKEN", &self.token),
                ("REGISTRATION_TTL", "2s"),
            ],
        );
        let (_, config) = names::Config::read(&settings).unwrap();
        let running = names::Names::start(config, free_socket(), stopping).unwrap();
        self.names.push(Part { running, stop });
    }

    pub(crate) async fn start_gateway(&mut self, env: &[(&str, &str)]) {
        let (stop, stopping) = shutdown::channel();
        let url = format!("http://{}", self.catalog_address);
        let data_dir = self.folder.path().to_str().unwrap();
        let mut all = vec![("CATALOG_URL", url.as_str()), ("DATA_DIR", data_dir)];
        all.extend_from_slice(env);
        let config = gateway::Config::from_settings(&settings(&gateway::PROGRAM, &all)).unwrap();
        let listeners = gateway::Listeners::plain(free_socket(), free_socket());
        let running = gateway::Gateway::start(config, listeners, stopping)
            .await
            .unwrap();
        self.gateway = Some(Part { running, stop });
    }

    pub(crate) async fn stop_gateway(&mut self) {
        let part = self.gateway.take().unwrap();
        part.stop.trigger();
        assert_eq!(part.running.finished().await.cut, 0);
    }

    pub(crate) async fn stop_catalog(&mut self) {
        let part = self.catalog.take().unwrap();
        part.stop.trigger();
        part.running.finished().await;
    }

    /// Starts the catalog again on its old port and data.
    pub(crate) async fn restart_catalog(&mut self) {
        let socket =
            service_kit::listen::bind(&self.catalog_address.to_string().parse().unwrap()).unwrap();
        self.catalog = Some(start_catalog(self.folder.path(), socket).await);
    }

    /// Starts the catalog again on its data, where the gateway does not look for it. Answers its address.
    pub(crate) async fn restart_catalog_elsewhere(&mut self) -> SocketAddr {
        let part = start_catalog(self.folder.path(), free_socket()).await;
        let address = part.running.address;
        self.catalog = Some(part);
        address
    }

    pub(crate) async fn stop_names(&mut self, index: usize) {
        let part = self.names.remove(index);
        part.stop.trigger();
        part.running.finished().await.unwrap();
    }
}

async fn start_catalog(folder: &Path, socket: std::net::TcpListener) -> Part<catalog::Running> {
    let (stop, stopping) = shutdown::channel();
    let settings = settings(&catalog::PROGRAM, &[("DATA_DIR", folder.to_str().unwrap())]);
    let config = catalog::Config::single(&settings).unwrap();
    let running = catalog::Catalog::start(config, socket, stopping)
        .await
        .unwrap();
    Part { running, stop }
}
