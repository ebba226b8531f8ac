//! What is known of a broadcast at one moment.

use kaibo_broadcast::{
    App, Broadcast, BroadcastId, EndReason, Fingerprint, Millis, Origin, Plan, PushState, State, Stream,
};
use kaibo_replay::Recording;
use kaibo_store::{Error as StoreError, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{PushFacts, missing::Missing};
use crate::{
    access::{Addresses, PlayUrls, PushUrl, play_urls, rfc3339},
    live::{Kept, Live},
    snapshots::{Facts, SnapshotObject},
};

/// The owner of every broadcast, and since when: there is one node.
const NODE: &str = "local";
const FIRST_OWNER: u64 = 1;

/// What is said of a broadcast, beside its state machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// For people.
    pub title: String,
    /// Whether it is to be recorded, where that was said.
    pub record: Option<bool>,
    /// The newest accepted push.
    pub push: Option<PushFacts>,
    /// What was known before a restart: the size of the picture, and whether there is a recording.
    size: Option<(u32, u32)>,
    recorded: bool,
    /// What its recording had lost.
    missing: Vec<Missing>,
    /// Its replay is not for everybody.
    pub replay_private: bool,
    /// What a later version has stored with it, to be handed back to that version.
    more: Map<String, Value>,
}

impl About {
    pub fn new(title: String, record: Option<bool>, replay_private: bool) -> Self {
        Self { title, record, replay_private, ..Self::default() }
    }

    /// Of a broadcast that the store knows.
    pub fn of_record(record: &Record) -> Self {
        let Extra { recorded, missing, size, record: wish, push, replay_private, more } =
            Extra::of_record(record);
        Self {
            title: record.title.clone(),
            record: wish,
            push,
            size,
            recorded,
            missing,
            replay_private,
            more,
        }
    }
}

/// A broadcast at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub id: BroadcastId,
    pub app: App,
    pub stream: Stream,
    pub title: String,
    pub origin: Origin,
    pub plan: Plan,
    pub state: State,
    pub push_state: PushState,
    pub created_at: Millis,
    pub started_at: Option<Millis>,
    pub resume_deadline: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub resumes: u32,
    /// What viewers get while it waits for its publisher: `picture` or `idle`.
    pub hold: Option<&'static str>,
    /// Width and height of the picture, once known.
    pub size: Option<(u32, u32)>,
    /// There is a replay, or one is being written.
    pub recorded: bool,
    /// What is not in it.
    pub missing: Vec<Missing>,
    /// The replay is not for everybody.
    pub replay_private: bool,
    /// Credentials that may not open another broadcast of this name.
    pub barred: Vec<Fingerprint>,
    /// The newest snapshot that is in memory.
    pub snapshot: Option<Facts>,
}

impl Status {
    pub fn of(broadcast: &Broadcast, about: &About, live: &Live, now: Millis) -> Self {
        let snapshot = live.camera().facts();
        let status =
            Self::with(broadcast, about.title.clone(), Extra::of(about, live), live.is_holding(), now);
        Self { snapshot, ..status }
    }

    /// What the store keeps of a broadcast.
    pub fn to_record(broadcast: &Broadcast, about: &About, live: &Live) -> Result<Record, StoreError> {
        // A struct of plain fields always has a JSON form.
        let extra = serde_json::to_string(&Extra::of(about, live)).unwrap_or_default();
        Ok(Record { title: about.title.clone(), extra, ..Record::new(broadcast, NODE, FIRST_OWNER)? })
    }

    /// What the store is to keep of a broadcast that it has lost, or never had: what its `recording` tells of it. None of
    /// one that is not over, or was cut out of another.
    pub fn recorded(id: &BroadcastId, recording: &Recording, private: bool) -> Option<Record> {
        let (meta, finished) = (recording.meta(), recording.finished()?);
        if meta.excerpt.is_some() {
            return None;
        }
        let (app, stream) = (meta.app.parse().ok()?, meta.stream.parse().ok()?);
        let time = (Millis(meta.started.0), Millis(finished.wall.0));
        // Another word is that of a server which did not know the broadcast either.
        let reason = serde_json::from_value(finished.reason.as_str().into());
        let reason = reason.unwrap_or(EndReason::ResumeTimeout);
        let broadcast = Broadcast::recorded(id.clone(), app, stream, time, reason);
        let video = recording.inits().last().and_then(|init| init.tracks.video.as_ref());
        let extra = Extra {
            recorded: true,
            missing: recording.losses().iter().map(Missing::from).collect(),
            size: video.map(|video| (video.width, video.height)),
            replay_private: private,
            ..Extra::default()
        };
        Some(extra.in_record(Record::new(&broadcast, NODE, FIRST_OWNER).ok()?))
    }

