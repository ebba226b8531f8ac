//! The ports that a server opens.

use std::{
    fs::{self, File, TryLockError},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::{LOCK, RUN, StartError};
use crate::{
    config::Config,
    socket::{Listener, Places},
    tls::{Acceptor, Certificate, Files, Speaks},
};

/// The addresses that the server really has; also the content of `run.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Listening {
    pub pid: u32,
    pub rtmp: SocketAddr,
    pub http: SocketAddr,
    pub api: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmps: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<SocketAddr>,
}

impl Listening {
    /// Those of the server that runs on `folder` now, if one does: the file outlives a server that is killed.
    pub fn of_running(folder: &Path) -> Option<Self> {
        let lock = File::open(folder.join(LOCK)).ok()?;
        if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        serde_json::from_str(&fs::read_to_string(folder.join(RUN)).ok()?).ok()
    }
}

/// Open ports, and the certificates of those with TLS.
pub struct Listeners {
    pub rtmp: Vec<Listener>,
    pub http: Vec<Listener>,
    pub api: TcpListener,
    pub certificates: Vec<Arc<Certificate>>,
    pub addresses: Listening,
}

impl Listeners {
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let limits = &config.limits;
        let publishers = Places::new(limits.rtmp_connections, limits.rtmp_connections_per_address);
        let viewers = Places::new(limits.http_connections, limits.http_connections_per_address);
        let (rtmp, rtmp_at) = listen("RTMP", config.rtmp.listen).await?;
        let (http, http_at) = listen("HTTP", config.http.listen).await?;
        let (api, api_at) = listen("the API", config.api.listen).await?;
        let mut open = Self {
            rtmp: vec![Listener {
                what: "rtmp",
                tcp: rtmp,
                tls: None,
                places: publishers.clone(),
                behind_proxies: false,
            }],
            http: vec![Listener {
                what: "http",
                tcp: http,
                tls: None,
                places: viewers.clone(),
                behind_proxies: true,
            }],
            api,
            certificates: Vec::new(),
            addresses: Listening {
                pid: std::process::id(),
                rtmp: rtmp_at,
                http: http_at,
                api: api_at,
                rtmps: None,
                https: None,
            },
        };
        let tls = &config.rtmp.tls;
        if let Some(tls) = open.acceptor(&tls.cert, &tls.key, Speaks::Rtmp)? {
            let (tcp, at) = listen("RTMPS", config.rtmp.tls.listen).await?;
            open.addresses.rtmps = Some(at);
            open.rtmp.push(Listener {
                what: "rtmps",
                tcp,
                tls: Some(tls),
                places: publishers,
                behind_proxies: false,
            });
        }
        let tls = &config.http.tls;
        if let Some(tls) = open.acceptor(&tls.cert, &tls.key, Speaks::Http)? {
            let (tcp, at) = listen("HTTPS", config.http.tls.listen).await?;
            open.addresses.https = Some(at);
            open.http.push(Listener {
                what: "https",
                tcp,
                tls: Some(tls),
                places: viewers,
                behind_proxies: true,
            });
        }
        Ok(open)
    }

    fn acceptor(&mut self, cert: &Path, key: &Path, speaks: Speaks) -> Result<Option<Acceptor>, StartError> {
        let Some(files) = Files::of(cert, key)? else { return Ok(None) };
        let certificate = Certificate::load(files)?;
        self.certificates.push(certificate.clone());
        Ok(Some(Acceptor::new(certificate, speaks)?))
    }
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { what, address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
