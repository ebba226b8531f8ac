//! A running server: its listeners, what its parts share, how its settings change, and how it stops.

mod listeners;
mod stop;

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use kaibo_broadcast::{EmptyKey, Millis};
use tokio::{
    sync::{broadcast, watch},
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::{Duration, Instant, interval},
};

use crate::{
    access::{Access, Addresses, Keys, unix_now},
    api,
    audience::Audiences,
    bans::Bans,
    broadcasts::{Broadcasts, Status},
    clips::Clips,
    config::{self, Change, Settings},
    fanout::Fanout,
    gate::Gate,
    hooks::{self, Endpoints, Hooks},
    http, input,
    live::Everybody,
    notices::Rejections,
    recorder::{self, Recordings},
    snapshots::Snapshots,
    telemetry::Metrics,
    tls::{self, Certificate},
};

pub use listeners::Listening;
pub use stop::{Stop, Stopping};

use listeners::Listeners;
use stop::Phase;

/// Names in the data folder: held by the server that uses it, and where that one listens.
const LOCK: &str = "lock";
const RUN: &str = "run.json";

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
    pub audiences: Audiences,
    pub bans: Bans,
    pub recordings: Recordings,
    /// Pictures of all that.
    pub snapshots: Snapshots,
    pub clips: Clips,
    pub store: kaibo_store::Handle,
    pub metrics: Arc<Metrics>,
    /// What carries FLV to its viewers.
    pub fanout: Fanout,
    /// What the business is told, for those who listen live.
    pub events: broadcast::Sender<Arc<kaibo_store::Notice>>,
    /// Timed events as they are told.
    pub timed: Everybody,
    /// Who is told of them, and who knocks too often to be told of.
    pub hooks: Hooks,
    pub rejections: Rejections,
    /// Those that TLS listeners show.
    pub certificates: Vec<Arc<Certificate>>,
    pub clock: Clock,
    /// Accepted pushes, for a stop to wait for.
    pub publishers: watch::Sender<usize>,
    /// Whether they are too many for each message to be read when it comes.
    pub pressure: input::Pressure,
    phase: watch::Sender<Phase>,
    /// Holds the data folder for as long as the server lives.
    _lock: File,
}

