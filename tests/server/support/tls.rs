//! Certificates of a test's own, and clients that trust them.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// A certificate for 127.0.0.1 that nobody signed but its own key.
pub struct Certificate(TempDir);

impl Certificate {
    pub fn make() -> Self {
        let folder = tempfile::Builder::new().prefix("kaibo-test-").tempdir().unwrap();
        let certificate = Self(folder);
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=kaibo", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(certificate.key())
            .arg("-out")
            .arg(certificate.cert())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        certificate
    }

    /// Room for files beside it.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn cert(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    /// Puts the files of `other` in the place of these, one after the other.
    pub fn replace_by(&self, other: &Self) {
        fs::copy(other.cert(), self.cert()).unwrap();
        fs::copy(other.key(), self.key()).unwrap();
    }

    /// Configuration of both TLS listeners.
    pub fn config(&self) -> String {
        let (cert, key) = (self.cert(), self.key());
        let section =
            |name| format!("[{name}.tls]\nlisten = \"127.0.0.1:0\"\ncert = {cert:?}\nkey = {key:?}\n");
        section("http") + &section("rtmp")
    }

    /// What trusts this certificate and no other.
    fn trust(&self, protocol: Option<&[u8]>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.cert()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocol.into_iter().map(<[u8]>::to_vec).collect();
        Arc::new(config)
    }

    /// A TLS connection to `address` that has not shaken hands yet, and will choose `protocol` if there is one.
    pub fn connect(
        &self,
        address: &str,
        protocol: Option<&[u8]>,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let client = ClientConnection::new(self.trust(protocol), localhost()).unwrap();
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        StreamOwned::new(client, tcp)
    }
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("127.0.0.1").unwrap()
}

/// A client with one HTTP/2 connection.
#[derive(Clone)]
pub struct H2 {
    requests: http2::SendRequest<Empty<Bytes>>,
    address: String,
}

impl H2 {
    /// Connects, and lets `window` bytes of each answer come without having been asked for.
    pub async fn connect(address: &str, certificate: &Certificate, window: u32) -> Self {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let tls = TlsConnector::from(certificate.trust(Some(b"h2"))).connect(localhost(), tcp).await.unwrap();
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .initial_connection_window_size(64 << 20)
            .handshake(TokioIo::new(tls))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { requests, address: address.into() }
    }

    pub async fn get(&self, path: &str) -> Response<Incoming> {
        self.requests.clone().send_request(self.request(path)).await.unwrap()
    }

    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        Request::get(format!("https://{}{path}", self.address)).body(Empty::new()).unwrap()
    }
}

/// The next bytes of an answer; `None` at its end, an error where it breaks off.
pub async fn next(answer: &mut Response<Incoming>) -> Option<Result<Bytes, hyper::Error>> {
    Some(answer.body_mut().frame().await?.map(|frame| frame.into_data().unwrap_or_default()))
}
