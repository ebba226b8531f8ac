//! `/streams/APP/STREAM/snapshot`: what is shown under a name now, as a picture.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use utoipa::ToSchema;

use super::{input, streams::open};
use crate::{
    access::play_urls,
    problem::Problem,
    server::Server,
    snapshots::{SnapshotObject, Wish, snapshot, tell},
};

/// How the body is described.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes bytes that are not made of it")]
struct Picture(Vec<u8>);

/// The newest picture itself, some seconds old at the most (`snapshot.max_age`): also of a stream whose viewers need a
/// key, and of one that is banned.
#[utoipa::path(get, operation_id = "get_snapshot", path = "/api/v1/streams/{app}/{stream}/snapshot", tag = "streams",
    params(("app" = String, Path), ("stream" = String, Path)),
    responses((status = 200, description = "a JPEG", content_type = "image/jpeg", body = inline(Picture)),
        (status = 404, description = "`no_such_stream`, `no_picture` (nothing was shown yet) or `snapshots_off`"),
        (status = 503, description = "`no_ffmpeg` (none is installed), `snapshot_failed` or `busy`")))]
pub async fn newest(
    State(server): State<Arc<Server>>,
    input::Name(app, stream): input::Name,
) -> Result<Response, Problem> {
    let broadcast = open(&server, &app, &stream)?;
    let taken = snapshot(&server, broadcast.live(), Wish::Recent).await;
    let taken = taken.map_err(|error| error.problem())?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, taken.jpeg.bytes.clone()).into_response())
}

/// Takes a snapshot of the newest keyframe that is public, and tells of it (`snapshot.ready`). The same again while no
/// newer keyframe came.
#[utoipa::path(post, operation_id = "take_snapshot", path = "/api/v1/streams/{app}/{stream}/snapshot", tag = "streams",
    params(("app" = String, Path), ("stream" = String, Path)),
    responses((status = 200, body = SnapshotObject),
        (status = 404, description = "`no_such_stream`, `no_picture` (nothing was shown yet) or `snapshots_off`"),
        (status = 503, description = "`no_ffmpeg` (none is installed), `snapshot_failed` or `busy`")))]
pub async fn take(
    State(server): State<Arc<Server>>,
    input::Name(app, stream): input::Name,
) -> Result<Json<SnapshotObject>, Problem> {
    let broadcast = open(&server, &app, &stream)?;
    let taken = snapshot(&server, broadcast.live(), Wish::Newest).await;
    let taken = taken.map_err(|error| error.problem())?;
    tell(&server, &broadcast, &taken).await;
    Ok(Json(taken.facts.to_api(play_urls(&server.public_addresses(), &app, &stream).snapshot)))
}
