//! The ways out, mirror images of the ways in.

pub mod feed;
pub mod flv;
pub mod hls;
pub mod mp4;
pub mod pictures;
pub mod replay;
pub mod rtmp;
pub mod status;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};
use kaibo_audience::{Pace, Phase};
use kaibo_broadcast::{App, BroadcastId, State, Stream};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use serde_json::json;

use crate::{
    audience::{Audience, Guest, Person, Viewer as Asking, Visit},
    broadcasts::{Handle, Status},
    config::Action,
    gate::{self, Question},
    http::{Body, Call},
    problem::Problem,
    server::Server,
    telemetry::Protocol,
};

/// The broadcast that is shown under a name now. A refusal tells what a player or a page can do.
pub fn playable(call: &Call, app: &str, stream: &str) -> Result<Arc<Handle>, Problem> {
    let (Ok(app), Ok(stream)) = (app.parse::<App>(), stream.parse::<Stream>()) else {
        return Err(Problem::not_found());
    };
    let broadcast = named(call, &app, &stream)?;
    match broadcast.status().state {
        state if state.is_withheld() => Err(banned()),
        State::Live | State::Interrupted { .. } | State::Paused => Ok(broadcast),
        State::Created | State::Preview => Err(not_started("the broadcast has not started")),
        State::Ended { .. } => Err(ended(&broadcast.status())),
        State::Banned { .. } => Err(banned()),
        State::Expired => Err(expired()),
    }
}

/// The newest broadcast of a name, if its media is in memory.
pub fn named(call: &Call, app: &App, stream: &Stream) -> Result<Arc<Handle>, Problem> {
    let broadcasts = &call.server.broadcasts;
    broadcasts.named(app, stream).ok_or_else(|| match broadcasts.named_status(app, stream) {
        Some(status) if status.state == State::Expired => expired(),
        Some(status) if status.state.is_withheld() => banned(),
        Some(status) => ended(&status),
        None => not_started("nothing is broadcast under this name"),
    })
}

/// 404 for a name without a public broadcast.
pub fn not_started(detail: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_started", detail)
}

/// 410 for a broadcast whose time passed before it began.
pub fn expired() -> Problem {
    Problem::new(StatusCode::GONE, "expired", "the broadcast never took place")
}

/// 404 for a broadcast that is over, with the replay's address.
pub fn ended(status: &Status) -> Problem {
    let replay = status
        .has_public_replay()
        .then(|| json!({ "hls": replay_url(&status.id), "mp4": mp4_url(&status.id) }));
    Problem::new(StatusCode::NOT_FOUND, "ended", "the broadcast is over").with("replay", json!(replay))
}

/// 403 for a banned stream.
pub fn banned() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "banned", "this stream is banned")
}

/// `text` compressed.
pub fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    // Writing to a Vec can't fail.
    encoder.write_all(text).and_then(|()| encoder.finish()).map(Bytes::from).unwrap_or_default()
}

/// A validator of `content` that means the same after a restart.
pub fn etag(content: &(impl Hash + ?Sized)) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Keeps what needs a key out of caches that many share.
pub fn keep_private(call: &Call, app: &App, response: &mut Response<Body>) {
    if call.server.access.play_is_guarded(app) {
        make_private(response);
    }
}

