//! What is known of a broadcast at one moment.

use kaibo_broadcast::{App, Broadcast, BroadcastId, Fingerprint, Millis, Origin, PushState, State, Stream};
use serde::Serialize;

use crate::{
    access::{Addresses, PlayUrls, play_urls, rfc3339},
    live::Live,
};

/// A broadcast at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub id: BroadcastId,
    pub app: App,
    pub stream: Stream,
    pub origin: Origin,
    pub state: State,
    pub push_state: PushState,
    pub created_at: Millis,
    pub started_at: Option<Millis>,
    pub resume_deadline: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub resumes: u32,
    /// Width and height of the picture, once known.
    pub size: Option<(u32, u32)>,
    /// There is, or will be, a replay.
    pub recorded: bool,
    /// Credentials that may not open another broadcast of this name.
    pub barred: Vec<Fingerprint>,
}

impl Status {
    pub fn of(broadcast: &Broadcast, live: &Live, now: Millis) -> Self {
        let tracks = live.tracks();
        Self {
            id: broadcast.id().clone(),
            app: broadcast.app().clone(),
            stream: broadcast.stream().clone(),
            origin: broadcast.origin(),
            state: broadcast.state(),
            push_state: broadcast.push_state(now),
            created_at: broadcast.created_at(),
            started_at: broadcast.started_at(),
            resume_deadline: broadcast.resume_deadline(),
            ended_at: broadcast.ended_at(),
            resumes: broadcast.resumes(),
            size: tracks.and_then(|tracks| tracks.video.as_ref().map(|video| (video.width, video.height))),
            recorded: live.is_recorded(),
            barred: broadcast.barred().to_vec(),
        }
    }

    /// When its publisher went away, while it is away.
    pub fn interrupted_at(&self) -> Option<Millis> {
        match self.state {
            State::Interrupted { since, .. } => Some(since),
            _ => None,
        }
    }

    /// The broadcast object of the API.
    pub fn to_api(&self, at: &Addresses, now: Millis) -> Object {
        let ended = self.ended_at;
        Object {
            id: self.id.clone(),
            app: self.app.clone(),
            stream: self.stream.clone(),
            state: self.state.name(),
            live_status: self.state.live_status(),
            push_state: self.push_state,
            created_at: rfc3339(self.created_at),
            started_at: self.started_at.map(rfc3339),
            interrupted_at: self.interrupted_at().map(rfc3339),
            resume_deadline: self.resume_deadline.map(rfc3339),
            ended_at: ended.map(rfc3339),
            end_reason: match self.state {
                State::Ended { reason } => Some(reason.name()),
                _ => None,
            },
            resumes: self.resumes,
            duration_ms: self.started_at.map(|started| ended.unwrap_or(now).0.saturating_sub(started.0)),
            play: play_urls(at, &self.app, &self.stream),
            replay: self.recorded.then(|| Replay {
                status: if ended.is_some() { "ready" } else { "recording" },
                hls: format!("{}/replay/{}.m3u8", at.http, self.id),
            }),
        }
    }
}

/// The broadcast object of `GET /broadcasts`.
#[derive(Serialize)]
pub struct Object {
    id: BroadcastId,
    app: App,
    stream: Stream,
    state: &'static str,
    live_status: u16,
    push_state: PushState,
    created_at: String,
    started_at: Option<String>,
    interrupted_at: Option<String>,
    resume_deadline: Option<String>,
    ended_at: Option<String>,
    end_reason: Option<&'static str>,
    resumes: u32,
    duration_ms: Option<i64>,
    play: PlayUrls,
    replay: Option<Replay>,
}

#[derive(Serialize)]
struct Replay {
    status: &'static str,
    hls: String,
}
