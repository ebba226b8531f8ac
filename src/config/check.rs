//! Values that parse and make no sense all the same.

use std::path::Path;

use kaibo_broadcast::{Secret, Stream};
use tracing_subscriber::EnvFilter;

use super::{
    settings::{App, Auth, Limits, Settings, Snapshot, Storage, Token},
    units::{Batch, Duration, Size},
};
use crate::{
    hooks::{Endpoints, Key, Target},
    tls,
};

/// What is wrong with the value of a key.
pub struct Fault {
    pub key: String,
    pub what: String,
}

impl Fault {
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

const HOUR: Duration = Duration::secs(3600);
const DAY: u64 = 86_400;

/// Longer than any key or replay is kept, and short enough to be added to any time.
const CENTURY: Duration = Duration::secs(36_525 * DAY);

/// Refuses what would break the server, or its promises, later.
pub fn check(settings: &Settings) -> Result<(), Fault> {
    for (name, app) in settings.all() {
        sections(app).map_err(|fault| match name {
            Some(name) => Fault::new(format!("apps.{name}.{}", fault.key), fault.what),
            None => fault,
        })?;
    }
    let config = &settings.config;
    within("stop_timeout", config.stop_timeout, Duration::secs(0), Duration::secs(600))?;
    let (idle, first_media) = (config.rtmp.idle_timeout, config.rtmp.first_media_timeout);
    within("rtmp.idle_timeout", idle, Duration::millis(100), HOUR)?;
    within("rtmp.first_media_timeout", first_media, Duration::millis(100), HOUR)?;
    url("http.public_url", &config.http.public_url, ["http://", "https://"])?;
    url("http.public_rtmp_url", &config.http.public_rtmp_url, ["rtmp://", "rtmps://"])?;
    certificate("http.tls", &config.http.tls.cert, &config.http.tls.key)?;
    certificate("rtmp.tls", &config.rtmp.tls.cert, &config.rtmp.tls.key)?;
    if config.store.url.strip_prefix("sqlite:").is_none_or(str::is_empty) {
        return Err(Fault::new("store.url", format!("{:?} is not sqlite:FILE", config.store.url)));
    }
    for origin in &config.http.cors_origins {
        origin_of_pages(origin)?;
    }
    for Token { token, scopes, .. } in &config.api.tokens {
        let token = token.expose();
        if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = "a token has at least 16 characters, all of them ASCII, no spaces";
            return Err(Fault::new("api.tokens", what));
        }
        if scopes.is_empty() {
            return Err(Fault::new("api.tokens", "a token without scopes is good for nothing"));
        }
    }
    Endpoints::new(&config.webhooks).map_err(|error| Fault::new("webhooks", error.to_string()))?;
    within("audience.retention", config.audience.retention, HOUR, CENTURY)?;
    storage(&config.storage)?;
    limits(&config.limits)?;
    snapshot(&config.snapshot)?;
    log_level(&config.log.level)
}

fn sections(app: &App) -> Result<(), Fault> {
    let App { auth, broadcast, hls, flv, record } = app;
    let (push, play) = (&auth.push, &auth.play);
    hook(auth)?;
    main_key("auth.push.key", push.enabled, &push.key, &push.backup_key)?;
    main_key("auth.play.key", play.enabled, &play.key, &play.backup_key)?;
    for (key, delta) in [("auth.push.auth_delta", push.auth_delta), ("auth.play.auth_delta", play.auth_delta)]
    {
        within(key, delta, Duration::secs(0), Duration::secs(30 * DAY))?;
    }
    for (key, ttl) in
        [("auth.push.max_key_ttl", push.max_key_ttl), ("auth.play.max_key_ttl", play.max_key_ttl)]
    {
        within(key, ttl, Duration::secs(1), CENTURY)?;
    }
    within("broadcast.resume_window", broadcast.resume_window, Duration::secs(0), Duration::secs(1800))?;
    // FLV carries 31 bits of milliseconds: 24.8 days.
    within("broadcast.max_duration", broadcast.max_duration, Duration::secs(1), Duration::secs(20 * DAY))?;
    within("hls.segment", hls.segment, Duration::millis(500), Duration::secs(20))?;
    within("hls.part", hls.part, Duration::millis(100), hls.segment)?;
    // Apple asks for six segments at least.
    within("hls.window", hls.window, Duration(hls.segment.0 * 6), Duration::secs(600))?;
    within("hls.hold_max", hls.hold_max, Duration::secs(0), Duration::secs(20 * DAY))?;
    qualities(&hls.qualities)?;
    within("hls.dvr_window", hls.dvr_window, Duration::secs(0), Duration(HOUR.0 * 12))?;
    if hls.dvr_window > Duration::secs(0) && !record.enabled {
        return Err(Fault::new(
            "hls.dvr_window",
            "it needs record.enabled: the past is served from recordings",
        ));
    }
    if let Batch::Fixed(batch) = flv.batch {
        within("flv.batch", batch, Duration::secs(0), Duration::secs(1))?;
    }
    within("flv.hold", flv.hold, Duration::secs(0), HOUR)?;
    within("record.retention", record.retention, Duration::secs(1), CENTURY)?;
    within("record.sync", record.sync, Duration::millis(100), Duration::secs(60))?;
    // 16 TiB
    within("record.min_free", record.min_free, Size(0), Size::mib(1 << 24))?;
    if record.delete_oldest && record.min_free == Size(0) {
        return Err(Fault::new(
            "record.delete_oldest",
            "it needs record.min_free: the room that is to be made",
        ));
    }
    Ok(())
}

