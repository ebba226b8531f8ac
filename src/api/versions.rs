//! `/broadcasts/ID/versions` and `/versions`: replays without some of their stretches. The original stays.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use kaibo_media::Timestamp;
use kaibo_replay::{Edit, Stretch};
use kaibo_store::{Clip, ClipKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Page,
    broadcasts::{self, fits},
    clips::{Id, Part, Patch, changed, deleted, find, page, refused, row, yes},
    conflict,
    input::{Body, Filter, MediaTime, Time},
    recorded::{Source, bad_edit},
};
use crate::{
    clips::{Passage, State as ClipState, VersionObject},
    problem::Problem,
    server::Server,
};

/// Stretches in one request: as many cuts as somebody makes by hand.
const MOST: usize = 200;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVersion)]
pub struct New {
    /// What is left out, 1 to 200 stretches in any order.
    #[schema(min_items = 1, max_items = 200)]
    remove: Vec<Removed>,
    #[serde(default)]
    #[schema(max_length = 256)]
    title: String,
    /// Stretches begin with just that picture; otherwise with the keyframe before it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    precise: bool,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Removed {
    /// Where it begins, in media time; or `from`.
    #[schema(value_type = Option<u64>)]
    from_ms: Option<MediaTime>,
    /// Where it ends, in media time; or `to`.
    #[schema(value_type = Option<u64>)]
    to_ms: Option<MediaTime>,
    /// The same by the wall clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
}

/// Makes a version of a final replay without what is to be removed. The original stays. Each stretch that is left ends to
/// the frame. As HLS it begins with the keyframe before its first picture: up to a group of pictures at the end of what is
/// removed can still be seen there; whoever wants to be sure removes one more.
/// The MP4 begins each of them to the frame.
#[utoipa::path(post, operation_id = "create_version", path = "/api/v1/broadcasts/{id}/versions", tag = "versions", params(("id" = String, Path)),
    request_body = New,
    responses((status = 201, body = VersionObject), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_recorded`: there is no replay; `not_final`: it is still being recorded; \
            `nothing_recorded`: nothing would be left, or there is nothing to be removed"),
        (status = 429, description = "`too_many_clips`: 1,000 clips and versions of one broadcast")))]
pub async fn create(
    State(server): State<Arc<Server>>,
    broadcasts::Id(id): broadcasts::Id,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<VersionObject>), Problem> {
    fits(&new.title)?;
    if !(1..=MOST).contains(&new.remove.len()) {
        return Err(Problem::invalid(format!("remove has not 1 to {MOST} stretches")));
    }
    let status = broadcasts::status(&server, &id).await?;
    let source = Source::of(&server, &id).await?;
    if !source.replay.is_final() {
        return Err(conflict("not_final", "the replay is still being recorded; stop the broadcast first"));
    }
    let at = Timestamp::from_millis;
    let removed = new.remove.iter().map(|Removed { from_ms, to_ms, from, to }| {
        let (from, to) = source.stretch((*from_ms, *from), (*to_ms, *to))?;
        Ok(Stretch { from: at(from), to: at(to) })
    });
    let removed = removed.collect::<Result<Vec<_>, Problem>>()?;
    let whole = Edit::new([Stretch { from: Timestamp::ZERO, to: at(source.end_ms()) }]);
    let left = whole.and_then(|whole| whole.without(&removed)).map_err(bad_edit)?;
    let left: Vec<_> =
        left.stretches().iter().map(|left| (left.from.as_millis(), left.to.as_millis())).collect();
    source.shows_something(&left)?;
    let passages = left.iter().map(|(from, to)| Passage::new(*from, Some(*to), &source.timeline)).collect();
    let version =
        row(&server, &status, ClipKind::Version, ClipState::Waiting, new.title, passages, new.precise);
    let made = server.clips.create(&server, version, &source.replay).await.map_err(refused)?;
    Ok((StatusCode::CREATED, shown(&server, &made)))
}

/// The versions of one replay, newest first, also when it was deleted without them.
#[utoipa::path(get, operation_id = "list_versions", path = "/api/v1/broadcasts/{id}/versions", tag = "versions",
    params(("id" = String, Path), Part),
    responses((status = 200, body = Page<VersionObject>), (status = 404, description = "`no_such_broadcast`")))]
pub async fn list(
    State(server): State<Arc<Server>>,
    broadcasts::Id(id): broadcasts::Id,
    Filter(part): Filter<Part>,
) -> Result<Json<Page<VersionObject>>, Problem> {
    let at = server.public_addresses();
    let filter = part.of(id, ClipKind::Version)?;
    Ok(Json(page(&server, filter, |version| VersionObject::new(version, &at)).await?))
}

/// One version.
#[utoipa::path(get, operation_id = "get_version", path = "/api/v1/versions/{id}", tag = "versions", params(("id" = String, Path)),
    responses((status = 200, body = VersionObject), (status = 404, description = "`no_such_version`")))]
pub async fn one(State(server): State<Arc<Server>>, Id(id): Id) -> Result<Json<VersionObject>, Problem> {
    Ok(shown(&server, &find(&server, &id, ClipKind::Version).await?))
}

/// Changes its title, or who may see it. What is left out stays.
#[utoipa::path(patch, operation_id = "change_version", path = "/api/v1/versions/{id}", tag = "versions", params(("id" = String, Path)),
    request_body = Patch,
    responses((status = 200, body = VersionObject), (status = 404, description = "`no_such_version`")))]
pub async fn change(
    State(server): State<Arc<Server>>,
    Id(id): Id,
    Body(patch): Body<Patch>,
) -> Result<Json<VersionObject>, Problem> {
    let changed = changed(&server, &id, ClipKind::Version, patch).await?;
    Ok(shown(&server, &changed))
}

/// Deletes it for good. The original stays.
#[utoipa::path(delete, operation_id = "delete_version", path = "/api/v1/versions/{id}", tag = "versions", params(("id" = String, Path)),
    responses((status = 204), (status = 404, description = "`no_such_version`")))]
pub async fn delete(State(server): State<Arc<Server>>, Id(id): Id) -> Result<StatusCode, Problem> {
    find(&server, &id, ClipKind::Version).await?;
    deleted(server.clips.delete(&server, &id).await)
}

fn shown(server: &Server, version: &Clip) -> Json<VersionObject> {
    Json(VersionObject::new(version, &server.public_addresses()))
}