    /// A broadcast as the store knows it.
    pub fn of_record(record: &Record, now: Millis) -> Result<Self, StoreError> {
        Ok(Self::with(&record.broadcast()?, record.title.clone(), Extra::of_record(record), false, now))
    }

    fn with(broadcast: &Broadcast, title: String, extra: Extra, holding: bool, now: Millis) -> Self {
        let waits = matches!(broadcast.state(), State::Interrupted { .. } | State::Paused);
        Self {
            id: broadcast.id().clone(),
            app: broadcast.app().clone(),
            stream: broadcast.stream().clone(),
            title,
            origin: broadcast.origin(),
            plan: broadcast.plan(),
            state: broadcast.state(),
            push_state: broadcast.push_state(now),
            created_at: broadcast.created_at(),
            started_at: broadcast.started_at(),
            resume_deadline: broadcast.resume_deadline(),
            ended_at: broadcast.ended_at(),
            resumes: broadcast.resumes(),
            hold: waits.then_some(if holding { "picture" } else { "idle" }),
            size: extra.size,
            recorded: extra.recorded,
            missing: extra.missing,
            replay_private: extra.replay_private,
            barred: broadcast.barred().to_vec(),
            snapshot: None,
        }
    }

    /// Everybody may know where its replay is.
    pub fn has_public_replay(&self) -> bool {
        self.recorded && !self.replay_private && !self.state.is_withheld()
    }

    /// The record of a broadcast that is over, with what can still be changed.
    pub fn changed(record: Record, title: Option<String>, replay_public: Option<bool>) -> Record {
        let record = match title {
            Some(title) => Record { title, ..record },
            None => record,
        };
        match replay_public {
            Some(public) => Extra { replay_private: !public, ..Extra::of_record(&record) }.in_record(record),
            None => record,
        }
    }

    /// The record of a broadcast whose replay is gone.
    pub fn without_replay(record: Record) -> Record {
        Extra { recorded: false, missing: Vec::new(), ..Extra::of_record(&record) }.in_record(record)
    }

    /// When its publisher went away, while it is away.
    pub fn interrupted_at(&self) -> Option<Millis> {
        match self.state {
            State::Interrupted { since, .. } => Some(since),
            _ => None,
        }
    }

    /// Viewers see the last picture, silent and still.
    pub fn is_holding(&self) -> bool {
        self.hold == Some("picture")
    }

    /// The broadcast object of the API.
    pub fn to_api(&self, at: &Addresses, now: Millis) -> BroadcastObject {
        let ended = self.ended_at;
        let withheld =
            matches!(self.state, State::Banned { .. } | State::Ended { reason: EndReason::Banned });
        let play = play_urls(at, &self.app, &self.stream);
        BroadcastObject {
            id: self.id.clone(),
            app: self.app.clone(),
            stream: self.stream.clone(),
            title: self.title.clone(),
            state: self.state.name(),
            live_status: self.state.live_status(),
            push_state: self.push_state.name(),
            created_at: rfc3339(self.created_at),
            planned_start: self.plan.planned_start.map(rfc3339),
            planned_end: self.plan.planned_end.map(rfc3339),
            started_at: self.started_at.map(rfc3339),
            interrupted_at: self.interrupted_at().map(rfc3339),
            resume_deadline: self.resume_deadline.map(rfc3339),
            ended_at: ended.map(rfc3339),
            end_reason: match self.state {
                State::Ended { reason } => Some(reason.name()),
                _ => None,
            },
            resumes: self.resumes,
            holding: self.is_holding(),
            hold: self.hold,
            duration_ms: self.started_at.map(|started| ended.unwrap_or(now).0.saturating_sub(started.0)),
            push: None,
            snapshot: self.snapshot.filter(|_| !withheld).map(|facts| facts.to_api(play.snapshot.clone())),
            play,
            replay: (self.recorded && !withheld).then(|| Replay {
                public: !self.replay_private,
                status: if ended.is_some() { "ready" } else { "recording" },
                hls: format!("{}/replay/{}.m3u8", at.http, self.id),
                cover: format!("{}/replay/{}.jpg", at.http, self.id),
                thumbnails: format!("{}/replay/{}/thumbnails.vtt", at.http, self.id),
                mp4: ended.is_some().then(|| format!("{}/replay/{}.mp4", at.http, self.id)),
                truncated: !self.missing.is_empty(),
                missing: self.missing.clone(),
            }),
        }
    }
}

