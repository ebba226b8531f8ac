//! Who may push and who may play: keys, the addresses that guess them, and the URLs that carry them.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use kaibo_broadcast::{
    Algorithm, App, BroadcastId, Credential, EmptyKey, KeyError, KeySet, Millis, Secret, Stream,
};
use serde::Serialize;
use sha2::Sha256;

use crate::{
    config::{self, Config, PlayKeys, PushKeys, Settings},
    server::Listening,
};

/// Apps whose name is the first element of another URL.
const RESERVED: [&str; 7] = ["api", "assets", "clip", "replay", "status", "watch", "favicon.ico"];

/// Addresses remembered for refused keys. Beyond that the table is emptied: a guesser who owns more addresses than
/// this gains a second's worth of guesses.
const ADDRESSES: usize = 10_000;

/// The keys in force, and who guessed wrong lately.
pub struct Access {
    base: Doors,
    apps: BTreeMap<String, Doors>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
    failures_per_second: u32,
    ban: Duration,
}

/// The two doors of an app; `None` stands open.
struct Doors {
    push: Option<KeySet>,
    play: Option<KeySet>,
    /// Signs the sessions of HLS viewers, so that they outlive a restart of the server.
    session_key: Secret,
}

struct Failures {
    since: Instant,
    count: u32,
    banned_until: Option<Instant>,
}

impl Access {
    pub fn new(settings: &Settings) -> Result<Self, EmptyKey> {
        let mut base = None;
        let mut apps = BTreeMap::new();
        for (app, sections) in settings.all() {
            let doors = Doors {
                push: push_keys(&sections.auth.push)?,
                play: play_keys(&sections.auth.play)?,
                session_key: sections.auth.play.key.clone(),
            };
            match app {
                None => base = Some(doors),
                Some(app) => {
                    apps.insert(app.to_string(), doors);
                }
            }
        }
        Ok(Self {
            base: base.ok_or(EmptyKey)?,
            apps,
            failures: Mutex::default(),
            failures_per_second: settings.config.limits.failed_keys,
            ban: settings.config.limits.failed_keys_ban.0,
        })
    }

    fn doors(&self, app: &App) -> &Doors {
        self.apps.get(app.as_str()).unwrap_or(&self.base)
    }

    /// Checks a publisher's credential. `None`: pushes need none.
    pub fn push(&self, app: &App, stream: &Stream, query: &str, now: Millis) -> Result<Option<Credential>, KeyError> {
        self.doors(app).push.as_ref().map(|keys| keys.verify(query, app, stream, now)).transpose()
    }

    /// Checks a viewer's credential.
    pub fn play(&self, app: &App, stream: &Stream, query: &str) -> Result<(), KeyError> {
        match &self.doors(app).play {
            None => Ok(()),
            Some(keys) => keys.verify(query, app, stream, unix_now()).map(|_| ()),
        }
    }

    /// Viewers of `app` need a credential.
    pub fn play_is_signed(&self, app: &App) -> bool {
        self.doors(app).play.is_some()
    }

    /// The query that an admitted HLS viewer's further requests carry, if viewers need one: a random id, signed
    /// together with the broadcast. It does not expire with the key, but with the broadcast.
    pub fn hls_session(&self, app: &App, broadcast: &BroadcastId) -> Option<String> {
        let doors = self.doors(app);
        doors.play.as_ref()?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let signature = session_signature(&doors.session_key, broadcast, &id);
        Some(format!("session={id}{signature}"))
    }

    /// `query` is one that [`Access::hls_session`] made for this broadcast, or viewers need none.
    pub fn is_hls_session(&self, app: &App, broadcast: &BroadcastId, query: &str) -> bool {
        let doors = self.doors(app);
        if doors.play.is_none() {
            return true;
        }
        let session = query.strip_prefix("session=").filter(|session| session.is_ascii());
        let Some((id, signature)) = session.and_then(|session| session.split_at_checked(SESSION_ID)) else {
            return false;
        };
        Secret::new(signature) == Secret::new(session_signature(&doors.session_key, broadcast, id))
    }

    /// A signed query for a push; empty where none is needed.
    pub fn sign_push(&self, app: &App, stream: &Stream, expires: Millis) -> String {
        self.doors(app).push.as_ref().map(|keys| keys.sign(app, stream, expires).query()).unwrap_or_default()
    }

    /// `address` guessed too often and has to wait.
    pub fn is_shut_out(&self, address: IpAddr) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&address).and_then(|known| known.banned_until).is_some_and(|until| Instant::now() < until)
    }

    /// Notes a refused key.
    pub fn refused(&self, address: IpAddr) {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES {
            failures.clear();
        }
        let known = failures.entry(address).or_insert(Failures { since: now, count: 0, banned_until: None });
        if now.duration_since(known.since) > Duration::from_secs(1) {
            (known.since, known.count) = (now, 0);
        }
        known.count += 1;
        if known.count >= self.failures_per_second {
            known.banned_until = Some(now + self.ban);
        }
    }
}

/// Digits of a session's random id.
const SESSION_ID: usize = 32;

fn session_signature(key: &Secret, broadcast: &BroadcastId, id: &str) -> String {
    // HMAC takes keys of any length, so this never fails; an empty signature would match none.
    Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .map(|mac| HEXLOWER.encode(&mac.chain_update(format!("hls-session/{broadcast}/{id}")).finalize().into_bytes()))
        .unwrap_or_default()
}

