//! A running server: its listeners, what its parts share, and how it stops.

mod listeners;

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use kaibo_broadcast::{BroadcastId, EmptyKey, Millis};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{broadcast, watch},
    task::{JoinSet, spawn_blocking},
    time::{Duration, Instant, interval},
};

use crate::{
    access::{Access, Addresses, unix_now},
    api,
    bans::Bans,
    broadcasts::Broadcasts,
    config::{self, Settings},
    gate::Gate,
    hooks::{self, Hooks},
    http, input,
    notices::Rejections,
    recorder::Recordings,
    telemetry::Metrics,
    tls::{self, Certificate},
};

pub use listeners::Listening;

use listeners::Listeners;

/// Events that a slow listener may be behind before it has to read on from the store.
const EVENTS: usize = 256;

/// How often the store lets go of what it need not keep: a piece of it each time takes milliseconds.
const PRUNE: Duration = Duration::from_secs(30);

/// What every part of a server shares.
pub struct Server {
    settings: watch::Sender<Arc<Settings>>,
    pub addresses: Listening,
    pub access: Access,
    /// The backend, where it is asked about pushes and viewers.
    pub gate: Gate,
    pub broadcasts: Broadcasts,
    pub bans: Bans,
    pub recordings: Recordings,
    pub store: kaibo_store::Handle,
    pub metrics: Arc<Metrics>,
    /// What the business is told, for those who listen live.
    pub events: broadcast::Sender<Arc<kaibo_store::Notice>>,
    /// Who is told of them, and who knocks too often to be told of.
    pub hooks: Hooks,
    pub rejections: Rejections,
    /// Those that TLS listeners show.
    pub certificates: Vec<Arc<Certificate>>,
    pub clock: Clock,
    stop: watch::Sender<bool>,
    /// Holds the data folder for as long as the server lives.
    _lock: File,
}

/// Steady time: the wall clock when the server started, plus what has passed since. Setting the wall clock by hours
/// then ends no resume window early.
pub struct Clock {
    start: Millis,
    since: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: unix_now(), since: Instant::now() }
    }
}

