//! `/broadcasts/ID/clips` and `/clips`: stretches of broadcasts that are watched by themselves.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
};
use kaibo_broadcast::BroadcastId;
use kaibo_store::{Clip, ClipFilter, ClipKind, Error as StoreError};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    Page,
    broadcasts::{self, fits},
    conflict,
    input::{self, Body, Filter, Limit, MediaTime, Optional, Time},
    recorded::Source,
    store_fault,
};
use crate::{
    broadcasts::Status,
    clips::{self, ClipObject, CreateError, Cut, DeleteError, Passage, State as ClipState},
    problem::Problem,
    server::Server,
};

/// The id of a clip in a path.
pub struct Id(pub BroadcastId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // What can't be an id names no clip either.
        let Path(id) = Path::from_request_parts(parts, state).await.map_err(|_| no_clip())?;
        Ok(Self(id))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewClip)]
pub struct New {
    /// Where it begins, in media time; or `from`.
    #[schema(value_type = Option<u64>)]
    from_ms: Option<MediaTime>,
    /// Where it ends, in media time; or `to`.
    #[schema(value_type = Option<u64>)]
    to_ms: Option<MediaTime>,
    /// The same by the wall clock: of a moment of which nothing is recorded, what comes next.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// The same by the wall clock: of a moment of which nothing is recorded, what was before.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
    #[serde(default)]
    #[schema(max_length = 256)]
    title: String,
    /// It begins with just that picture; otherwise with the keyframe before it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    precise: bool,
}

pub fn yes() -> bool {
    true
}

/// Cuts a clip out of what was broadcast so far, without encoding it again. Where its last segment is still being recorded,
/// the answer waits for it; `clip.ready` tells of it, too. It ends to the frame. As HLS it begins with the keyframe before
/// it, and players skip what is before its first picture (`EXT-X-START`); the MP4 begins to the frame. It stays until it is deleted, whatever becomes of
/// the replay.
#[utoipa::path(post, operation_id = "create_clip", path = "/api/v1/broadcasts/{id}/clips", tag = "clips", params(("id" = String, Path)),
    request_body = New,
    responses((status = 201, body = ClipObject), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_recorded`: there is no replay; `nothing_recorded`: nothing of that stretch is; \
            `not_yet`: it ends in the future"),
        (status = 429, description = "`too_many_clips`: 1,000 of one broadcast")))]
pub async fn create(
    State(server): State<Arc<Server>>,
    broadcasts::Id(id): broadcasts::Id,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<ClipObject>), Problem> {
    fits(&new.title)?;
    let status = broadcasts::status(&server, &id).await?;
    let source = Source::of(&server, &id).await?;
    let (from, to) = source.stretch((new.from_ms, new.from), (new.to_ms, new.to))?;
    source.shows_something(&[(from, to)])?;
    let passage = Passage::new(from, Some(to), &source.timeline);
    let clip =
        row(&server, &status, ClipKind::Clip, ClipState::Waiting, new.title, vec![passage], new.precise);
    let made = server.clips.create(&server, clip, &source.replay).await.map_err(refused)?;
    Ok((StatusCode::CREATED, shown(&server, &made)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMark)]
pub struct Mark {
    #[serde(default)]
    #[schema(max_length = 256)]
    title: String,
    /// It begins with just that picture; otherwise with the keyframe before it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    precise: bool,
}

impl Default for Mark {
    fn default() -> Self {
        Self { title: String::new(), precise: true }
    }
}

/// Begins a clip with what is broadcast now: `stop` or the end of the broadcast ends it.
#[utoipa::path(post, operation_id = "start_clip", path = "/api/v1/broadcasts/{id}/clips/start", tag = "clips", params(("id" = String, Path)),
    request_body = Option<Mark>,
    responses((status = 201, body = ClipObject), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_recorded`: it is not being recorded; `not_started`; `over`"),
        (status = 429, description = "`too_many_clips`: 1,000 of one broadcast, or 16 that are not stopped")))]