fn snapshot(snapshot: &Snapshot) -> Result<(), Fault> {
    if snapshot.ffmpeg.as_os_str().is_empty() {
        return Err(Fault::new("snapshot.ffmpeg", "it is the name or the path of a program"));
    }
    if snapshot.interval > Duration::secs(0) {
        within("snapshot.interval", snapshot.interval, Duration::secs(1), HOUR)?;
    }
    within("snapshot.max_age", snapshot.max_age, Duration::secs(1), HOUR)?;
    if snapshot.width > 0 {
        within("snapshot.width", snapshot.width, 16, 8192)?;
    }
    within("snapshot.quality", snapshot.quality, 2, 31)?;
    within("snapshot.processes", snapshot.processes, 1, 64)?;
    within("snapshot.timeout", snapshot.timeout, Duration::millis(100), Duration::secs(60))?;
    within("snapshot.thumbnail_interval", snapshot.thumbnail_interval, Duration::secs(1), HOUR)?;
    within("snapshot.thumbnail_width", snapshot.thumbnail_width, 16, 640)
}

/// Endings of stream names, of which one name has one at the most.
fn qualities(endings: &[String]) -> Result<(), Fault> {
    let fault = |what| Err(Fault::new("hls.qualities", what));
    if endings.len() > 8 {
        return fault("more than 8 qualities");
    }
    for (at, ending) in endings.iter().enumerate() {
        if ending.parse::<Stream>().is_err() {
            return fault("an ending is made of A-Z, a-z, 0-9, _ and -");
        }
        if endings.iter().skip(at + 1).any(|other| other == ending) {
            return fault("an ending stands there twice");
        }
    }
    Ok(())
}

/// The backend is asked at an address, and knows who asks.
fn hook(auth: &Auth) -> Result<(), Fault> {
    within("auth.timeout", auth.timeout, Duration::millis(10), Duration::secs(10))?;
    within("auth.cache", auth.cache, Duration::secs(0), HOUR)?;
    if auth.url.is_empty() {
        return Ok(());
    }
    Target::parse(auth.url.expose()).map_err(|what| Fault::new("auth.url", format!("the URL {what}")))?;
    Key::new(&auth.secret).map_err(|what| Fault::new("auth.secret", format!("the secret {what}")))?;
    Ok(())
}

/// Without a main key a random one is made; it would not be the one that the backup key is a backup of.
fn main_key(name: &str, enabled: bool, key: &Secret, backup: &Secret) -> Result<(), Fault> {
    if enabled && key.is_empty() && !backup.is_empty() {
        return Err(Fault::new(name, "a backup key needs a main key"));
    }
    Ok(())
}

/// A certificate that can't be served is found out before the server starts.
fn certificate(name: &str, cert: &Path, key: &Path) -> Result<(), Fault> {
    let files = tls::Files::of(cert, key).and_then(|files| files.map(|files| files.load()).transpose());
    files.map(drop).map_err(|error| Fault::new(name, error.to_string()))
}