impl Clock {
    pub fn now(&self) -> Millis {
        self.start + self.since.elapsed()
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("can't listen on {address} for {what}: {error}")]
    Listen { what: &'static str, address: SocketAddr, error: io::Error },
    #[error("can't use {path}: {error}")]
    Data { path: PathBuf, error: io::Error },
    #[error("the store: {0}")]
    Store(#[from] kaibo_store::Error),
    #[error("recordings: {0}")]
    Recordings(#[from] kaibo_replay::Error),
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
    #[error("the certificate: {0}")]
    Certificate(#[from] tls::Error),
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    #[error("authentication is on, but {0}")]
    Key(#[from] EmptyKey),
}

/// Resolves when the server is to stop.
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub async fn wait(&mut self) {
        // An error means that the server itself is gone.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// A server with its tasks.
pub struct Running {
    pub server: Arc<Server>,
    listeners: JoinSet<()>,
}

impl Server {
    /// Binds the listeners, repairs the recordings, writes `run.json` and serves.
    pub async fn start(settings: Settings) -> Result<Running, StartError> {
        let config = &settings.config;
        let data = |path: &Path, error| StartError::Data { path: path.to_path_buf(), error };
        fs::create_dir_all(&config.data_dir).map_err(|error| data(&config.data_dir, error))?;
        let lock = lock(&config.data_dir).map_err(|error| data(&config.data_dir, error))?;
        let Listeners { rtmp, http, api, certificates, addresses } = Listeners::open(config).await?;
        let media = config.data_dir.join("media");
        let store = open_store(config.data_dir.join(config.store_file())).await?;
        let going_on = store.ask(|store| store.open()).await?;
        let going_on = going_on.into_iter().map(|record| record.id.into()).collect();
        let recordings = Recordings::open(&media, going_on).await?;
        let run = config.data_dir.join("run.json");
        let server = Arc::new(Self {
            access: Access::new(&settings)?,
            gate: Gate::new()?,
            broadcasts: Broadcasts::default(),
            bans: Bans::load(&store, unix_now()).await?,
            recordings,
            store,
            metrics: Arc::default(),
            events: broadcast::Sender::new(EVENTS),
            hooks: Hooks::new(&settings.config.webhooks)?,
            rejections: Rejections::default(),
            clock: Clock::default(),
            stop: watch::Sender::new(false),
            _lock: lock,
            certificates,
            addresses,
            settings: watch::Sender::new(Arc::new(settings)),
        });
        server.broadcasts.boot(&server).await?;
        server.recordings.tell_again(&server).await;
        // Written under another name first: whoever waits for the file never sees half of it.
        let text = serde_json::to_string(&server.addresses).unwrap_or_default();
        let fresh = run.with_extension("json.new");
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &run)).map_err(|error| data(&run, error))?;
        let Listening { rtmp: rtmp_at, http: http_at, api: api_at, rtmps, https, .. } = &server.addresses;
        let (rtmps, https) = (rtmps.map(tracing::field::display), https.map(tracing::field::display));
        tracing::info!(rtmp = %rtmp_at, http = %http_at, api = %api_at, rtmps, https, "listening");

        let mut listeners = JoinSet::new();
        for listener in rtmp {
            listeners.spawn(input::rtmp::serve(server.clone(), listener));
        }
        for listener in http {
            listeners.spawn(http::serve(server.clone(), listener));
        }
        for certificate in &server.certificates {
            listeners.spawn(certificate.clone().watch(server.stopping()));
        }
        listeners.spawn(api::serve(server.clone(), api));
        listeners.spawn(Recordings::sweep(server.clone()));
        listeners.spawn(prune(server.clone()));
        for endpoint in server.hooks.endpoints() {
            listeners.spawn(endpoint.clone().serve(server.clone()));
        }
        Ok(Running { server, listeners })
    }

    /// Tells those who listen live what was stored.
    pub fn tell(&self, stored: Vec<kaibo_store::NewNotice>, sequences: &[u64]) {
        for (notice, &sequence) in stored.into_iter().zip(sequences) {
            let kaibo_store::NewNotice { id, broadcast, kind, at, body, endpoints: _ } = notice;
            // An error means that nobody listens.
            let _ =
                self.events.send(Arc::new(kaibo_store::Notice { sequence, id, broadcast, kind, at, body }));
        }
    }

    /// A broadcast is known for as long as its replay.
    pub async fn forget(&self, expired: Vec<kaibo_replay::Id>) {
        for id in expired.iter().filter_map(|id| id.as_str().parse::<BroadcastId>().ok()) {
            if let Err(error) = self.store.ask(move |store| store.delete(&id)).await {
                tracing::error!(%error, "can't forget a broadcast whose replay is gone");
            }
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// Those of the app called `name`.
    pub fn app_settings(&self, name: &str) -> Arc<config::App> {
        self.settings.borrow().app(name).clone()
    }

    /// Where the outside reaches this server.
    pub fn public_addresses(&self) -> Addresses {
        Addresses::of(&self.settings().config, Some(&self.addresses), None)
    }

    /// Becomes ready when the server is to stop.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.stop.subscribe())
    }

    /// New pushes and viewers are welcome.
    pub fn is_ready(&self) -> bool {
        !*self.stop.borrow()
    }
}

impl Running {
    /// Serves until `stop`, then closes: no new connections, publishers dropped, recordings on disk.
    pub async fn run_until(mut self, mut stop: Stop) {
        stop.requested().await;
        tracing::info!("stopping");
        self.server.stop.send_replace(true);
        let closing = async {
            while self.listeners.join_next().await.is_some() {}
            self.server.broadcasts.close().await;
        };
        tokio::select! {
            () = closing => {}
            () = stop.requested() => tracing::warn!("stopped at once"),
        }
        let _ = fs::remove_file(self.server.settings().config.data_dir.join("run.json"));
        tracing::info!("stopped");
    }
}

/// What asks a server to stop.
pub struct Stop(Option<[tokio::signal::unix::Signal; 2]>);

impl Stop {
    /// SIGTERM and SIGINT.
    pub fn signal() -> Self {
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => Self(Some([terminate, interrupt])),
            _ => {
                tracing::warn!("can't listen for signals");
                Self(None)
            }
        }
    }

    async fn requested(&mut self) {
        match &mut self.0 {
            Some([terminate, interrupt]) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}

/// Keeps a second server out of the data folder.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::create(folder.join("lock"))?;
    file.try_lock().map_err(|_| io::Error::new(io::ErrorKind::WouldBlock, "another server uses it"))?;
    Ok(file)
}

/// Lets go of what the store need not keep, until the server stops.
async fn prune(server: Arc<Server>) {
    let mut stopping = server.stopping();
    let mut ticks = interval(PRUNE);
    let mut walked = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopping.wait() => return,
        }
        walked = server.broadcasts.prune(&server, walked).await;
        loop {
            let now = server.clock.now();
            match server.store.ask(move |store| store.prune(now)).await {
                Ok(pruned) => {
                    if pruned.undelivered > 0 {
                        tracing::warn!(
                            events = pruned.undelivered,
                            "events were dropped before they could be delivered"
                        );
                    }
                    if !pruned.more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the store can't be pruned");
                    break;
                }
            }
        }
    }
}

async fn open_store(path: PathBuf) -> Result<kaibo_store::Handle, StartError> {
    let opening = path.clone();
    let store = spawn_blocking(move || kaibo_store::Sqlite::open(&opening)).await;
    let store =
        store.map_err(|error| StartError::Data { path: path.clone(), error: io::Error::other(error) })??;
    kaibo_store::Handle::start(store).map_err(|error| StartError::Data { path, error })
}
