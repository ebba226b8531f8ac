//! `/broadcasts`: plans, commands, and what became of them.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
};
use kaibo_broadcast::{BroadcastId, CommandConflict, Event, Plan};
use kaibo_store::Error as StoreError;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    Page, clips, conflict,
    guard::Caller,
    input::{self, Body, Filter, Limit, Optional, Seconds, Time, nullable},
    store_fault,
};
use crate::{
    access::{self, unix_now},
    broadcasts::{About, BroadcastObject, Change, CreateError, Status, Wish},
    config::Scope,
    problem::Problem,
    server::Server,
};

/// Characters of a title: more than any page shows.
const TITLE: usize = 256;

/// The longest resume window in seconds, as in the configuration.
const WINDOW_S: u64 = 1800;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those in this state.
    state: Option<String>,
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

/// All broadcasts, newest first.
#[utoipa::path(get, operation_id = "list_broadcasts", path = "/api/v1/broadcasts", tag = "broadcasts", params(Which),
    responses((status = 200, body = Page<BroadcastObject>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Filter(which): Filter<Which>,
) -> Result<Json<Page<BroadcastObject>>, Problem> {
    let filter = kaibo_store::Filter {
        state: which.state,
        app: which.app.as_deref().map(input::name).transpose()?,
        stream: which.stream.as_deref().map(input::name).transpose()?,
        cursor: input::cursor(which.cursor)?,
        limit: which.limit.0,
    };
    let (found, next) = server.broadcasts.list(&server, filter).await.map_err(|error| store_fault(&error))?;
    let items = found.iter().map(|status| show(&server, &caller, status)).collect();
    Ok(Json(Page { items, next_cursor: next.map(|next| next.to_string()) }))
}

/// The id in a path.
pub struct Id(pub BroadcastId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // What can't be an id names no broadcast either.
        let Path(id) = Path::from_request_parts(parts, state).await.map_err(|_| no_broadcast())?;
        Ok(Self(id))
    }
}

/// One broadcast.
#[utoipa::path(get, operation_id = "get_broadcast", path = "/api/v1/broadcasts/{id}", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = BroadcastObject), (status = 404, description = "`no_such_broadcast`")))]
pub async fn one(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<BroadcastObject>, Problem> {
    object(&server, &caller, &id).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBroadcast)]
pub struct New {
    /// `live` unless said otherwise.
    #[serde(default = "input::default_app")]
    #[schema(default = "live")]
    app: String,
    stream: String,
    #[serde(default)]
    #[schema(max_length = 256)]
    title: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    planned_start: Option<Time>,
    /// A broadcast that has not started by then never will.
    #[schema(value_type = Option<String>, format = DateTime)]
    planned_end: Option<Time>,
    /// Public with the first keyframe, rather than by `start`.
    #[serde(default)]
    auto_start: bool,
    /// Keep a replay; as configured unless said otherwise.
    record: Option<bool>,
    /// Whoever has the replay's address may watch it; as configured unless said otherwise.
    replay_public: Option<bool>,
    /// How long it waits for its publisher to come back, 0 to 1800; as configured unless said otherwise.
    #[schema(maximum = 1800)]
    #[schema(value_type = Option<u64>)]
    resume_window_s: Option<Seconds>,
}

/// Makes a broadcast, which waits for its publisher.
#[utoipa::path(post, operation_id = "create_broadcast", path = "/api/v1/broadcasts", tag = "broadcasts", request_body = New,
    responses((status = 201, body = BroadcastObject),
        (status = 409, description = "`name_taken`: the stream has a broadcast that is not over; `banned`"),
        (status = 429, description = "`quota_exceeded`: the app has begun `broadcast.max_per_day` broadcasts within 24 \
            hours; `too_many_broadcasts`: `limits.broadcasts` are not over")))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<BroadcastObject>), Problem> {
    let (app, stream) = (input::app(&new.app)?, input::name(&new.stream)?);
    let plan = Plan {
        auto_start: new.auto_start,
        planned_start: new.planned_start.map(|at| at.0),
        planned_end: new.planned_end.map(|at| at.0),
    };
    makes_sense(&server, &plan)?;
    fits(&new.title)?;
    let resume_window = new.resume_window_s.map(|Seconds(window)| window);
    if resume_window.is_some_and(|window| window > WINDOW_S) {
        return Err(Problem::invalid(format!("resume_window_s is more than {WINDOW_S}")));
    }
    if server.bans.until(&app, &stream, server.clock.now()).is_some() {
        return Err(refused(CommandConflict::Banned));
    }
    let replay_public = server.app_settings(app.as_ref()).record.public;
    let wish = Wish {
        app,
        stream,
        about: About::new(new.title, new.record, !new.replay_public.unwrap_or(replay_public)),
        plan,
        resume_window: resume_window.map(Duration::from_secs),
    };
    let made = server.broadcasts.create(&server, wish).await.map_err(|error| match error {
        CreateError::Store(error @ StoreError::NameTaken { .. }) => conflict("name_taken", error.to_string()),
        CreateError::Store(error) => store_fault(&error),
        CreateError::Quota => too_many("quota_exceeded", error.to_string()),
        CreateError::TooMany => too_many("too_many_broadcasts", error.to_string()),
    })?;
    Ok((StatusCode::CREATED, Json(show(&server, &caller, &made.status()))))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Also while nothing is pushed: the publisher then has the resume window to begin.
    #[serde(default)]
    force: bool,
}