pub async fn start(
    State(server): State<Arc<Server>>,
    broadcasts::Id(id): broadcasts::Id,
    Optional(Mark { title, precise }): Optional<Mark>,
) -> Result<(StatusCode, Json<ClipObject>), Problem> {
    fits(&title)?;
    let status = broadcasts::status(&server, &id).await?;
    let source = Source::going_on(&server, &status).await?;
    let passage = Passage::new(source.end_ms(), None, &source.timeline);
    let clip = row(&server, &status, ClipKind::Clip, ClipState::Recording, title, vec![passage], precise);
    let made = server.clips.create(&server, clip, &source.replay).await.map_err(refused)?;
    Ok((StatusCode::CREATED, shown(&server, &made)))
}

/// Ends a clip that was begun with `start`. One that has ended stays as it is.
#[utoipa::path(post, operation_id = "stop_clip", path = "/api/v1/clips/{id}/stop", tag = "clips", params(("id" = String, Path)),
    responses((status = 200, body = ClipObject), (status = 404, description = "`no_such_clip`")))]
pub async fn stop(State(server): State<Arc<Server>>, Id(id): Id) -> Result<Json<ClipObject>, Problem> {
    let clip = find(&server, &id, ClipKind::Clip).await?;
    if ClipState::of(&clip) != Some(ClipState::Recording) {
        return Ok(shown(&server, &clip));
    }
    let source = Source::of(&server, &clip.broadcast).await?;
    let stopped = server.clips.stop(&server, &id, source.end_ms(), &source.replay).await;
    let stopped = stopped.map_err(|error| store_fault(&error))?.ok_or_else(no_clip)?;
    Ok(shown(&server, &stopped))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those of this app.
    app: Option<String>,
    /// Only those of this stream.
    stream: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 50 unless said otherwise, 200 at most.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
}

/// All clips, newest first.
#[utoipa::path(get, operation_id = "list_clips", path = "/api/v1/clips", tag = "clips", params(Which),
    responses((status = 200, body = Page<ClipObject>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    Filter(which): Filter<Which>,
) -> Result<Json<Page<ClipObject>>, Problem> {
    let filter = ClipFilter {
        kind: Some(ClipKind::Clip),
        broadcast: None,
        app: which.app.as_deref().map(input::name).transpose()?,
        stream: which.stream.as_deref().map(input::name).transpose()?,
        cursor: input::cursor(which.cursor)?,
        limit: which.limit.0,
    };
    let at = server.public_addresses();
    Ok(Json(page(&server, filter, |clip| ClipObject::new(clip, &at)).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 50 unless said otherwise, 200 at most.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
}

impl Part {
    /// Those of `broadcast`, deleted or not.
    pub fn of(self, broadcast: BroadcastId, kind: ClipKind) -> Result<ClipFilter, Problem> {
        Ok(ClipFilter {
            kind: Some(kind),
            broadcast: Some(broadcast),
            cursor: input::cursor(self.cursor)?,
            limit: self.limit.0,
            ..ClipFilter::default()
        })
    }
}

/// The clips of one broadcast, newest first, also when it was deleted without them.
#[utoipa::path(get, operation_id = "list_clips_of_broadcast", path = "/api/v1/broadcasts/{id}/clips", tag = "clips",
    params(("id" = String, Path), Part),
    responses((status = 200, body = Page<ClipObject>), (status = 404, description = "`no_such_broadcast`")))]
pub async fn list_of_broadcast(
    State(server): State<Arc<Server>>,
    broadcasts::Id(id): broadcasts::Id,
    Filter(part): Filter<Part>,
) -> Result<Json<Page<ClipObject>>, Problem> {
    let at = server.public_addresses();
    let filter = part.of(id, ClipKind::Clip)?;
    Ok(Json(page(&server, filter, |clip| ClipObject::new(clip, &at)).await?))
}

/// One clip.
#[utoipa::path(get, operation_id = "get_clip", path = "/api/v1/clips/{id}", tag = "clips", params(("id" = String, Path)),
    responses((status = 200, body = ClipObject), (status = 404, description = "`no_such_clip`")))]
pub async fn one(State(server): State<Arc<Server>>, Id(id): Id) -> Result<Json<ClipObject>, Problem> {
    Ok(shown(&server, &find(&server, &id, ClipKind::Clip).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClipChange)]
pub struct Patch {
    #[schema(max_length = 256)]
    title: Option<String>,
    /// Whoever has its address may watch it. `replay_public` of its broadcast changes this, too.
    public: Option<bool>,
}

/// Changes its title, or who may see it. What is left out stays.
#[utoipa::path(patch, operation_id = "change_clip", path = "/api/v1/clips/{id}", tag = "clips", params(("id" = String, Path)),
    request_body = Patch,
    responses((status = 200, body = ClipObject), (status = 404, description = "`no_such_clip`")))]
