//! The settings themselves. Meaning, unit and reason of each key stand in `config.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use kaibo_broadcast::{Algorithm, ConflictPolicy, EndOnUnpublish, ExpiredResume, Secret};
use serde::{Deserialize, Serialize};

use super::{
    difference::{Change, Compare},
    network::Network,
    units::{Batch, Duration, Size},
};

/// Declares a section: a struct whose every key has a default, which refuses keys it doesn't know, and which can be
/// compared with another key by key.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, PartialEq)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $(pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl Compare for $name {
            fn compare(&self, new: &Self, key: &str, changes: &mut Vec<Change>) {
                let dot = if key.is_empty() { "" } else { "." };
                $(self.$key.compare(&new.$key, &format!("{key}{dot}{}", stringify!($key)), changes);)*
            }
        }
    };
}

section!(
    /// The whole file.
    Config {
        data_dir: PathBuf = "data".into(),
        stop_timeout: Duration = Duration::secs(30),
        webhooks: Vec<Webhook> = Vec::new(),
        rtmp: Rtmp = Rtmp::default(),
        http: Http = Http::default(),
        api: Api = Api::default(),
        auth: Auth = Auth::default(),
        broadcast: Broadcast = Broadcast::default(),
        hls: Hls = Hls::default(),
        flv: Flv = Flv::default(),
        record: Record = Record::default(),
        audience: Audience = Audience::default(),
        snapshot: Snapshot = Snapshot::default(),
        storage: Storage = Storage::default(),
        limits: Limits = Limits::default(),
        store: Store = Store::default(),
        log: Log = Log::default(),
        apps: BTreeMap<String, toml::Table> = BTreeMap::new(),
    }
);

section!(
    /// The sections that `[apps.NAME]` may override for one app.
    App {
        auth: Auth = Auth::default(),
        broadcast: Broadcast = Broadcast::default(),
        hls: Hls = Hls::default(),
        flv: Flv = Flv::default(),
        record: Record = Record::default(),
    }
);

section!(
    /// `[rtmp]`
    Rtmp {
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 1935),
        idle_timeout: Duration = Duration::secs(10),
        first_media_timeout: Duration = Duration::secs(20),
        tls: RtmpTls = RtmpTls::default(),
    }
);

section!(
    /// `[rtmp.tls]`
    RtmpTls {
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 1936),
        cert: PathBuf = PathBuf::new(),
        key: PathBuf = PathBuf::new(),
    }
);

section!(
    /// `[http]`
    Http {
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080),
        public_url: String = String::new(),
        public_rtmp_url: String = String::new(),
        cors_origins: Vec<String> = vec!["*".into()],
        trusted_proxies: Vec<Network> = Vec::new(),
        proxy_header: ProxyHeader = ProxyHeader::XForwardedFor,
        tls: HttpTls = HttpTls::default(),
    }
);

impl Http {
    /// `address` is a proxy that tells the truth about whom it stands for.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Where proxies write whom they stand for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

section!(
    /// `[http.tls]`
    HttpTls {
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443),
        cert: PathBuf = PathBuf::new(),
        key: PathBuf = PathBuf::new(),
    }
);

section!(
    /// `[api]`
    Api {
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081),
        tokens: Vec<Token> = Vec::new(),
    }
);

/// `[[api.tokens]]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: String,
    pub token: Secret,
    #[serde(default = "Scope::all")]
    pub scopes: Vec<Scope>,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Looking.
    Read,
    /// Broadcasts, streams and push URLs.
    Control,
    /// Bans, and deleting for good.
    Admin,
}

impl Scope {
    pub fn all() -> Vec<Self> {
        vec![Self::Read, Self::Control, Self::Admin]
    }

    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Control => "control",
            Self::Admin => "admin",
        }
    }
}

/// `[[webhooks]]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    #[serde(default)]
    pub name: String,
    /// May hold a credential in its query.
    pub url: Secret,
    pub secret: Secret,
    #[serde(default)]
    pub format: WebhookFormat,
    #[serde(default = "every_event")]
    pub events: Vec<String>,
    #[serde(default)]
    pub allow_private: bool,
}

/// How webhooks look and how they are signed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    #[default]
    Kaibo,
    Tencent,
}

fn every_event() -> Vec<String> {
    vec!["*".into()]
}

