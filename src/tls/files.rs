//! The files of a certificate: reading them, and seeing that they have changed.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use tokio_rustls::rustls::{
    self,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

/// Bytes of a file that are read: a chain of certificates has some 10 KiB.
const FILE: u64 = 1 << 20;

/// Why a certificate can't be used. Nothing of a file's content is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a certificate needs a key, and a key a certificate")]
    Half,
    #[error("the name of a file belongs here, not its content")]
    Inline,
    #[error("can't read {path}: {error}", path = path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM form", .0.display())]
    NoKey(PathBuf),
    #[error("the key in {} is not that of the first certificate in {}", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
    #[error("{} and {} can't be used: {error}", cert.display(), key.display())]
    Unusable { cert: PathBuf, key: PathBuf, error: rustls::Error },
}

/// Where a certificate (first its own, then those that lead to its authority) and its key are, both in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What tells one content of a file from another: its number, time of change in ns and length. `None` without a file.
pub type Mark = Option<(u64, i64, i64, u64)>;

/// Those of the certificate's file and of the key's.
pub type Marks = [Mark; 2];

impl Files {
    /// `None` if neither is configured: TLS is off.
    pub fn of(cert: &Path, key: &Path) -> Result<Option<Self>, Error> {
        // Whoever puts the content there must not read it in the log.
        if [cert, key].iter().any(|path| path.to_string_lossy().contains("-----BEGIN")) {
            return Err(Error::Inline);
        }
        match (cert.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some(Self { cert: cert.into(), key: key.into() })),
            _ => Err(Error::Half),
        }
    }

    /// Reads both and sees that they belong together.
    pub fn load(&self) -> Result<CertifiedKey, Error> {
        let Self { cert, key } = self;
        let chain = CertificateDer::pem_slice_iter(&read(cert)?).collect::<Result<Vec<_>, pem::Error>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| Error::NoCertificate(cert.clone()))?;
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| Error::NoKey(key.clone()))?;
        CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Error::Mismatch { cert: cert.clone(), key: key.clone() },
            error => Error::Unusable { cert: cert.clone(), key: key.clone(), error },
        })
    }

    pub fn marks(&self) -> Marks {
        [mark(&self.cert), mark(&self.key)]
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.cert.display(), self.key.display())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE).read_to_end(&mut content))
        .map_err(|error| Error::Read { path: path.into(), error })?;
    Ok(content)
}

/// Links are followed: a mounted secret changes by a link that leads elsewhere.
fn mark(path: &Path) -> Mark {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}
