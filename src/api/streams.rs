//! `/streams`: what is pushed now and how well, and the ways to be rid of it.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use kaibo_audience::Phase;
use kaibo_broadcast::{App, BroadcastId, Event, Stream as Name};
use kaibo_media::UnixMillis;
use kaibo_store::{Ban, Error as StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Page,
    broadcasts::refused,
    conflict,
    input::{self, Body, Time},
    store_fault,
};
use crate::{
    access::{play_urls, rfc3339, unix_now},
    broadcasts::Handle,
    live::Pushed,
    problem::Problem,
    server::Server,
    snapshots::SnapshotObject,
    telemetry::Protocol,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A ban that says no end, and the longest one (as Tencent Cloud Live has them).
const BAN: Duration = Duration::from_secs(7 * DAY.as_secs());
const LONGEST_BAN: Duration = Duration::from_secs(90 * DAY.as_secs());

/// Characters of a ban's reason.
const REASON: usize = 256;

/// A stream with a broadcast that is not over.
#[derive(Serialize, ToSchema)]
pub struct Stream {
    #[schema(value_type = String)]
    app: App,
    #[schema(value_type = String)]
    stream: Name,
    /// Its broadcast.
    #[schema(value_type = String)]
    broadcast: BroadcastId,
    /// As in the broadcast.
    state: &'static str,
    /// `down`, `probing`, `up` or `stalled`.
    push_state: &'static str,
    video: Option<Video>,
    audio: Option<Audio>,
    /// Bits of media per second.
    bitrate: u64,
    /// Distance of the last two keyframes in seconds.
    gop_s: Option<f64>,
    /// How far sound has moved against the picture; positive if it comes later.
    av_drift_ms: Option<i64>,
    /// Since the last keyframe.
    keyframe_age_ms: Option<i64>,
    /// What the streamer should look at.
    warnings: Vec<String>,
    /// The newest one.
    snapshot: Option<SnapshotObject>,
    /// `ready`, `none` (nobody has asked for one yet), or what came of the last attempt: `no_ffmpeg` (none is installed) or
    /// `failed`; `off` where snapshots are off.
    snapshot_status: &'static str,
    viewers: Viewers,
}

#[derive(Serialize, ToSchema)]
struct Video {
    /// As in RFC 6381.
    codecs: String,
    width: u32,
    height: u32,
    fps: f64,
}

#[derive(Serialize, ToSchema)]
struct Audio {
    /// As in RFC 6381.
    codecs: String,
    sample_rate: u32,
    channels: u32,
}

/// Connected viewers. Those of HLS have no connection: counted are those who asked for something within the last ten
/// seconds or three target durations, by session or, without one, by address and user agent.
#[derive(Serialize, ToSchema)]
struct Viewers {
    flv: i64,
    ws_flv: i64,
    rtmp: i64,
    hls: i64,
}

impl Stream {
    fn of(server: &Server, broadcast: &Handle) -> Self {
        let (status, live) = (broadcast.status(), broadcast.live());
        let Pushed { tracks, health } = live.pushed(UnixMillis(unix_now().0));
        let video = tracks.as_ref().and_then(|tracks| tracks.video.as_ref());
        let audio = tracks.as_ref().and_then(|tracks| tracks.audio.as_ref());
        let viewers = |protocol| live.audience().connected(protocol).get();
        Self {
            app: status.app.clone(),
            stream: status.stream.clone(),
            broadcast: status.id.clone(),
            state: status.state.name(),
            push_state: status.push_state.name(),
            video: video.map(|video| Video {
                codecs: video.codecs.to_string(),
                width: video.width,
                height: video.height,
                fps: (health.fps * 10.0).round() / 10.0,
            }),
            audio: audio.map(|audio| Audio {
                codecs: audio.codecs.to_string(),
                sample_rate: audio.sample_rate,
                channels: audio.channels.into(),
            }),
            bitrate: health.bitrate,
            gop_s: health.gop_seconds,
            av_drift_ms: health.av_drift_ms,
            keyframe_age_ms: health.keyframe_age_ms,
            warnings: health.warnings.iter().map(ToString::to_string).collect(),
            snapshot: live.camera().facts().map(|facts| {
                facts.to_api(play_urls(&server.public_addresses(), &status.app, &status.stream).snapshot)
            }),
            snapshot_status: match server.settings().config.snapshot.enabled {
                true => live.camera().state(),
                false => "off",
            },
            viewers: Viewers {
                flv: viewers(Protocol::Flv),
                ws_flv: viewers(Protocol::WsFlv),
                rtmp: viewers(Protocol::Rtmp),
                hls: i64::try_from(live.audience().visitors(Phase::During)).unwrap_or(i64::MAX),
            },
        }
    }
}

/// Every stream with a broadcast that is not over, by name.
#[utoipa::path(get, operation_id = "list_streams", path = "/api/v1/streams", tag = "streams", responses((status = 200, body = Page<Stream>)))]
pub async fn list(State(server): State<Arc<Server>>) -> Json<Page<Stream>> {
    let mut open = server.broadcasts.all();
    open.retain(|broadcast| !broadcast.status().state.is_final());
    open.sort_by(|a, b| (a.app(), a.stream()).cmp(&(b.app(), b.stream())));
    Json(Page {
        items: open.iter().map(|broadcast| Stream::of(&server, broadcast)).collect(),
        next_cursor: None,
    })
}

/// What is pushed under a name, public or not, and how well.
#[utoipa::path(get, operation_id = "get_stream", path = "/api/v1/streams/{app}/{stream}", tag = "streams",
    params(("app" = String, Path), ("stream" = String, Path)),
    responses((status = 200, body = Stream), (status = 404, description = "`no_such_stream`")))]
