//! Clients that speak TLS and HTTP/2, by rustls and hyper.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use gateway::tls::PairFiles;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Who makes certificates that the clients of a test believe.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A client of TLS.
#[derive(Clone)]
pub(crate) struct TlsClient {
    roots: Arc<RootCertStore>,
    protocols: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

/// A connection of HTTP/2.
pub(crate) struct Http2(SendRequest<Full<Bytes>>);

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Puts a certificate for these names, and its key, into files `{name}.pem` and `{name}.key`, each in one step.
    pub(crate) fn issue(&self, folder: &Path, name: &str, hosts: &[&str]) -> PairFiles {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let params = CertificateParams::new(hosts).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let files = PairFiles {
            cert: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        replace(&files.cert, &certificate.pem());
        replace(&files.key, &key.serialize_pem());
        files
    }

    /// A client that believes this authority and offers these protocols.
    pub(crate) fn client(&self, protocols: &[&str]) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        TlsClient {
            roots: Arc::new(roots),
            protocols: protocols
                .iter()
                .map(|protocol| protocol.as_bytes().to_vec())
                .collect(),
            versions: rustls::ALL_VERSIONS.to_vec(),
        }
    }
}

/// Writes a file in one step.
pub(crate) fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, path).unwrap();
}

// === impl TlsClient ===

impl TlsClient {
    /// The same with one version of TLS only.
    pub(crate) fn with_version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// A handshake for a host. The certificate has to be for it.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols.clone_from(&self.protocols);
        let stream = TcpStream::connect(address).await?;
        let host = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(host, stream)
            .await
    }

    /// The certificate that the gateway shows for a host.
    pub(crate) async fn certificate(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> io::Result<CertificateDer<'static>> {
        let stream = self.connect(address, host).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        Ok(shown[0].clone().into_owned())
    }
}

// === impl Http2 ===

impl Http2 {
    /// Begins HTTP/2 on a stream.
    pub(crate) async fn on<T>(stream: T) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        // Its end is seen by the requests.
        tokio::spawn(connection);
        Self(sender)
    }

    /// Begins HTTP/2 without TLS.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap()).await
    }

    /// One request; its answer with the content still to come.
    pub(crate) async fn send(
        &mut self,
        request: Request<&'static str>,
    ) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        self.0
            .send_request(request.map(|body| Full::new(Bytes::from(body))))
            .await
    }

    /// One `GET`; status and content.
    pub(crate) async fn get(&mut self, url: &str) -> (u16, String) {
        let request = Request::get(url).body("").unwrap();
        let answer = self.send(request).await.unwrap();
        let status = answer.status().as_u16();
        let content = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&content).into_owned())
    }

    /// Whether the connection is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
