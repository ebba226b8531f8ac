//! What lies behind a live playlist's address and is not in memory: served from the recording, under the same names.

use std::slice;

use hyper::{Response, StatusCode};
use kaibo_broadcast::{App, BroadcastId};
use kaibo_hls::{Format, Shift};
use kaibo_replay::Id;

use super::{immutable, shifted};
use crate::{
    broadcasts::Handle,
    http::{Body, Call},
    output::{keep_private, replay, session},
    problem::Problem,
    recorder::{NoTs, Replay},
};

/// A file of a broadcast that is no longer in memory: viewers who are behind read on to its end. Nobody else does, so
/// there is no live playlist.
pub async fn file(
    call: &Call,
    app: &str,
    stream: &str,
    broadcast: &str,
    file: &str,
    (shift, query): (Option<Shift>, &str),
) -> Result<Response<Body>, Problem> {
    let found = replay::find(call, broadcast).await;
    let found =
        found.map_err(|problem| if problem.is_not_found() { Problem::not_found() } else { problem })?;
    let recorded = found.replay.excerpt().is_none();
    if !recorded || found.app.as_ref() != app || found.stream.as_ref() != stream {
        return Err(Problem::not_found());
    }
    session(call, &found.app, &found.broadcast, query)?;
    let past = Past { id: &found.id, replay: &found.replay };
    let mut response = match (file.rsplit_once('.'), shift) {
        (Some(("live", "m3u8")), Some(shift)) => {
            shifted::playlist(call, &found.app, &past, shift, Format::Fmp4, query).await
        }
        (Some(("ts", "m3u8")), Some(shift)) => {
            shifted::playlist(call, &found.app, &past, shift, Format::Ts, query).await
        }
        (Some((name, "m4s")), _) => past.segment(call, name).await,
        (Some((name, "ts")), _) => past.ts_segment(call, name).await,
        (Some((name, "mp4")), _) => past.init(call, name).await,
        _ => Err(Problem::not_found()),
    }?;
    keep_private(call, &found.app, &mut response);
    replay::count(call, &found, query, &response).await;
    Ok(response)
}

/// The recording of a broadcast that is in memory, if there is one. Where the replay is private, those who may watch the
/// broadcast live may look back only if the settings let them do so in the live playlist.
pub async fn of(call: &Call, app: &App, broadcast: &BroadcastId) -> Result<Option<(Id, Replay)>, Problem> {
    let server = &call.server;
    let private = server.broadcasts.get(broadcast).is_none_or(|known| known.status().replay_private);
    if private && server.app_settings(app.as_ref()).hls.dvr_window.0.is_zero() {
        let detail = "this replay is not public, and the live playlist doesn't reach back";
        return Err(Problem::new(StatusCode::FORBIDDEN, "replay_private", detail));
    }
    let id: Id = broadcast.as_ref().parse().map_err(|_| Problem::not_found())?;
    match server.recordings.find(&id).await {
        Ok(replay) => Ok(Some((id, replay))),
        Err(kaibo_replay::Error::Missing(_)) => Ok(None),
        Err(error) => Err(replay::fault(&id, &error)),
    }
}

/// What `shift` shows of a broadcast that is in memory.
pub async fn playlist(
    call: &Call,
    broadcast: &Handle,
    shift: Shift,
    format: Format,
    query: &str,
) -> Result<Response<Body>, Problem> {
    let (id, replay) = of(call, broadcast.app(), broadcast.id()).await?.ok_or_else(not_recorded)?;
    let past = Past { id: &id, replay: &replay };
    shifted::playlist(call, broadcast.app(), &past, shift, format, query).await
}

/// 404 for whoever wants to look back where nothing is recorded.
pub fn not_recorded() -> Problem {
    let detail = "this broadcast is not recorded, so nobody can look back";
    Problem::new(StatusCode::NOT_FOUND, "not_recorded", detail)
}

/// Whose past is asked for.
pub struct Past<'a> {
    pub id: &'a Id,
    pub replay: &'a Replay,
}

impl Past<'_> {
    pub async fn segment(&self, call: &Call, number: &str) -> Result<Response<Body>, Problem> {
        let segment = self.find(number)?;
        let bytes = call.server.recordings.segment(self.id, segment).await;
        let bytes = bytes.map_err(|error| replay::fault(self.id, &error))?;
        immutable(call, "video/mp4", number, &[bytes])
    }

    pub async fn ts_segment(&self, call: &Call, number: &str) -> Result<Response<Body>, Problem> {
        let segment = self.find(number)?;
        match call.server.recordings.ts_segment(self.id, segment).await {
            Ok(bytes) => immutable(call, "video/mp2t", number, &[bytes]),
            Err(NoTs::NotCarried(error)) => Err(super::not_carried(&error)),
            Err(NoTs::Unreadable(error)) => Err(replay::fault(self.id, &error)),
        }
    }

    pub async fn init(&self, call: &Call, name: &str) -> Result<Response<Body>, Problem> {
        let number = name.strip_prefix("init-").and_then(|number| number.parse().ok());
        let init = call.server.recordings.init(self.id, number.ok_or_else(Problem::not_found)?).await;
        let init = init.map_err(|error| replay::fault(self.id, &error))?.ok_or_else(Problem::not_found)?;
        immutable(call, "video/mp4", name, slice::from_ref(&init.bytes))
    }

    fn find(&self, number: &str) -> Result<kaibo_replay::Segment, Problem> {
        let number = number.parse().map_err(|_| Problem::not_found())?;
        self.replay.segment(number).ok_or_else(Problem::not_found)
    }
}
