//! TLS for viewers and publishers: handshakes, and certificates that change while connections live.

mod files;

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

pub use files::{Error, Files};

use crate::server::Stopping;

/// From the first byte to the end of the handshake. A peer that stalls in it has cost a place and nothing else.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often the files are looked at. A change counts once it has stood for one look: certificate and key are written
/// one after the other.
const LOOK: Duration = Duration::from_secs(1);

/// The authorities that Mozilla trusts.
pub fn public_authorities() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// What connects to others, if one of `roots` has signed for them.
pub fn connector(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A certificate and its key, as they are in their files now.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    current: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    /// What was loaded, or could not be.
    marks: files::Marks,
}

impl Certificate {
    pub fn load(files: Files) -> Result<Arc<Self>, Error> {
        // Marks first: what is written meanwhile is a change.
        let marks = files.marks();
        let key = Arc::new(files.load()?);
        Ok(Arc::new(Self { files, current: RwLock::new(Loaded { key, marks }) }))
    }

    /// Takes the files as they are now. What can't be used changes nothing but to be reported; connections that stand
    /// keep the certificate that they began with.
    pub fn reload(&self) -> Result<(), Error> {
        let marks = self.files.marks();
        let loaded = self.files.load();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.marks = marks;
        current.key = Arc::new(loaded?);
        Ok(())
    }

    /// Takes the files whenever they change, until the server stops.
    pub async fn watch(self: Arc<Self>, mut stopping: Stopping) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = stopping.wait() => return,
            }
            // The files may be on a disk that hangs.
            let (certificate, before) = (self.clone(), last.take());
            let look = spawn_blocking(move || certificate.look(before)).await;
            last = look.ok();
        }
    }

    /// One look: loads what differs from what is loaded and was there at the look `before`.
    fn look(&self, before: Option<files::Marks>) -> files::Marks {
        let marks = self.files.marks();
        let is_new = self.current.read().unwrap_or_else(PoisonError::into_inner).marks != marks;
        if is_new && before.as_ref() == Some(&marks) {
            match self.reload() {
                Ok(()) => tracing::info!(files = %self.files, "the certificate was changed"),
                Err(error) => tracing::error!(%error, "the new certificate is no good; the old one stays"),
            }
        }
        marks
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).key.clone())
    }
}

/// Application protocols that are offered in the handshake, the best first (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Http,
    Rtmp,
}

/// Makes TLS connections of TCP connections.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// TLS 1.2 and 1.3; clients need no certificate.
    pub fn new(certificate: Arc<Certificate>, speaks: Speaks) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        // Tickets keep sessions at the client: nothing of a closed connection stays here.
        config.ticketer = ring::Ticketer::new()?;
        if speaks == Speaks::Http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands, within its time. Whoever speaks no TLS gets an alert.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        timeout(HANDSHAKE, self.0.accept(stream)).await?
    }
}

/// What a server of the tests answers as `localhost` with, by an authority of their own ([`testdata::authority`]).
#[cfg(test)]
pub mod testdata {
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

    use super::*;

    /// Those who trust this authority alone.
    pub fn authority() -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(include_bytes!("hooks/testdata/authority.der").as_slice())).unwrap();
        roots
    }

    /// A server that is `localhost`.
    pub fn acceptor() -> TlsAcceptor {
        let certificate = CertificateDer::from(include_bytes!("hooks/testdata/localhost.der").as_slice());
        let key = PrivatePkcs8KeyDer::from(include_bytes!("hooks/testdata/localhost.key.der").as_slice());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, process::Command};

    use tempfile::TempDir;

    use super::*;

    /// A certificate and its key, made now.
    fn make(folder: &TempDir, name: &str) -> [PathBuf; 2] {
        let [cert, key] = ["cert", "key"].map(|kind| folder.path().join(format!("{name}.{kind}.pem")));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-days", "2", "-subj", "/CN=kaibo", "-out"]).arg(&cert).arg("-keyout").arg(&key);
        assert!(openssl.output().unwrap().status.success());
        [cert, key]
    }

    #[test]
    fn a_change_is_taken_once_it_stands_and_only_if_it_is_good() {
        let folder = TempDir::new().unwrap();
        let ([cert, key], [new_cert, new_key]) = (make(&folder, "old"), make(&folder, "new"));
        let certificate = Certificate::load(Files::of(&cert, &key).unwrap().unwrap()).unwrap();
        let shown = || certificate.current.read().unwrap().key.end_entity_cert().unwrap().to_vec();
        let old = shown();

        fs::copy(new_cert, &cert).unwrap();
        let look = certificate.look(None);
        assert!(shown() == old, "it may still be written");
        let look = certificate.look(Some(look));
        assert!(shown() == old, "the key is not that of the new certificate");
        fs::copy(new_key, &key).unwrap();
        let look = certificate.look(Some(look));
        assert!(shown() == old, "it may still be written");
        certificate.look(Some(look));
        let new = shown();
        assert!(new != old);

        fs::write(&cert, "nonsense").unwrap();
        assert!(matches!(certificate.reload(), Err(Error::NoCertificate(_))));
        fs::remove_file(&cert).unwrap();
        assert!(matches!(certificate.reload(), Err(Error::Read { .. })));
        assert!(shown() == new);
    }
}
