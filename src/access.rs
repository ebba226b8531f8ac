//! Who may push and who may play: keys, the addresses that guess them, and the URLs that carry them.

mod guesses;
pub mod preview;
#[cfg(test)]
mod tests;
mod urls;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use kaibo_broadcast::{
    Algorithm, App, BroadcastId, Credential, EmptyKey, KeyError, KeySet, Millis, Secret, Stream,
};
use sha2::Sha256;

pub use guesses::network;

use self::guesses::Guesses;
pub use self::urls::{Addresses, PlayUrls, PushUrl, host, play_urls, push_url, rfc3339};
use crate::config::{self, Action, Limits, PlayKeys, PushKeys, Settings};

/// Apps whose name is the first element of another URL.
const RESERVED: [&str; 7] = ["api", "assets", "clip", "replay", "status", "watch", "favicon.ico"];

/// The keys in force, and who guessed wrong lately.
pub struct Access {
    /// Changed as a whole.
    keys: RwLock<Arc<Keys>>,
    guesses: Mutex<Guesses>,
}

/// The doors of every app.
pub struct Keys {
    base: Arc<Doors>,
    apps: BTreeMap<String, Arc<Doors>>,
}

/// The two doors of an app; `None` stands open.
struct Doors {
    push: Option<KeySet>,
    longest_push: Duration,
    play: Option<KeySet>,
    /// The backend decides about viewers.
    asked: bool,
    /// Signs the sessions of HLS viewers, so that they outlive a restart of the server.
    session_key: Secret,
    /// Signed them before the key was changed; empty for none.
    old_session_key: Secret,
    preview_key: Secret,
}

impl Doors {
    const fn is_guarded(&self) -> bool {
        self.play.is_some() || self.asked
    }
}

impl Keys {
    pub fn new(settings: &Settings) -> Result<Self, EmptyKey> {
        let mut base = None;
        let mut apps = BTreeMap::new();
        for (app, sections) in settings.all() {
            let doors = Doors {
                push: push_keys(&sections.auth.push)?,
                longest_push: sections.auth.push.max_key_ttl.0,
                play: play_keys(&sections.auth.play)?,
                asked: sections.auth.asks(Action::Play),
                session_key: match sections.auth.play.key.is_empty() {
                    true => sections.auth.secret.clone(),
                    false => sections.auth.play.key.clone(),
                },
                old_session_key: sections.auth.play.backup_key.clone(),
                preview_key: preview_key(settings, &sections.auth.preview_key),
            };
            let doors = Arc::new(doors);
            match app {
                None => base = Some(doors),
                Some(app) => {
                    apps.insert(app.to_string(), doors);
                }
            }
        }
        Ok(Self { base: base.ok_or(EmptyKey)?, apps })
    }
}

impl Access {
    pub fn new(settings: &Settings) -> Result<Self, EmptyKey> {
        let limits = &settings.config.limits;
        Ok(Self {
            keys: RwLock::new(Arc::new(Keys::new(settings)?)),
            guesses: Mutex::new(Guesses::new(limits.failed_keys, limits.failed_keys_ban.0)),
        })
    }