pub async fn change(
    State(server): State<Arc<Server>>,
    Id(id): Id,
    Body(patch): Body<Patch>,
) -> Result<Json<ClipObject>, Problem> {
    let changed = changed(&server, &id, ClipKind::Clip, patch).await?;
    Ok(shown(&server, &changed))
}

/// Deletes it for good. Its broadcast and the replay stay as they are.
#[utoipa::path(delete, operation_id = "delete_clip", path = "/api/v1/clips/{id}", tag = "clips", params(("id" = String, Path)),
    responses((status = 204), (status = 404, description = "`no_such_clip`")))]
pub async fn delete(State(server): State<Arc<Server>>, Id(id): Id) -> Result<StatusCode, Problem> {
    find(&server, &id, ClipKind::Clip).await?;
    deleted(server.clips.delete(&server, &id).await)
}

/// A new clip of the broadcast in `status`, as who may see its replay now.
pub fn row(
    server: &Server,
    status: &Status,
    kind: ClipKind,
    state: ClipState,
    title: String,
    passages: Vec<Passage>,
    precise: bool,
) -> Clip {
    Clip {
        id: clips::new_id(kind),
        kind,
        broadcast: status.id.clone(),
        app: status.app.clone(),
        stream: status.stream.clone(),
        state: state.name().into(),
        is_open: true,
        title,
        public: !status.replay_private,
        created_at: server.clock.now(),
        cut: Cut { passages, precise, duration_ms: None }.to_json(),
    }
}

/// A page of what `filter` asks for.
pub async fn page<T>(
    server: &Server,
    filter: ClipFilter,
    show: impl Fn(&Clip) -> T,
) -> Result<Page<T>, Problem> {
    let found = server.store.ask(move |store| store.clips(&filter)).await;
    let found = found.map_err(|error| store_fault(&error))?;
    let items = found.items.iter().map(show).collect();
    Ok(Page { items, next_cursor: found.next.map(|next| next.to_string()) })
}

pub async fn find(server: &Server, id: &BroadcastId, kind: ClipKind) -> Result<Clip, Problem> {
    let found = server.clips.get(server, id).await.map_err(|error| store_fault(&error))?;
    found.filter(|clip| clip.kind == kind).ok_or_else(|| missing(kind))
}

pub async fn changed(
    server: &Server,
    id: &BroadcastId,
    kind: ClipKind,
    Patch { title, public }: Patch,
) -> Result<Clip, Problem> {
    title.as_deref().map(fits).transpose()?;
    find(server, id, kind).await?;
    let changed = server.clips.change(server, id, title, public).await;
    changed.map_err(|error| store_fault(&error))?.ok_or_else(|| missing(kind))
}

pub fn deleted(deleted: Result<(), DeleteError>) -> Result<StatusCode, Problem> {
    match deleted {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(DeleteError::Store(error)) => Err(store_fault(&error)),
        Err(DeleteError::Recording(error)) => {
            tracing::error!(%error, "can't delete a clip");
            let detail = "it can't be deleted now; try again";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage", detail))
        }
    }
}

/// Why there is no new one.
pub fn refused(error: CreateError) -> Problem {
    match error {
        CreateError::Store(StoreError::TooManyClips { .. }) | CreateError::TooManyOpen => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_clips", error.to_string())
        }
        CreateError::Store(error) => store_fault(&error),
    }
}

fn shown(server: &Server, clip: &Clip) -> Json<ClipObject> {
    Json(ClipObject::new(clip, &server.public_addresses()))
}

fn missing(kind: ClipKind) -> Problem {
    match kind {
        ClipKind::Clip => no_clip(),
        ClipKind::Version => {
            Problem::new(StatusCode::NOT_FOUND, "no_such_version", "there is no version of this id")
        }
    }
}

fn no_clip() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_clip", "there is no clip of this id")
}

/// 409: of what is asked for there is nothing.
pub fn nothing_recorded() -> Problem {
    conflict("nothing_recorded", "nothing of that is recorded")
}