/// Steady time: the wall clock when the server started, plus what has passed since. Setting the wall clock by hours
/// then ends no resume window early.
#[derive(Clone, Copy)]
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
    #[error(transparent)]
    Recordings(#[from] recorder::OpenError),
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
    #[error("the certificate: {0}")]
    Certificate(#[from] tls::Error),
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    #[error("authentication is on, but {0}")]
    Key(#[from] EmptyKey),
}

/// Why the settings in force stay in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("these need a restart: {0}")]
    Restart(String),
    #[error("authentication is on, but {0}")]
    Key(#[from] EmptyKey),
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
}

/// A server with its tasks.
pub struct Running {
    pub server: Arc<Server>,
    /// Everything that ends with the media of a server that stops; with its connections, where it has some.
    listeners: JoinSet<()>,
    /// The API tells of the stop to its end.
    api: JoinHandle<()>,
}

impl Server {
    /// Binds the listeners, repairs the recordings, writes `run.json` and serves.
    pub async fn start(settings: Settings) -> Result<Running, StartError> {
        let config = &settings.config;
        let data = |path: &Path, error| StartError::Data { path: path.to_path_buf(), error };
        fs::create_dir_all(&config.data_dir).map_err(|error| data(&config.data_dir, error))?;
        let lock = lock(&config.data_dir).map_err(|error| data(&config.data_dir, error))?;
        let Listeners { rtmp, http, api, certificates, addresses } = Listeners::open(config).await?;
        let metrics: Arc<Metrics> = Arc::default();
        let store = open_store(config.data_dir.join(config.store_file())).await?;
        let recordings = Recordings::open(config, &store, &metrics).await?;
        let run = config.data_dir.join(RUN);
        let publishers = watch::Sender::new(0);
        let server = Arc::new(Self {
            access: Access::new(&settings)?,
            gate: Gate::new()?,
            broadcasts: Broadcasts::default(),
            audiences: Audiences::default(),
            bans: Bans::load(&store, unix_now()).await?,
            recordings,
            snapshots: Snapshots::new(&config.snapshot),
            clips: Clips::default(),
            store,
            fanout: Fanout::start(&metrics),
            metrics,
            events: broadcast::Sender::new(EVENTS),
            timed: broadcast::Sender::new(EVENTS),
            hooks: Hooks::new(Endpoints::new(&settings.config.webhooks)?),
            rejections: Rejections::default(),
            clock: Clock::default(),
            pressure: input::Pressure::watch(publishers.subscribe()),
            publishers,
            phase: watch::Sender::new(Phase::Serving),
            _lock: lock,
            certificates,
            addresses,
            settings: watch::Sender::new(Arc::new(settings)),
        });
        server.broadcasts.boot(&server).await?;
        server.clips.boot(&server).await?;
        server.recordings.tell_again(&server).await;
        // Written under another name first: whoever waits for the file never sees half of it.
        let text = serde_json::to_string(&server.addresses).unwrap_or_default();
        let fresh = run.with_extension("json.new");
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &run)).map_err(|error| data(&run, error))?;
        let Listening { rtmp: rtmp_at, http: http_at, api: api_at, rtmps, https, .. } = &server.addresses;
        let (rtmps, https) = (rtmps.map(tracing::field::display), https.map(tracing::field::display));
        Snapshots::introduce(&server.settings().config.snapshot);
        tracing::info!(rtmp = %rtmp_at, http = %http_at, api = %api_at, rtmps, https, "listening");

        let mut listeners = JoinSet::new();
        for listener in rtmp {
            listeners.spawn(input::rtmp::serve(server.clone(), listener));
        }
        for listener in http {
            listeners.spawn(http::serve(server.clone(), listener));
        }
        for certificate in &server.certificates {
            listeners.spawn(certificate.clone().watch(server.closing()));
        }
        listeners.spawn(Recordings::sweep(server.clone()));
        listeners.spawn(Recordings::watch_room(server.clone()));
        listeners.spawn(Recordings::archive(server.clone()));
        listeners.spawn(prune(server.clone()));
        listeners.spawn(Audiences::serve(server.clone()));
        listeners.spawn(Snapshots::follow(server.clone()));
        listeners.spawn(Snapshots::keep(server.clone()));
        listeners.spawn(Hooks::serve(server.clone()));
        let api = tokio::spawn(api::serve(server.clone(), api));
        Ok(Running { server, listeners, api })
    }

    /// Puts `new` in force as a whole, or nothing of it. Answers what is otherwise now.
    pub fn reload(&self, new: Settings) -> Result<Vec<Change>, ReloadError> {
        let old = self.settings();
        let changes = old.differences(&new);
        let fixed: Vec<&str> = changes
            .iter()
            .filter(|change| change.needs_restart())
            .map(|change| change.key.as_str())
            .collect();
        if !fixed.is_empty() {
            return Err(ReloadError::Restart(fixed.join(", ")));
        }
        // What can fail comes first: behind it there is no way back.
        let keys = Keys::new(&new)?;
        let endpoints = match new.config.webhooks == old.config.webhooks {
            true => None,
            false => Some(Endpoints::new(&new.config.webhooks)?),
        };
        self.access.replace(keys, &new.config.limits);
        if let Some(endpoints) = endpoints {
            self.hooks.replace(endpoints);
        }
        self.settings.send_replace(Arc::new(new));
        Ok(changes)
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

    /// Of a broadcast that was banned nothing is left to be watched when nobody knows of the ban any more.
    pub async fn forget_banned(&self, status: Option<&Status>) {
        let Some(status) = status.filter(|status| status.state.is_withheld()) else { return };
        if let Err(error) = self.clips.delete_all_of(self, &status.id).await {
            tracing::error!(broadcast = %status.id, %error, "can't delete the clips of a banned broadcast");
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
}

/// Keeps a second server out of the data folder.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::create(folder.join(LOCK))?;
    file.try_lock().map_err(|_| io::Error::new(io::ErrorKind::WouldBlock, "another server uses it"))?;
    Ok(file)
}

/// Lets go of what the store need not keep, until the server stops.
async fn prune(server: Arc<Server>) {
    let mut closing = server.closing();
    let mut ticks = interval(PRUNE);
    let mut walked = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = closing.wait() => return,
        }
        walked = server.broadcasts.prune(&server, walked).await;
        server.audiences.prune(&server).await;
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