/// What is stored of a broadcast beside its state machine.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Extra {
    recorded: bool,
    missing: Vec<Missing>,
    size: Option<(u32, u32)>,
    record: Option<bool>,
    push: Option<PushFacts>,
    replay_private: bool,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Extra {
    fn of(about: &About, live: &Live) -> Self {
        let tracks = live.tracks();
        let video = tracks.as_ref().and_then(|tracks| tracks.video.as_ref());
        let Kept { recorded, losses } = live.kept();
        let missing = losses.map(|losses| losses.iter().map(Missing::from).collect());
        Self {
            recorded: about.recorded || recorded,
            missing: missing.unwrap_or_else(|| about.missing.clone()),
            size: video.map(|video| (video.width, video.height)).or(about.size),
            record: about.record,
            push: about.push.clone(),
            replay_private: about.replay_private,
            more: about.more.clone(),
        }
    }

    /// `record` with this.
    fn in_record(&self, record: Record) -> Record {
        Record { extra: serde_json::to_string(self).unwrap_or_default(), ..record }
    }

    fn of_record(record: &Record) -> Self {
        // Whatever a later version put there in another way is only of this much use.
        serde_json::from_str(&record.extra).unwrap_or_default()
    }
}

/// A broadcast, as the API and the webhooks tell of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Broadcast)]
pub struct BroadcastObject {
    #[schema(value_type = String)]
    id: BroadcastId,
    #[schema(value_type = String, example = "live")]
    app: App,
    #[schema(value_type = String, example = "room1")]
    stream: Stream,
    title: String,
    /// `created`, `preview`, `live`, `interrupted`, `paused`, `ended`, `banned` or `expired`.
    state: &'static str,
    /// The state as a WeChat mini-program's live room has it: 101 to 107.
    live_status: u16,
    /// `down`, `probing`, `up` or `stalled`.
    push_state: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    planned_start: Option<String>,
    #[schema(format = DateTime)]
    planned_end: Option<String>,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    interrupted_at: Option<String>,
    /// Until when the publisher may come back.
    #[schema(format = DateTime)]
    resume_deadline: Option<String>,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// `resume_timeout`, `unpublished`, `stopped`, `cancelled`, `max_duration` or `banned`.
    end_reason: Option<&'static str>,
    /// How often it went on after an interruption, a pause or a takeover.
    resumes: u32,
    /// The last picture is held on viewers' screens while the publisher is away.
    holding: bool,
    /// What viewers get meanwhile: `picture`, or `idle` where none is held.
    hold: Option<&'static str>,
    /// Since its start.
    duration_ms: Option<i64>,
    /// A push URL made for this answer; only for those who may control, and only until the broadcast is over.
    push: Option<PushUrl>,
    play: PlayUrls,
    /// The newest one, for as long as its broadcast is in memory.
    snapshot: Option<SnapshotObject>,
    replay: Option<Replay>,
}

impl BroadcastObject {
    pub fn with_push(self, push: PushUrl) -> Self {
        Self { push: Some(push), ..self }
    }
}

#[derive(Serialize, ToSchema)]
struct Replay {
    /// `recording` or `ready`.
    status: &'static str,
    /// Whoever has its address may watch it; otherwise it takes a preview token.
    public: bool,
    hls: String,
    /// Its cover, a JPEG: the first keyframe that shows something, or while it is live the newest snapshot.
    cover: String,
    /// WebVTT with the pictures for its seek bar, once it is final.
    thumbnails: String,
    /// All of it as one file, once it is ready.
    mp4: Option<String>,
    /// A stretch of the broadcast is missing, since it could not be recorded.
    truncated: bool,
    /// Those stretches, in the broadcast's media time; the newest 100.
    missing: Vec<Missing>,
}