/// Keeps `response` out of caches that many share.
pub fn make_private(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    let cached = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    if let Some(rest) = cached.and_then(|value| value.strip_prefix("public"))
        && let Ok(value) = HeaderValue::from_str(&format!("private{rest}"))
    {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

/// Path of a replay as one file.
pub fn mp4_url(id: &BroadcastId) -> String {
    format!("/replay/{id}.mp4")
}

/// Path of a replay's playlist.
pub fn replay_url(id: &BroadcastId) -> String {
    format!("/replay/{id}.m3u8")
}

/// Checks the play key in the query, where viewers need one.
pub fn play_key(call: &Call, app: &App, stream: &Stream) -> Result<(), Problem> {
    let address = call.address;
    let access = &call.server.access;
    if !access.play_is_signed(app) {
        return Ok(());
    }
    if access.is_shut_out(address) {
        let detail = "too many wrong keys; wait a minute";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_keys", detail)
            .with_header(header::RETRY_AFTER, "60"));
    }
    access.play(app, stream, call.query()).map_err(|error| {
        access.refused(address);
        Problem::new(StatusCode::FORBIDDEN, "play_key", error.to_string())
    })
}

/// What the backend says to this viewer, where it is asked.
pub async fn consent(call: &Call, protocol: gate::Protocol, broadcast: &Names<'_>) -> Result<(), Problem> {
    let Names { app, stream, id } = *broadcast;
    ask(call, protocol, app, stream, Some(id.clone())).await
}

/// The same where several broadcasts are watched under the name.
pub async fn consent_by_name(
    call: &Call,
    protocol: gate::Protocol,
    app: &App,
    stream: &Stream,
) -> Result<(), Problem> {
    ask(call, protocol, app, stream, None).await
}

async fn ask(
    call: &Call,
    protocol: gate::Protocol,
    app: &App,
    stream: &Stream,
    id: Option<BroadcastId>,
) -> Result<(), Problem> {
    let from = (call.address, call.query());
    let question = Question::new(Action::Play, app, stream, protocol, from, id);
    call.server.gate.ask(&call.server, question).await.of_play().map_err(|reason| {
        let detail = reason.unwrap_or_else(|| "you may not watch this".into());
        Problem::new(StatusCode::FORBIDDEN, "play_denied", detail)
    })
}

/// What a broadcast is called.
pub struct Names<'a> {
    pub app: &'a App,
    pub stream: &'a Stream,
    pub id: &'a BroadcastId,
}

impl<'a> From<&'a Handle> for Names<'a> {
    fn from(broadcast: &'a Handle) -> Self {
        Self { app: broadcast.app(), stream: broadcast.stream(), id: broadcast.id() }
    }
}

/// A viewer that had to be moved on to a keyframe this often cannot keep up; a smaller picture would serve it better.
pub const LAGS: u32 = 8;

/// What lies behind the first playlist needs the session that came with it, where not everybody may watch: an
/// admitted viewer is not cut off when the key expires. `query` is the call's, without what asks for something else.
pub fn session(call: &Call, app: &App, broadcast: &BroadcastId, query: &str) -> Result<(), Problem> {
    if call.server.access.is_hls_session(app, broadcast, query) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "play_session", "open the stream's own address first"))
}

/// As whom a viewer without a connection is counted. `session`: the query that let it in, empty where everybody may watch.
fn asking<'a>(call: &'a Call, session: &'a str) -> Asking<'a> {
    let session = Some(session).filter(|session| !session.is_empty());
    Asking { session, person: Person::new(call.address, call.header(header::USER_AGENT)) }
}

/// `response` is what its viewer came for.
fn served(
    call: &Call,
    visit: &Visit<&Audience>,
    (protocol, pace): (Protocol, Pace),
    response: &Response<Body>,
) {
    let bytes = hyper::body::Body::size_hint(response.body()).exact().unwrap_or(0);
    call.server.metrics.sent_bytes(protocol).inc_by(bytes);
    visit.served(protocol, bytes, pace);
}

/// One connected viewer: counted while it lives, logged when it goes.
pub struct Viewer {
    connected: Gauge,
    guest: Guest,
    bytes: Counter,
    lags: Counter,
    since: Instant,
    sent: u64,
    lagged: u32,
    protocol: Protocol,
    broadcast: BroadcastId,
    address: IpAddr,
}

impl Viewer {
    /// Somebody at `address` with the player `agent` begins to watch.
    pub fn new(
        server: &Server,
        broadcast: &Handle,
        (phase, protocol): (Phase, Protocol),
        (address, agent): (IpAddr, &str),
    ) -> Self {
        let connected = server.metrics.viewers(protocol);
        connected.inc();
        let guest = broadcast.live().audience().join(phase, Some(protocol), Person::new(address, agent));
        Self {
            connected,
            guest,
            bytes: server.metrics.sent_bytes(protocol),
            lags: server.metrics.lags(protocol),
            since: Instant::now(),
            sent: 0,
            lagged: 0,
            protocol,
            broadcast: broadcast.id().clone(),
            address,
        }
    }

    /// Bytes were handed to its socket.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        self.bytes.inc_by(bytes as u64);
        self.guest.sent(bytes as u64);
    }

    /// It was too slow and goes on at a keyframe. How often so far?
    pub fn lagged(&mut self) -> u32 {
        self.lagged += 1;
        self.lags.inc();
        self.lagged
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.connected.dec();
        tracing::debug!(
            broadcast = %self.broadcast,
            address = %self.address,
            protocol = ?self.protocol,
            bytes = self.sent,
            lags = self.lagged,
            seconds = self.since.elapsed().as_secs(),
            "viewer left"
        );
    }
}
