//! `/broadcasts/ID/events`: timed events, which viewers get with the media that they belong to.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
};
use kaibo_broadcast::{CommandConflict, Millis, State as Phase};
use kaibo_media::{Cue, MOST_PAYLOAD, Timestamp, UnixMillis, is_kind};
use kaibo_replay::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Page,
    broadcasts::{Id, refused, status},
    conflict,
    input::{self, Body, Filter, Limit, Time},
};
use crate::{
    access::rfc3339,
    live::{Accepted, Untold, When, Wish},
    problem::Problem,
    server::Server,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTimedEvent)]
pub struct New {
    /// What it is, for those who show it: `product`, `coupon`, `notice` …
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    kind: String,
    /// Any JSON of 8 KiB at the most, written without spaces.
    #[serde(default)]
    #[schema(value_type = Value)]
    payload: Value,
    /// When by the wall clock: up to an hour ahead. Without this and `at_ms`: now.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Time>,
    /// When on the broadcast's timeline, in milliseconds.
    #[schema(minimum = 0)]
    at_ms: Option<i64>,
}

/// A timed event.
#[derive(Serialize, ToSchema)]
pub struct TimedEvent {
    /// Never given twice; the same in every output.
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[schema(value_type = Value)]
    payload: Value,
    /// Where on the broadcast's timeline; none yet of one that waits for the wall clock.
    media_ms: Option<i64>,
    /// When by the wall clock; none yet of one that waits for the timeline.
    #[schema(format = DateTime)]
    at: Option<String>,
}

impl TimedEvent {
    /// One that was told.
    pub fn of(cue: &Cue) -> Self {
        Self {
            id: cue.id.to_string(),
            kind: cue.kind.to_string(),
            payload: serde_json::from_str(&cue.payload).unwrap_or_default(),
            media_ms: Some(cue.at.as_millis()),
            at: Some(rfc3339(Millis(cue.wall.0))),
        }
    }
}

/// Tells viewers something at a media time: in FLV and RTMP a script tag `onTimedEvent`, in HLS ID3 (`emsg` or PES) and
/// `EXT-X-DATERANGE`, and `event: timed` of the status stream. It is in the replay with the media that carries it, and
/// not stored before: an event that waits is lost if the server stops.
#[utoipa::path(post, operation_id = "tell_timed_event", path = "/api/v1/broadcasts/{id}/events", tag = "broadcasts",
    params(("id" = String, Path)), request_body = New,
    responses((status = 201, body = TimedEvent, description = "It is told, or waits for its time"),
        (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_started`, `nothing_pushed`, `paused`, `banned`, `over`; `too_late`: its time was \
            more than 3 s ago; `too_far_ahead`: it is more than an hour ahead; `too_many_events`: 4,320 events or 2 MiB are \
            kept of a broadcast, and 100 may wait"),
        (status = 429, description = "`too_fast`: more than 10 events within a second")))]
pub async fn tell(
    State(server): State<Arc<Server>>,
    Id(id): Id,
    Body(New { kind, payload, at, at_ms }): Body<New>,
) -> Result<(StatusCode, Json<TimedEvent>), Problem> {
    if !is_kind(&kind) {
        return Err(Problem::invalid("type is not 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`"));
    }
    let text = payload.to_string();
    if text.len() > MOST_PAYLOAD {
        return Err(Problem::invalid(format!("payload has more than {MOST_PAYLOAD} bytes")));
    }
    let when = match (at, at_ms) {
        (None, None) => When::Now,
        (Some(Time(at)), None) => When::Wall(UnixMillis(at.0)),
        (None, Some(at_ms @ 0..)) => When::Media(Timestamp::from_millis(at_ms.min(LATEST))),
        (None, Some(_)) => return Err(Problem::invalid("at_ms is negative")),
        (Some(_), Some(_)) => return Err(Problem::invalid("at and at_ms are two times")),
    };
    let Some(broadcast) = server.broadcasts.get(&id) else {
        status(&server, &id).await?;
        return Err(refused(CommandConflict::Over));
    };
    match broadcast.status().state {
        Phase::Live | Phase::Interrupted { .. } => {}
        Phase::Created | Phase::Preview => return Err(refused(CommandConflict::NotStarted)),
        Phase::Paused => return Err(refused(CommandConflict::Paused)),
        Phase::Banned { .. } => return Err(refused(CommandConflict::Banned)),
        Phase::Ended { .. } | Phase::Expired => return Err(refused(CommandConflict::Over)),
    }
    let wish = Wish { kind: kind.clone(), payload: text, when };
    let Accepted { id, at, wall } =
        broadcast.live().tell(wish, UnixMillis(server.clock.now().0)).map_err(untold)?;
    let told = TimedEvent {
        id: id.to_string(),
        kind,
        payload,
        media_ms: at.map(Timestamp::as_millis),
        at: wall.map(|wall| rfc3339(Millis(wall.0))),
    };
    Ok((StatusCode::CREATED, Json(told)))
}

/// 1,000 years: no broadcast comes so far, and no time of it is out of bounds.
const LATEST: i64 = 1000 * 365 * 86_400_000;

fn untold(why: Untold) -> Problem {
    let code = match why {
        Untold::NoMedia => "nothing_pushed",
        Untold::TooLate => "too_late",
        Untold::TooFarAhead => "too_far_ahead",
        Untold::TooMany => "too_many_events",
        Untold::TooFast => {
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_fast", why.to_string())
                .with_header(header::RETRY_AFTER, "1");
        }
    };
    conflict(code, why.to_string())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 50 unless said otherwise, 200 at most.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
}

/// The timed events that were told in it, oldest first, with those that its encoder sent. Of a broadcast that is over those
/// in its replay.
#[utoipa::path(get, operation_id = "list_timed_events", path = "/api/v1/broadcasts/{id}/events", tag = "broadcasts",
    params(("id" = String, Path), Which),
    responses((status = 200, body = Page<TimedEvent>), (status = 404, description = "`no_such_broadcast`")))]
pub async fn list(
    State(server): State<Arc<Server>>,
    Id(id): Id,
    Filter(Which { cursor, limit: Limit(limit) }): Filter<Which>,
) -> Result<Json<Page<TimedEvent>>, Problem> {
    let from = input::cursor(cursor)?.and_then(|from| usize::try_from(from).ok()).unwrap_or(0);
    // One more says whether there is another page.
    let found = match server.broadcasts.get(&id) {
        Some(broadcast) => broadcast.live().told().after(from, limit + 1),
        None => {
            status(&server, &id).await?;
            recorded(&server, id.as_ref()).await?.into_iter().skip(from).take(limit + 1).collect()
        }
    };
    let next_cursor = (found.len() > limit).then(|| from.saturating_add(limit).to_string());
    let items = found.iter().take(limit).map(|cue| TimedEvent::of(cue)).collect();
    Ok(Json(Page { items, next_cursor }))
}

async fn recorded(server: &Server, id: &str) -> Result<Vec<Arc<Cue>>, Problem> {
    let Ok(id) = id.parse() else { return Ok(Vec::new()) };
    match server.recordings.find(&id).await {
        Ok(replay) => Ok(replay.cues()),
        Err(Error::Missing(_)) => Ok(Vec::new()),
        Err(error) => {
            tracing::error!(recording = %id, %error, "can't read the events of a recording");
            Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage",
                "the replay can't be read now; try again",
            ))
        }
    }
}