/// Makes it public, from the next keyframe on.
#[utoipa::path(post, operation_id = "start_broadcast", path = "/api/v1/broadcasts/{id}/start", tag = "broadcasts", params(("id" = String, Path)),
    request_body = Option<Start>,
    responses((status = 200, body = BroadcastObject), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`nothing_pushed`, `paused`, `banned` or `over`")))]
pub async fn start(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Optional(Start { force }): Optional<Start>,
) -> Result<Json<BroadcastObject>, Problem> {
    command(&server, &caller, &id, Event::Start { force }).await
}

/// Ends it. Stopping one that is over changes nothing and succeeds.
#[utoipa::path(post, operation_id = "stop_broadcast", path = "/api/v1/broadcasts/{id}/stop", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = BroadcastObject), (status = 404, description = "`no_such_broadcast`")))]
pub async fn stop(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<BroadcastObject>, Problem> {
    if let Some(broadcast) = server.broadcasts.get(&id) {
        // The only conflict that `stop` can meet is that it is over already.
        let _ = broadcast.control(Event::Stop).await;
    }
    object(&server, &caller, &id).await
}

/// Shows and records nothing until `resume`.
#[utoipa::path(post, operation_id = "pause_broadcast", path = "/api/v1/broadcasts/{id}/pause", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = BroadcastObject), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_started`, `interrupted`, `banned` or `over`")))]
pub async fn pause(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<BroadcastObject>, Problem> {
    command(&server, &caller, &id, Event::Pause).await
}

/// Ends a pause. While the publisher is away: a fresh push URL for the one that is to come.
#[utoipa::path(post, operation_id = "resume_broadcast", path = "/api/v1/broadcasts/{id}/resume", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = BroadcastObject), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_started`, `banned` or `over`")))]
pub async fn resume(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<BroadcastObject>, Problem> {
    command(&server, &caller, &id, Event::Resume).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BroadcastChange)]
pub struct Patch {
    #[schema(max_length = 256)]
    title: Option<String>,
    /// Whoever has the replay's address may watch it. Otherwise it takes a preview token. Its clips and versions follow.
    replay_public: Option<bool>,
    /// `null`: none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, format = DateTime)]
    planned_start: Option<Option<Time>>,
    /// `null`: none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, format = DateTime)]
    planned_end: Option<Option<Time>>,
}

/// Changes its title or who may see its replay, at any time, or when it is planned, until it is over. What is left out stays.
#[utoipa::path(patch, operation_id = "change_broadcast", path = "/api/v1/broadcasts/{id}", tag = "broadcasts", params(("id" = String, Path)),
    request_body = Patch,
    responses((status = 200, body = BroadcastObject), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`over`")))]
pub async fn change(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(patch): Body<Patch>,
) -> Result<Json<BroadcastObject>, Problem> {
    let change = Change {
        title: patch.title,
        replay_public: patch.replay_public,
        planned_start: patch.planned_start.map(|at| at.map(|at| at.0)),
        planned_end: patch.planned_end.map(|at| at.map(|at| at.0)),
    };
    let status = status(&server, &id).await?;
    if change.planned_start.is_some() || change.planned_end.is_some() {
        let Plan { auto_start, planned_start, planned_end } = status.plan;
        makes_sense(
            &server,
            &Plan {
                auto_start,
                planned_start: change.planned_start.unwrap_or(planned_start),
                planned_end: change.planned_end.unwrap_or(planned_end),
            },
        )?;
    }
    change.title.as_deref().map(fits).transpose()?;
    let replay_public = change.replay_public;
    match (server.broadcasts.get(&id), change) {
        (Some(broadcast), change) => broadcast.change(change).await.map_err(refused)?,
        (None, Change { title, replay_public, planned_start: None, planned_end: None }) => {
            let changed = server.broadcasts.change_past(&server, &id, title, replay_public).await;
            changed.map_err(|error| store_fault(&error))?;
        }
        (None, _) => return Err(refused(CommandConflict::Over)),
    }
    if let Some(public) = replay_public {
        let published = server.clips.publish(&server, &id, public).await;
        published.map_err(|error| store_fault(&error))?;
    }
    object(&server, &caller, &id).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct With {
    /// Delete its clips and edited versions as well. Those of one that ended by a ban always go with it.
    #[serde(default)]
    clips: bool,
}

/// Deletes it for good, with its replay.
#[utoipa::path(delete, operation_id = "delete_broadcast", path = "/api/v1/broadcasts/{id}", tag = "broadcasts",
    params(("id" = String, Path), With),
    responses((status = 204), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_over`: stop it first")))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Id(id): Id,
    Filter(with): Filter<With>,
) -> Result<StatusCode, Problem> {
    let known = status(&server, &id).await?;
    if !known.state.is_final() {
        return Err(conflict("not_over", "the broadcast is not over; stop it first"));
    }
    if with.clips || known.state.is_withheld() {
        clips::deleted(server.clips.delete_all_of(&server, &id).await)?;
    }
    server.broadcasts.forget(&server, &known).await;
    server.recordings.delete(&id).await.map_err(|error| {
        tracing::error!(broadcast = %id, %error, "can't delete a replay");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage", "the replay can't be deleted now; try again")
    })?;
    server.store.ask(move |store| store.delete(&id)).await.map_err(|error| store_fault(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn command(
    server: &Server,
    caller: &Caller,
    id: &BroadcastId,
    event: Event,
) -> Result<Json<BroadcastObject>, Problem> {
    match server.broadcasts.get(id) {
        Some(broadcast) => broadcast.control(event).await.map_err(refused)?,
        // Either there is none, or it is over.
        None => {
            status(server, id).await?;
            return Err(refused(CommandConflict::Over));
        }
    }
    object(server, caller, id).await
}

/// 409 for a command that does not fit the state.
pub fn refused(why: CommandConflict) -> Problem {
    let code = match why {
        CommandConflict::NothingPushed => "nothing_pushed",
        CommandConflict::NotStarted => "not_started",
        CommandConflict::Interrupted => "interrupted",
        CommandConflict::Paused => "paused",
        CommandConflict::Banned => "banned",
        CommandConflict::Over => "over",
    };
    conflict(code, why.to_string())
}

async fn object(
    server: &Server,
    caller: &Caller,
    id: &BroadcastId,
) -> Result<Json<BroadcastObject>, Problem> {
    let status = status(server, id).await?;
    Ok(Json(show(server, caller, &status)))
}

pub async fn status(server: &Server, id: &BroadcastId) -> Result<Arc<Status>, Problem> {
    let status = server.broadcasts.status(server, id).await.map_err(|error| store_fault(&error))?;
    status.ok_or_else(no_broadcast)
}

/// A broadcast for `caller`: whoever has a push URL can push.
fn show(server: &Server, caller: &Caller, status: &Status) -> BroadcastObject {
    let at = server.public_addresses();
    let object = status.to_api(&at, server.clock.now());
    if status.state.is_final() || !caller.may(Scope::Control) {
        return object;
    }
    let Status { app, stream, plan, .. } = status;
    // By the wall clock, as keys are.
    let now = unix_now();
    let longest = server.access.longest_push(app).map(|longest| now + longest);
    let expires = plan.push_url_expiry(now);
    let expires = longest.map_or(expires, |longest| expires.min(longest));
    object.with_push(access::push_url(&server.access, &at, app, stream, expires))
}

fn too_many(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
}

fn no_broadcast() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_broadcast", "there is no broadcast of this id")
}

fn makes_sense(server: &Server, plan: &Plan) -> Result<(), Problem> {
    let Some(end) = plan.planned_end else { return Ok(()) };
    if end <= server.clock.now() {
        return Err(Problem::invalid("planned_end has passed"));
    }
    if plan.planned_start.is_some_and(|start| end <= start) {
        return Err(Problem::invalid("planned_end is not after planned_start"));
    }
    Ok(())
}

pub fn fits(title: &str) -> Result<(), Problem> {
    match title.chars().count() > TITLE {
        true => Err(Problem::invalid(format!("title has more than {TITLE} characters"))),
        false => Ok(()),
    }
}