section!(
    /// `[auth]`
    Auth {
        url: Secret = Secret::default(),
        secret: Secret = Secret::default(),
        actions: Vec<Action> = vec![Action::Publish, Action::Play],
        timeout: Duration = Duration::secs(1),
        cache: Duration = Duration::secs(10),
        allow_private: bool = false,
        preview_key: Secret = Secret::default(),
        push: PushKeys = PushKeys::default(),
        play: PlayKeys = PlayKeys::default(),
    }
);

impl Auth {
    /// The backend decides about `action`.
    pub fn asks(&self, action: Action) -> bool {
        !self.url.is_empty() && self.actions.contains(&action)
    }
}

/// What the backend may be asked about.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Publish,
    Play,
}

section!(
    /// `[auth.push]`
    PushKeys {
        enabled: bool = true,
        algorithm: Algorithm = Algorithm::Md5,
        key: Secret = Secret::default(),
        backup_key: Secret = Secret::default(),
        auth_delta: Duration = Duration::secs(0),
        max_key_ttl: Duration = Duration::secs(366 * 86_400),
        expired_resume: ExpiredResume = ExpiredResume::SameKey,
    }
);

section!(
    /// `[auth.play]`
    PlayKeys {
        enabled: bool = false,
        algorithm: Algorithm = Algorithm::Md5,
        key: Secret = Secret::default(),
        backup_key: Secret = Secret::default(),
        auth_delta: Duration = Duration::secs(0),
        max_key_ttl: Duration = Duration::secs(366 * 86_400),
    }
);

section!(
    /// `[broadcast]`
    Broadcast {
        auto_create: bool = true,
        resume_window: Duration = Duration::secs(15 * 60),
        max_duration: Duration = Duration::secs(12 * 3600),
        conflict: ConflictPolicy = ConflictPolicy::Probe,
        end_on_unpublish: EndOnUnpublish = EndOnUnpublish::AutoCreated,
        max_live: usize = 0,
        max_per_day: u64 = 0,
    }
);

section!(
    /// `[hls]`
    Hls {
        segment: Duration = Duration::secs(2),
        part: Duration = Duration::millis(500),
        window: Duration = Duration::secs(30),
        hold: Hold = Hold::Picture,
        hold_max: Duration = Duration::secs(0),
        qualities: Vec<String> = ["_sd", "_hd", "_uhd"].map(String::from).to_vec(),
        dvr_window: Duration = Duration::secs(0),
    }
);

/// What viewers get while a publisher is away.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The last picture, where it can be held.
    Picture,
    /// Nothing.
    Idle,
}

section!(
    /// `[flv]`
    Flv {
        batch: Batch = Batch::Auto,
        hold: Duration = Duration::secs(15),
    }
);

section!(
    /// `[record]`
    Record {
        enabled: bool = true,
        public: bool = true,
        retention: Duration = Duration::secs(365 * 86_400),
        sync: Duration = Duration::secs(1),
        min_free: Size = Size::mib(512),
        delete_oldest: bool = false,
    }
);

impl Record {
    /// With `free` bytes on the disk old replays are to go: a little before recording pauses.
    pub fn makes_room(&self, free: u64) -> bool {
        let kept = self.kept_free();
        self.delete_oldest && free < kept.saturating_add(kept / 4)
    }

    /// `min_free` as a file system counts.
    pub fn kept_free(&self) -> u64 {
        self.min_free.0 as u64
    }
}

section!(
    /// `[audience]`
    Audience {
        retention: Duration = Duration::secs(90 * 86_400),
    }
);

section!(
    /// `[snapshot]`
    Snapshot {
        enabled: bool = true,
        ffmpeg: PathBuf = "ffmpeg".into(),
        interval: Duration = Duration::secs(0),
        max_age: Duration = Duration::secs(10),
        width: u32 = 0,
        quality: u32 = 4,
        processes: usize = 2,
        timeout: Duration = Duration::secs(10),
        thumbnails: bool = true,
        thumbnail_interval: Duration = Duration::secs(10),
        thumbnail_width: u32 = 160,
    }
);