pub async fn one(
    State(server): State<Arc<Server>>,
    input::Name(app, stream): input::Name,
) -> Result<Json<Stream>, Problem> {
    Ok(Json(Stream::of(&server, &*open(&server, &app, &stream)?)))
}

/// Drops the push. Its encoder may come back: that is what bans are for.
#[utoipa::path(post, operation_id = "kick_stream", path = "/api/v1/streams/{app}/{stream}/kick", tag = "streams",
    params(("app" = String, Path), ("stream" = String, Path)),
    responses((status = 200, body = Stream), (status = 404, description = "`no_such_stream`"),
        (status = 409, description = "`nothing_pushed`")))]
pub async fn kick(
    State(server): State<Arc<Server>>,
    input::Name(app, stream): input::Name,
) -> Result<Json<Stream>, Problem> {
    let broadcast = open(&server, &app, &stream)?;
    broadcast.control(Event::Kick).await.map_err(refused)?;
    Ok(Json(Stream::of(&server, &broadcast)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBan {
    /// 7 days from now unless said otherwise, 90 days at most.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
    /// For people.
    #[schema(max_length = 256)]
    reason: String,
}

/// A name that may not be pushed.
#[derive(Serialize, ToSchema)]
#[schema(as = Ban)]
pub struct Banned {
    #[schema(value_type = String)]
    app: App,
    #[schema(value_type = String)]
    stream: Name,
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    until: String,
    reason: String,
}

/// Forbids the name: its push is dropped, its viewers are cut, new pushes are refused.
#[utoipa::path(put, operation_id = "ban_stream", path = "/api/v1/streams/{app}/{stream}/ban", tag = "streams", request_body = NewBan,
    params(("app" = String, Path), ("stream" = String, Path)),
    responses((status = 200, body = Banned), (status = 409, description = "`too_many_bans`")))]
pub async fn ban(
    State(server): State<Arc<Server>>,
    input::Name(app, stream): input::Name,
    Body(NewBan { until, reason }): Body<NewBan>,
) -> Result<Json<Banned>, Problem> {
    let since = server.clock.now();
    let until = until.map_or(since + BAN, |until| until.0);
    if until <= since {
        return Err(Problem::invalid("until has passed"));
    }
    if until > since + LONGEST_BAN {
        return Err(Problem::invalid("until is more than 90 days away"));
    }
    if reason.chars().count() > REASON {
        return Err(Problem::invalid(format!("reason has more than {REASON} characters")));
    }
    let ban = Ban { app: app.clone(), stream: stream.clone(), since, until, reason };
    server.bans.put(&server.store, ban.clone()).await.map_err(|error| match error {
        StoreError::TooManyBans { .. } => conflict("too_many_bans", error.to_string()),
        error => store_fault(&error),
    })?;
    if let Some(broadcast) = server.broadcasts.named(&app, &stream) {
        // No state refuses it.
        let _ = broadcast.control(Event::Ban).await;
    }
    let (since, until) = (rfc3339(since), rfc3339(until));
    Ok(Json(Banned { app, stream, since, until, reason: ban.reason }))
}

/// Lifts the ban of a name. A broadcast that it caught goes on if its window is not over.
#[utoipa::path(delete, operation_id = "lift_ban", path = "/api/v1/streams/{app}/{stream}/ban", tag = "streams",
    params(("app" = String, Path), ("stream" = String, Path)),
    responses((status = 204), (status = 404, description = "`not_banned`")))]
pub async fn lift_ban(
    State(server): State<Arc<Server>>,
    input::Name(app, stream): input::Name,
) -> Result<StatusCode, Problem> {
    let lifted = server.bans.lift(&server.store, &app, &stream, server.clock.now()).await;
    if !lifted.map_err(|error| store_fault(&error))? {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_banned", "this stream is not banned"));
    }
    if let Some(broadcast) = server.broadcasts.named(&app, &stream) {
        // No state refuses it.
        let _ = broadcast.control(Event::Unban).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The broadcast of a name that is not over.
pub(super) fn open(server: &Server, app: &App, stream: &Name) -> Result<Arc<Handle>, Problem> {
    let found = server.broadcasts.named(app, stream);
    found.filter(|broadcast| !broadcast.status().state.is_final()).ok_or_else(|| {
        let detail = "no broadcast of this name is open";
        Problem::new(StatusCode::NOT_FOUND, "no_such_stream", detail)
    })
}