    /// From now on these keys are good, and those before are not. Who guessed wrong stays known.
    pub fn replace(&self, keys: Keys, limits: &Limits) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        self.guesses().set_limits(limits.failed_keys, limits.failed_keys_ban.0);
    }

    fn doors(&self, app: &App) -> Arc<Doors> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.apps.get(app.as_str()).unwrap_or(&keys.base).clone()
    }

    /// Checks a publisher's credential. `None`: pushes need none.
    pub fn push(
        &self,
        app: &App,
        stream: &Stream,
        query: &str,
        now: Millis,
    ) -> Result<Option<Credential>, KeyError> {
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

    /// Viewers of `app` need a credential, or the backend's consent: what lies behind the first playlist is for those
    /// who were let in there.
    pub fn play_is_guarded(&self, app: &App) -> bool {
        self.doors(app).is_guarded()
    }

    /// Shows `broadcast` before its start, and its replay, to whoever has it, until `expires`.
    pub fn preview_token(&self, app: &App, broadcast: &BroadcastId, expires: Millis) -> String {
        preview::token(&self.doors(app).preview_key, broadcast, expires)
    }

    /// `query` has such a token.
    pub fn is_preview(&self, app: &App, broadcast: &BroadcastId, query: &str) -> bool {
        preview::opens(&self.doors(app).preview_key, broadcast, query, unix_now())
    }

    /// The query that an admitted HLS viewer's further requests carry, if viewers need one: a random id, signed
    /// together with the broadcast. It does not expire with the key, but with the broadcast.
    pub fn hls_session(&self, app: &App, broadcast: &BroadcastId) -> Option<String> {
        let doors = self.doors(app);
        if !doors.is_guarded() {
            return None;
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let signature = session_signature(&doors.session_key, broadcast, &id);
        Some(format!("session={id}{signature}"))
    }

    /// The same session for another `broadcast` that its viewer was let in to watch.
    pub fn hls_session_beside(&self, app: &App, broadcast: &BroadcastId, session: &str) -> Option<String> {
        let (id, _) = session.strip_prefix("session=")?.split_at_checked(SESSION_ID)?;
        Some(format!("session={id}{}", session_signature(&self.doors(app).session_key, broadcast, id)))
    }

    /// `query` is one that [`Access::hls_session`] made for this broadcast, or viewers need none.
    pub fn is_hls_session(&self, app: &App, broadcast: &BroadcastId, query: &str) -> bool {
        let doors = self.doors(app);
        if !doors.is_guarded() {
            return true;
        }
        let session = query.strip_prefix("session=").filter(|session| session.is_ascii());
        let Some((id, signature)) = session.and_then(|session| session.split_at_checked(SESSION_ID)) else {
            return false;
        };
        let signature = Secret::new(signature);
        let signed = |key: &Secret| signature == Secret::new(session_signature(key, broadcast, id));
        signed(&doors.session_key) || !doors.old_session_key.is_empty() && signed(&doors.old_session_key)
    }

    /// A signed query for a push; empty where none is needed.
    pub fn sign_push(&self, app: &App, stream: &Stream, expires: Millis) -> String {
        self.doors(app).push.as_ref().map(|keys| keys.sign(app, stream, expires).query()).unwrap_or_default()
    }

    /// How long a push URL of `app` may be valid; none where pushes need no key.
    pub fn longest_push(&self, app: &App) -> Option<Duration> {
        let doors = self.doors(app);
        doors.push.as_ref().map(|_| doors.longest_push)
    }

    /// `address` guessed too often and has to wait.
    pub fn is_shut_out(&self, address: IpAddr) -> bool {
        self.guesses().is_shut_out(address, Instant::now())
    }

    /// Notes a refused key.
    pub fn refused(&self, address: IpAddr) {
        self.guesses().refused(address, Instant::now());
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Digits of a session's random id.
const SESSION_ID: usize = 32;

fn session_signature(key: &Secret, broadcast: &BroadcastId, id: &str) -> String {
    signature(key, &format!("hls-session/{broadcast}/{id}"))
}

/// HMAC-SHA256 in hexadecimal digits.
fn signature(key: &Secret, text: &str) -> String {
    // HMAC takes keys of any length, so this never fails; an empty signature would match none.
    Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .map(|mac| HEXLOWER.encode(&mac.chain_update(text).finalize().into_bytes()))
        .unwrap_or_default()
}

/// The key that is configured, or one that nobody knows who doesn't know the first API token.
fn preview_key(settings: &Settings, configured: &Secret) -> Secret {
    match settings.config.api.tokens.first() {
        Some(token) if configured.is_empty() => Secret::new(signature(&token.token, "preview-key")),
        _ => configured.clone(),
    }
}

fn push_keys(keys: &PushKeys) -> Result<Option<KeySet>, EmptyKey> {
    let &PushKeys { enabled, algorithm, ref key, ref backup_key, auth_delta, max_key_ttl, expired_resume: _ } =
        keys;
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