section!(
    /// `[storage]`
    Storage {
        url: String = "file:media".into(),
        endpoint: String = String::new(),
        region: String = "us-east-1".into(),
        bucket_in_host: bool = false,
        allow_http: bool = false,
        access_key: Secret = Secret::default(),
        secret_key: Secret = Secret::default(),
        spool_max: Size = Size::gib(16),
    }
);

/// A bucket, and what the names of all objects in it begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketName<'a> {
    pub bucket: &'a str,
    /// Without slashes at its ends; may be empty.
    pub prefix: &'a str,
}

impl Storage {
    /// The folder that recordings are written to, relative to the data folder.
    pub fn folder(&self) -> &str {
        self.url.strip_prefix("file:").unwrap_or("media")
    }

    /// The bucket that they are brought to.
    pub fn bucket(&self) -> Option<BucketName<'_>> {
        let rest = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Some(BucketName { bucket, prefix: prefix.trim_matches('/') })
    }
}

section!(
    /// `[limits]`
    Limits {
        rtmp_connections: usize = 2000,
        rtmp_connections_per_address: usize = 200,
        http_connections: usize = 20_000,
        http_connections_per_address: usize = 5000,
        broadcasts: usize = 10_000,
        failed_keys: u32 = 10,
        failed_keys_ban: Duration = Duration::secs(60),
        publish_message: Size = Size::mib(8),
        stream_buffer: Size = Size::mib(32),
        viewer_lag: Duration = Duration::secs(8),
        viewer_stall: Duration = Duration::secs(15),
    }
);

section!(
    /// `[store]`
    Store {
        url: String = "sqlite:kaibo.db".into(),
    }
);

section!(
    /// `[log]`
    Log {
        level: String = "info".into(),
        format: LogFormat = LogFormat::Text,
    }
);

/// How log lines look.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// The database's file, relative to the data folder.
    pub fn store_file(&self) -> &str {
        self.store.url.strip_prefix("sqlite:").unwrap_or(&self.store.url)
    }
}

/// The settings of a running server: the file, and what each app comes to.
#[derive(Clone, Debug)]
pub struct Settings {
    pub config: Config,
    base: Arc<App>,
    apps: BTreeMap<String, Arc<App>>,
}

impl Settings {
    pub(super) fn new(config: Config, apps: BTreeMap<String, Arc<App>>) -> Self {
        let base = Arc::new(App {
            auth: config.auth.clone(),
            broadcast: config.broadcast.clone(),
            hls: config.hls.clone(),
            flv: config.flv.clone(),
            record: config.record.clone(),
        });
        Self { config, base, apps }
    }

    /// The settings of the app called `name`.
    pub fn app(&self, name: &str) -> &Arc<App> {
        self.apps.get(name).unwrap_or(&self.base)
    }

    /// Those of every app: the general ones first.
    pub fn all(&self) -> impl Iterator<Item = (Option<&str>, &Arc<App>)> {
        std::iter::once((None, &self.base))
            .chain(self.apps.iter().map(|(name, app)| (Some(name.as_str()), app)))
    }

    /// What `new` has otherwise: the general settings, then those that apps come to.
    pub fn differences(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.config.compare(&new.config, "", &mut changes);
        // The keys made at the first start are in here, and not in the file.
        let mut of_apps = Vec::new();
        self.base.compare(&new.base, "", &mut of_apps);
        for name in self.apps.keys().chain(new.apps.keys()).collect::<BTreeSet<_>>() {
            self.app(name).compare(new.app(name), &format!("apps.{name}"), &mut of_apps);
        }
        of_apps.retain(|change| changes.iter().all(|known| known.key != change.key));
        changes.append(&mut of_apps);
        changes
    }

    /// Puts keys in where push authentication is on and none is configured.
    pub fn set_push_key(&mut self, key: &Secret) {
        for app in std::iter::once(&mut self.base).chain(self.apps.values_mut()) {
            let push = &mut Arc::make_mut(app).auth.push;
            if push.enabled && push.key.is_empty() {
                push.key = key.clone();
            }
        }
    }

    /// Puts keys in where play authentication is on and none is configured.
    pub fn set_play_key(&mut self, key: &Secret) {
        for app in std::iter::once(&mut self.base).chain(self.apps.values_mut()) {
            let play = &mut Arc::make_mut(app).auth.play;
            if play.enabled && play.key.is_empty() {
                play.key = key.clone();
            }
        }
    }
}
