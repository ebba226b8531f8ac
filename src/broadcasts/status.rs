//! What is known of a broadcast at one moment.

use kaibo_broadcast::{App, Broadcast, BroadcastId, Fingerprint, Millis, Origin, PushState, State, Stream};
use kaibo_store::{Error as StoreError, Record};
use serde::{Deserialize, Serialize};

use crate::{
    access::{Addresses, PlayUrls, play_urls, rfc3339},
    live::Live,
};

/// The owner of every broadcast, and since when: there is one node.
const NODE: &str = "local";
const FIRST_OWNER: u64 = 1;

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
        Self::with(broadcast, Extra::of(live), now)
    }

    /// What the store keeps of a broadcast.
    pub fn to_record(broadcast: &Broadcast, live: &Live) -> Result<Record, StoreError> {
        // A struct of two plain fields always has a JSON form.
        let extra = serde_json::to_string(&Extra::of(live)).unwrap_or_default();
        Ok(Record { extra, ..Record::new(broadcast, NODE, FIRST_OWNER)? })
    }

    /// A broadcast as the store knows it.
    pub fn of_record(record: &Record, now: Millis) -> Result<Self, StoreError> {
        // Whatever a later version put there in another way is only of this much use.
        let extra = serde_json::from_str(&record.extra).unwrap_or_default();
        Ok(Self::with(&record.broadcast()?, extra, now))
    }

    fn with(broadcast: &Broadcast, extra: Extra, now: Millis) -> Self {
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
            size: extra.size,
            recorded: extra.recorded,
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

/// What is stored of a broadcast beside its state machine.
#[derive(Default, Serialize, Deserialize)]
struct Extra {
    recorded: bool,
    size: Option<(u32, u32)>,
}

impl Extra {
    fn of(live: &Live) -> Self {
        let tracks = live.tracks();
        let video = tracks.as_ref().and_then(|tracks| tracks.video.as_ref());
        Self { recorded: live.is_recorded(), size: video.map(|video| (video.width, video.height)) }
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