fn push_keys(keys: &PushKeys) -> Result<Option<KeySet>, EmptyKey> {
    let &PushKeys { enabled, algorithm, ref key, ref backup_key, auth_delta, max_key_ttl, expired_resume: _ } = keys;
    enabled.then(|| key_set(algorithm, key, backup_key, auth_delta, max_key_ttl)).transpose()
}

fn play_keys(keys: &PlayKeys) -> Result<Option<KeySet>, EmptyKey> {
    let &PlayKeys { enabled, algorithm, ref key, ref backup_key, auth_delta, max_key_ttl } = keys;
    enabled.then(|| key_set(algorithm, key, backup_key, auth_delta, max_key_ttl)).transpose()
}

fn key_set(
    algorithm: Algorithm,
    key: &Secret,
    backup: &Secret,
    auth_delta: config::Duration,
    max_ttl: config::Duration,
) -> Result<KeySet, EmptyKey> {
    let backup = (!backup.is_empty()).then(|| backup.clone());
    Ok(KeySet::new(algorithm, key.clone(), backup)?.with_auth_delta(auth_delta.0).with_max_ttl(max_ttl.0))
}

/// The wall clock.
pub fn unix_now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `app` collides with another URL.
pub fn is_reserved(app: &App) -> bool {
    RESERVED.contains(&app.as_str())
}

/// What an operator may want to change before strangers find it.
pub fn weaknesses(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    for (app, sections) in settings.all() {
        let section = app.map_or("auth.push".to_string(), |app| format!("apps.{app}.auth.push"));
        let push = &sections.auth.push;
        if !push.enabled {
            found.push(format!("{section}.enabled is false: anyone who reaches the RTMP port may push"));
        } else if !push.key.is_empty() && push.key.expose().len() < 16 {
            found.push(format!("{section}.key is shorter than 16 characters"));
        }
    }
    if !settings.config.api.listen.ip().is_loopback() {
        found.push(format!("api.listen {} is reachable from other machines", settings.config.api.listen));
    }
    found
}

/// Where streamers, viewers and the backend reach this server: scheme, host and port.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub http: String,
    pub rtmp: String,
    pub api: String,
}

impl Addresses {
    /// From the configuration; `listening` has the real ports of a running server, `host` overrides every host.
    pub fn of(config: &Config, listening: Option<&Listening>, host: Option<&str>) -> Self {
        let (rtmp, http, api) = match listening {
            Some(at) => (at.rtmp, at.http, at.api),
            None => (config.rtmp.listen, config.http.listen, config.api.listen),
        };
        let from_http = config.http.public_url.split("://").nth(1).map(|rest| rest.split([':', '/']).next());
        let public_host = host.or(from_http.flatten());
        Self {
            http: match (host, config.http.public_url.trim_end_matches('/')) {
                (None, url) if !url.is_empty() => url.to_string(),
                _ => format!("http://{}", authority(public_host, http, 80)),
            },
            rtmp: match (host, config.http.public_rtmp_url.trim_end_matches('/')) {
                (None, url) if !url.is_empty() => url.to_string(),
                _ => format!("rtmp://{}", authority(public_host, rtmp, 1935)),
            },
            api: format!("http://{}", authority(None, api, 80)),
        }
    }
}

fn authority(host: Option<&str>, listen: SocketAddr, usual_port: u16) -> String {
    let host = match host {
        // A host given with a port is taken as it is.
        Some(host) if host.contains(':') => return host.to_string(),
        Some(host) => host.to_string(),
        None if listen.ip().is_unspecified() => "localhost".to_string(),
        None => match listen.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        },
    };
    if listen.port() == usual_port { host } else { format!("{host}:{}", listen.port()) }
}

/// What a streamer needs: one URL, or OBS's two fields.
#[derive(Clone, Debug, Serialize)]
pub struct PushUrl {
    pub url: String,
    pub server: String,
    pub key: String,
    pub expires_at: String,
}

/// Where a stream is watched.
#[derive(Clone, Debug, Serialize)]
pub struct PlayUrls {
    pub flv: String,
    pub ws_flv: String,
    pub hls: String,
    pub hls_ts: String,
    pub rtmp: String,
    pub watch: String,
}

/// A push URL that opens a push until `expires`.
pub fn push_url(access: &Access, at: &Addresses, app: &App, stream: &Stream, expires: Millis) -> PushUrl {
    let query = access.sign_push(app, stream, expires);
    let key = if query.is_empty() { stream.to_string() } else { format!("{stream}?{query}") };
    let server = format!("{}/{app}", at.rtmp);
    PushUrl { url: format!("{server}/{key}"), server, key, expires_at: rfc3339(expires) }
}

/// The play URLs of a stream.
pub fn play_urls(at: &Addresses, app: &App, stream: &Stream) -> PlayUrls {
    let (http, rtmp) = (&at.http, &at.rtmp);
    let ws = http.replacen("http", "ws", 1);
    PlayUrls {
        flv: format!("{http}/{app}/{stream}.flv"),
        ws_flv: format!("{ws}/{app}/{stream}.flv"),
        hls: format!("{http}/{app}/{stream}.m3u8"),
        hls_ts: format!("{http}/{app}/{stream}/ts.m3u8"),
        rtmp: format!("{rtmp}/{app}/{stream}"),
        watch: format!("{http}/watch/{app}/{stream}"),
    }
}

/// RFC 3339, UTC, with milliseconds.
pub fn rfc3339(time: Millis) -> String {
    let since = Duration::from_millis(u64::try_from(time.0).unwrap_or(0));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}
