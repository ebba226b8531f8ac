//! `/broadcasts/ID/timeline`, and how callers name stretches of what is recorded.

use std::sync::Arc;

use axum::{Json, extract::State};
use kaibo_broadcast::{BroadcastId, CommandConflict, Millis};
use kaibo_media::{Timestamp, UnixMillis};
use kaibo_replay::{BadEdit, Edit, Error, Stretch};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    broadcasts::{self, Id},
    clips::nothing_recorded,
    conflict,
    input::{MediaTime, Time},
};
use crate::{
    access::{rfc3339, unix_now},
    broadcasts::Status,
    problem::Problem,
    recorder::{
        Replay,
        timeline::{self, media_from, media_until, stretches},
    },
    server::Server,
};

/// A recording that something is to be cut out of.
pub struct Source {
    pub replay: Replay,
    pub timeline: Vec<timeline::Stretch>,
    /// Where the broadcast's timeline has got to: what is before that is recorded, or about to be.
    end: Timestamp,
}

impl Source {
    /// That of the broadcast `id`.
    pub async fn of(server: &Server, id: &BroadcastId) -> Result<Self, Problem> {
        let recording = id.as_ref().parse().map_err(|_| not_recorded())?;
        let replay = server.recordings.find(&recording).await.map_err(|error| unreadable(&error))?;
        let mut timeline = replay.read(stretches);
        let recorded = replay.end();
        let end = match (&replay, server.broadcasts.get(id)) {
            (Replay::Growing(growing), _) => growing.live.end_of_timeline().max(recorded),
            (Replay::Final(_), Some(handle)) if !replay.is_final() => handle.live().end_of_timeline(),
            _ => recorded,
        };
        // What is being recorded goes on with the newest stretch.
        if let Some(last) = timeline.last_mut() {
            last.duration = end - last.media;
        }
        Ok(Self { replay, timeline, end })
    }

    /// That of a broadcast that is public now, and recorded.
    pub async fn going_on(server: &Server, status: &Status) -> Result<Self, Problem> {
        if status.state.is_final() {
            return Err(broadcasts::refused(CommandConflict::Over));
        }
        if status.started_at.is_none() {
            return Err(broadcasts::refused(CommandConflict::NotStarted));
        }
        let source = Self::of(server, &status.id).await?;
        if source.replay.is_final() { Err(broadcasts::refused(CommandConflict::Over)) } else { Ok(source) }
    }

    /// Its end; of what is final, behind the last frame, wherever its millisecond is rounded to.
    pub fn end_ms(&self) -> i64 {
        self.end.as_millis() + i64::from(self.replay.is_final())
    }

    /// A stretch, each end in media time or by the wall clock.
    pub fn stretch(
        &self,
        from: (Option<MediaTime>, Option<Time>),
        to: (Option<MediaTime>, Option<Time>),
    ) -> Result<(i64, i64), Problem> {
        let from = match from {
            (Some(MediaTime(from)), None) => from,
            (None, Some(Time(from))) => {
                media_from(&self.timeline, UnixMillis(from.0)).map_or(i64::MAX, Timestamp::as_millis)
            }
            _ => return Err(Problem::invalid("either from_ms or from is needed")),
        };
        let to = match to {
            (Some(MediaTime(to)), None) => to,
            // It comes at its time, and then it is known where.
            (None, Some(Time(to))) if !self.replay.is_final() && to > unix_now() => i64::MAX,
            (None, Some(Time(to))) => {
                media_until(&self.timeline, UnixMillis(to.0)).map_or(0, Timestamp::as_millis)
            }
            _ => return Err(Problem::invalid("either to_ms or to is needed")),
        };
        if to > self.end_ms() && !self.replay.is_final() {
            let detail = format!("it ends in the future; {} ms are broadcast so far", self.end_ms());
            return Err(conflict("not_yet", detail));
        }
        let to = to.min(self.end_ms());
        if from >= self.end_ms() {
            return Err(nothing_recorded());
        }
        if to <= from {
            return Err(Problem::invalid("it ends before it begins"));
        }
        Ok((from, to))
    }

    /// Something is recorded of `stretches`, or may yet be.
    pub fn shows_something(&self, stretches: &[(i64, i64)]) -> Result<(), Problem> {
        let recorded = self.replay.end();
        let at = Timestamp::from_millis;
        let wanted = stretches.iter().map(|(from, to)| Stretch { from: at(*from), to: at(*to) });
        let edit = Edit::new(wanted).map_err(bad_edit)?;
        let waits = edit.stretches().iter().any(|stretch| stretch.to > recorded) && !self.replay.is_final();
        let shown = self.replay.read(|segments| edit.pieces(segments).next().is_some());
        if waits || shown { Ok(()) } else { Err(nothing_recorded()) }
    }
}

/// 422, or 409 where nothing is left.
pub fn bad_edit(error: BadEdit) -> Problem {
    match error {
        BadEdit::Nothing => nothing_recorded(),
        error => Problem::invalid(error.to_string()),
    }
}

fn not_recorded() -> Problem {
    conflict("not_recorded", "there is no replay of this broadcast")
}

fn unreadable(error: &Error) -> Problem {
    if let Error::Missing(_) = error {
        return not_recorded();
    }
    tracing::error!(%error, "can't read a recording");
    Problem::new(
        axum::http::StatusCode::SERVICE_UNAVAILABLE,
        "storage",
        "the replay can't be read; try again",
    )
}

/// When what was broadcast was.
#[derive(Serialize, ToSchema)]
pub struct Timeline {
    stretches: Vec<TimelineStretch>,
}

/// A stretch in which all three clocks go on together.
#[derive(Serialize, ToSchema)]
struct TimelineStretch {
    /// The wall clock at its beginning.
    #[schema(format = DateTime)]
    wall: String,
    /// The broadcast's own timeline there: what players of live streams see, and what clips are cut by.
    media_ms: i64,
    /// The position in the replay; of a held stretch, where the replay goes on.
    replay_ms: i64,
    duration_ms: i64,
    /// The publisher was away: no part of the replay.
    held: bool,
}

/// The wall clock, media time and the replay's position, as far as the broadcast is recorded.
#[utoipa::path(get, operation_id = "get_timeline", path = "/api/v1/broadcasts/{id}/timeline", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = Timeline), (status = 404, description = "`no_such_broadcast`"),
        (status = 409, description = "`not_recorded`: there is no replay")))]
pub async fn show(State(server): State<Arc<Server>>, Id(id): Id) -> Result<Json<Timeline>, Problem> {
    broadcasts::status(&server, &id).await?;
    let recording = id.as_ref().parse().map_err(|_| not_recorded())?;
    let replay = server.recordings.find(&recording).await.map_err(|error| unreadable(&error))?;
    let stretch = |stretch: timeline::Stretch| TimelineStretch {
        wall: rfc3339(Millis(stretch.wall.0)),
        media_ms: stretch.media.as_millis(),
        replay_ms: stretch.replay.as_millis(),
        duration_ms: stretch.duration.as_millis(),
        held: stretch.held,
    };
    Ok(Json(Timeline { stretches: replay.read(stretches).into_iter().map(stretch).collect() }))
}