/// A bucket that can't be used is found out when something is to be kept in it; a name or address that is none, here.
fn storage(storage: &Storage) -> Result<(), Fault> {
    let Some(name) = storage.bucket() else {
        return match storage.url.strip_prefix("file:") {
            Some(folder) if !folder.is_empty() => Ok(()),
            _ => {
                let what = format!("{:?} is neither file:FOLDER nor s3://BUCKET/PREFIX", storage.url);
                Err(Fault::new("storage.url", what))
            }
        };
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(3..=63).contains(&name.bucket.len()) || !name.bucket.bytes().all(plain) {
        return Err(Fault::new("storage.url", format!("{:?} is no name of a bucket", name.bucket)));
    }
    let folder = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    if !name.prefix.is_empty() && !name.prefix.split('/').all(folder) {
        let what = "a prefix is made of A-Z, a-z, 0-9, '.', '_', '-' and single slashes";
        return Err(Fault::new("storage.url", what));
    }
    url("storage.endpoint", &storage.endpoint, ["http://", "https://"])?;
    if storage.endpoint.starts_with("http://") && !storage.allow_http {
        return Err(Fault::new("storage.endpoint", "http:// needs allow_http: anyone between could listen"));
    }
    if storage.bucket_in_host && storage.endpoint.is_empty() {
        return Err(Fault::new("storage.bucket_in_host", "it needs an endpoint, which names the bucket"));
    }
    if storage.region.is_empty() || !storage.region.bytes().all(plain) {
        return Err(Fault::new("storage.region", format!("{:?} is no region", storage.region)));
    }
    for (key, value) in
        [("storage.access_key", &storage.access_key), ("storage.secret_key", &storage.secret_key)]
    {
        if value.is_empty() || !value.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Fault::new(key, "a bucket needs access_key and secret_key, in ASCII without spaces"));
        }
    }
    // Segments are some MiB; more than a PiB is a slip.
    within("storage.spool_max", storage.spool_max, Size::mib(1), Size::gib(1 << 20))
}

fn limits(limits: &Limits) -> Result<(), Fault> {
    /// More sockets than a machine has.
    const SOCKETS: usize = 1_000_000;
    within("limits.rtmp_connections", limits.rtmp_connections, 1, SOCKETS)?;
    within("limits.rtmp_connections_per_address", limits.rtmp_connections_per_address, 1, SOCKETS)?;
    within("limits.http_connections", limits.http_connections, 1, SOCKETS)?;
    let per_address = limits.http_connections_per_address;
    within("limits.http_connections_per_address", per_address, 1, SOCKETS)?;
    within("limits.broadcasts", limits.broadcasts, 1, SOCKETS)?;
    within("limits.failed_keys", limits.failed_keys, 1, 1_000_000)?;
    within("limits.failed_keys_ban", limits.failed_keys_ban, Duration::secs(0), Duration::secs(30 * DAY))?;
    // RTMP counts a message's bytes in 24 bits.
    within("limits.publish_message", limits.publish_message, Size::kib(64), Size::mib(16))?;
    within("limits.stream_buffer", limits.stream_buffer, limits.publish_message, Size::mib(2048))?;
    within("limits.viewer_lag", limits.viewer_lag, Duration::millis(100), Duration::secs(60))?;
    within("limits.viewer_stall", limits.viewer_stall, Duration::millis(100), HOUR)
}

fn within<T: PartialOrd + std::fmt::Debug>(key: &str, value: T, low: T, high: T) -> Result<(), Fault> {
    if value < low || value > high {
        return Err(Fault::new(key, format!("{value:?} is outside {low:?} to {high:?}")));
    }
    Ok(())
}

fn url(key: &str, url: &str, schemes: [&str; 2]) -> Result<(), Fault> {
    let [plain, secure] = schemes;
    let rest = url.strip_prefix(plain).or_else(|| url.strip_prefix(secure));
    if !url.is_empty() && !rest.is_some_and(is_host_and_path) {
        return Err(Fault::new(key, format!("{url:?} is not {plain}HOST or {secure}HOST")));
    }
    Ok(())
}

fn origin_of_pages(origin: &str) -> Result<(), Fault> {
    let host = origin.split_once("://").map(|(_, host)| host);
    if origin != "*" && !host.is_some_and(|host| is_host_and_path(host) && !host.contains('/')) {
        let what = format!("{origin:?} is neither \"*\" nor an origin like \"https://shop.example.com\"");
        return Err(Fault::new("http.cors_origins", what));
    }
    Ok(())
}

/// Nothing that would end the URL early, or make another one of it.
fn is_host_and_path(rest: &str) -> bool {
    !rest.is_empty()
        && !rest.starts_with(['/', ':'])
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\"'<>\\".contains(&byte))
}

/// A lone word that is no level would be taken for a module, and everything else fall silent.
fn log_level(level: &str) -> Result<(), Fault> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let stranger = level
        .split(',')
        .map(str::trim)
        .find(|part| !part.contains(['=', '[']) && !levels.contains(&part.to_lowercase().as_str()));
    let what = match (stranger, EnvFilter::try_new(level)) {
        (Some(word), _) => format!("{word:?} is none of {}", levels.join(", ")),
        (None, Err(error)) => error.to_string(),
        (None, Ok(_)) => return Ok(()),
    };
    Err(Fault::new("log.level", what))
}
