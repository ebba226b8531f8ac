//! The URLs that are handed out.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use kaibo_broadcast::{App, Millis, Stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::Access;
use crate::{config::Config, server::Listening};

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
        // A public URL is made of a host, too, so it gives way to the one that was asked for.
        let (public_url, public_rtmp_url) = match host {
            Some(_) => ("", ""),
            None => (config.http.public_url.as_str(), config.http.public_rtmp_url.as_str()),
        };
        let host = host.or_else(|| host_of(public_url));
        let url = |public: &str, scheme: &str, listen, usual_port| match public.trim_end_matches('/') {
            "" => format!("{scheme}://{}", authority(host, listen, usual_port)),
            public => public.to_string(),
        };
        Self {
            http: url(public_url, "http", http, 80),
            rtmp: url(public_rtmp_url, "rtmp", rtmp, 1935),
            api: format!("http://{}", authority(None, api, 80)),
        }
    }
}

/// A host as it stands in a URL: a name or an address, without a port, IPv6 in brackets. The error is for the person
/// who typed it.
pub fn host(text: &str) -> Result<String, &'static str> {
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<Ipv6Addr>() {
        return Ok(format!("[{ip}]"));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_name) {
        true => Ok(text.to_string()),
        false => Err("a host is a name or an address; scheme and ports are those of the configuration"),
    }
}

/// The host in `url`, without its port.
fn host_of(url: &str) -> Option<&str> {
    let authority = url.split("://").nth(1)?.split('/').next()?;
    match authority.split_once(']') {
        Some((ip, _)) => authority.get(..=ip.len()),
        None => authority.split(':').next(),
    }
}

fn authority(host: Option<&str>, listen: SocketAddr, usual_port: u16) -> String {
    let host = match (host, listen.ip()) {
        (Some(host), _) => host.to_string(),
        (None, ip) if ip.is_unspecified() => "localhost".to_string(),
        (None, IpAddr::V4(ip)) => ip.to_string(),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
    };
    if listen.port() == usual_port { host } else { format!("{host}:{}", listen.port()) }
}

/// What a streamer needs: one URL, or OBS's two fields.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PushUrl {
    pub url: String,
    pub server: String,
    pub key: String,
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// Where a stream is watched.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayUrls {
    pub flv: String,
    pub ws_flv: String,
    pub hls: String,
    pub hls_ts: String,
    pub rtmp: String,
    pub watch: String,
    /// The newest picture, a JPEG.
    pub snapshot: String,
}

impl PlayUrls {
    /// Each with the name that people know it by.
    pub fn named(&self) -> [(&'static str, &str); 6] {
        [
            ("watch", &self.watch),
            ("HLS", &self.hls),
            ("HLS (TS)", &self.hls_ts),
            ("FLV", &self.flv),
            ("WS-FLV", &self.ws_flv),
            ("RTMP", &self.rtmp),
        ]
    }
}

/// A push URL that opens a push until `expires`, rounded down to a second: `txTime` counts in those, and a key made
/// for the longest time allowed must not be a second too long.
pub fn push_url(access: &Access, at: &Addresses, app: &App, stream: &Stream, expires: Millis) -> PushUrl {
    let expires = Millis(expires.as_secs().clamp(0, i64::from(u32::MAX)) * 1000);
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
        snapshot: format!("{http}/{app}/{stream}.jpg"),
    }
}

/// RFC 3339, UTC, with milliseconds. Its years have four digits.
pub fn rfc3339(time: Millis) -> String {
    let since = Duration::from_millis(u64::try_from(time.0).unwrap_or(0).min(253_402_300_799_999));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}
