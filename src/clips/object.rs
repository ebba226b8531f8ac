//! Clips and versions, as the API and the webhooks tell of them.

use kaibo_broadcast::{App, BroadcastId, Millis, Stream};
use kaibo_store::{Clip, ClipKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Cut, Passage};
use crate::access::{Addresses, rfc3339};

/// What there is of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being marked: its end is not known.
    Recording,
    /// Its end is known, and not recorded.
    Waiting,
    Ready,
    /// Nothing of it was recorded.
    Failed,
}

impl State {
    pub fn of(clip: &Clip) -> Option<Self> {
        let all = [Self::Recording, Self::Waiting, Self::Ready, Self::Failed];
        all.into_iter().find(|state| state.name() == clip.state)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// A clip.
#[derive(Serialize, ToSchema)]
#[schema(as = Clip)]
pub struct ClipObject {
    #[serde(flatten)]
    film: FilmObject,
    #[serde(flatten)]
    passage: PassageObject,
}

/// An edited version of a replay.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
pub struct VersionObject {
    #[serde(flatten)]
    film: FilmObject,
    /// What is left.
    stretches: Vec<PassageObject>,
}

/// What was cut out of a broadcast.
#[derive(Serialize, ToSchema)]
#[schema(as = Film)]
struct FilmObject {
    #[schema(value_type = String)]
    id: BroadcastId,
    /// That it was cut out of.
    #[schema(value_type = String)]
    broadcast: BroadcastId,
    #[schema(value_type = String, example = "live")]
    app: App,
    #[schema(value_type = String, example = "room1")]
    stream: Stream,
    title: String,
    /// `recording` (a clip until `stop`), `waiting` (for its last segment), `ready`, or `failed`: nothing of it was
    /// recorded, or is left.
    state: String,
    /// Whoever has its address may watch it; otherwise it takes a preview token of the broadcast.
    public: bool,
    /// It begins with just this picture, rather than with the keyframe before it; so does each stretch of a version.
    precise: bool,
    /// Without what filled the time while the publisher was away.
    duration_ms: Option<i64>,
    /// None until it is ready.
    urls: Option<Urls>,
    #[schema(format = DateTime)]
    created_at: String,
}

impl FilmObject {
    fn of(clip: &Clip, cut: &Cut, at: &Addresses) -> Self {
        Self {
            id: clip.id.clone(),
            broadcast: clip.broadcast.clone(),
            app: clip.app.clone(),
            stream: clip.stream.clone(),
            title: clip.title.clone(),
            state: clip.state.clone(),
            public: clip.public,
            precise: cut.precise,
            duration_ms: cut.duration_ms,
            urls: urls(clip, at),
            created_at: rfc3339(clip.created_at),
        }
    }
}

/// A stretch of a broadcast.
#[derive(Serialize, ToSchema)]
#[schema(as = Stretch)]
struct PassageObject {
    /// Media time: the broadcast's own timeline.
    from_ms: i64,
    /// Not part of it any more.
    to_ms: Option<i64>,
    /// The same by the wall clock.
    #[schema(format = DateTime)]
    from: Option<String>,
    #[schema(format = DateTime)]
    to: Option<String>,
}

impl From<Passage> for PassageObject {
    fn from(Passage { from_ms, to_ms, from, to }: Passage) -> Self {
        let time = |at: Option<i64>| at.map(|at| rfc3339(Millis(at)));
        Self { from_ms, to_ms, from: time(from), to: time(to) }
    }
}

/// Where it is watched.
#[derive(Serialize, ToSchema)]
#[schema(as = ClipUrls)]
struct Urls {
    hls: String,
    /// All of it as one file, which begins and ends to the frame.
    mp4: String,
}

fn urls(clip: &Clip, at: &Addresses) -> Option<Urls> {
    let folder = match clip.kind {
        ClipKind::Clip => "clip",
        ClipKind::Version => "replay",
    };
    let ready = State::of(clip) == Some(State::Ready);
    let url = |form| format!("{}/{folder}/{}.{form}", at.http, clip.id);
    ready.then(|| Urls { hls: url("m3u8"), mp4: url("mp4") })
}

impl ClipObject {
    pub fn new(clip: &Clip, at: &Addresses) -> Self {
        let cut = Cut::of(clip);
        let passage = cut.passages.first().copied().unwrap_or_default().into();
        Self { film: FilmObject::of(clip, &cut, at), passage }
    }
}

impl VersionObject {
    pub fn new(clip: &Clip, at: &Addresses) -> Self {
        let cut = Cut::of(clip);
        let film = FilmObject::of(clip, &cut, at);
        Self { film, stretches: cut.passages.into_iter().map(Into::into).collect() }
    }
}
