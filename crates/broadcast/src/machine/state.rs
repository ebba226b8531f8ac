//! The states of a broadcast and of its push, and the policy between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Epoch;
use crate::{Fingerprint, Millis};

/// What the business sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Announced; nothing is pushed.
    Created,
    /// Pushed, but not public.
    Preview,
    /// Public.
    Live,
    /// Public, but nothing is pushed.
    Interrupted {
        /// When the last public media came (or the wait began, where there was none).
        since: Millis,
        /// Until when it may be resumed.
        deadline: Millis,
        /// When `broadcast.interrupted` is sent, unless that happened or never will.
        announce_at: Option<Millis>,
    },
    /// Public, but what is pushed is not shown.
    Paused,
    /// Shown to nobody.
    Banned {
        /// Until when the ban may be lifted and the broadcast go on.
        deadline: Millis,
    },
    /// Over. Final.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// Its time passed before it started. Final.
    Expired,
}

impl State {
    /// The `state` of the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Preview => "preview",
            Self::Live => "live",
            Self::Interrupted { .. } => "interrupted",
            Self::Paused => "paused",
            Self::Banned { .. } => "banned",
            Self::Ended { .. } => "ended",
            Self::Expired => "expired",
        }
    }

    /// The `live_status` code of a WeChat mini-program live room.
    pub const fn live_status(&self) -> u16 {
        match self {
            Self::Live => 101,
            Self::Created | Self::Preview => 102,
            Self::Ended { .. } => 103,
            Self::Banned { .. } => 104,
            Self::Paused => 105,
            Self::Interrupted { .. } => 106,
            Self::Expired => 107,
        }
    }

    /// A ban hides everything of it, also once it is over.
    pub const fn is_withheld(&self) -> bool {
        matches!(self, Self::Banned { .. } | Self::Ended { reason: EndReason::Banned })
    }

    /// Nothing can happen any more.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Expired)
    }
}

/// Why a broadcast ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Nobody came back within the window.
    ResumeTimeout,
    /// The encoder said goodbye.
    Unpublished,
    /// The API stopped it.
    Stopped,
    /// The API stopped it before it started.
    Cancelled,
    /// It ran for the longest duration allowed.
    MaxDuration,
    /// The ban outlived the window.
    Banned,
}

impl EndReason {
    /// The `end_reason` of the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResumeTimeout => "resume_timeout",
            Self::Unpublished => "unpublished",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::MaxDuration => "max_duration",
            Self::Banned => "banned",
        }
    }
}

/// What the transport does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    /// Nothing is pushed.
    Down,
    /// Accepted, no keyframe yet.
    Probing,
    /// Media flows.
    Up,
    /// No media for 3 s.
    Stalled,
}

impl PushState {
    /// The `push_state` of the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Probing => "probing",
            Self::Up => "up",
            Self::Stalled => "stalled",
        }
    }
}

/// The push that owns the broadcast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Push {
    pub epoch: Epoch,
    pub phase: Phase,
    /// When its newest media (or before any, its publish) came.
    pub last_media: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Waits for its first keyframe.
    Probing {
        until: Millis,
    },
    Up,
    /// The broadcast is over; its media is thrown away.
    Draining {
        until: Millis,
    },
}

/// A publish attempt that waits for the owner to prove alive or dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Challenger {
    pub epoch: Epoch,
    pub since: Millis,
    pub credential: Option<Fingerprint>,
}

/// Who made the broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `POST /broadcasts`.
    Api,
    /// A push for a name without a broadcast.
    AdHoc,
}

/// What `POST /broadcasts` says beside the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Public with the first keyframe, rather than by `start`.
    pub auto_start: bool,
    /// When it should start.
    pub planned_start: Option<Millis>,
    /// When it is over at the latest, unless it has started.
    pub planned_end: Option<Millis>,
}

/// How long a push URL outlives what was planned.
const URL_MARGIN: Duration = Duration::from_secs(24 * 3600);

impl Plan {
    /// When a push URL that is made now should expire.
    pub fn push_url_expiry(&self, now: Millis) -> Millis {
        let Self { planned_start, planned_end, .. } = *self;
        [planned_start, planned_end].into_iter().flatten().fold(now, Millis::max) + URL_MARGIN
    }
}

/// The `[broadcast]`, `[rtmp]` and `[auth.push]` settings that a broadcast lives by, as they were when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long a broadcast waits for its publisher to come back.
    pub resume_window: Duration,
    /// The longest broadcast, counted from its start.
    pub max_duration: Duration,
    /// How long an accepted push may take to its first keyframe.
    pub first_media: Duration,
    /// What happens to a second publisher.
    pub conflict: ConflictPolicy,
    /// Whether an encoder's goodbye is the end.
    pub end_on_unpublish: EndOnUnpublish,
    /// Whether an expired credential may resume.
    pub expired_resume: ExpiredResume,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            resume_window: Duration::from_secs(900),
            max_duration: Duration::from_secs(12 * 3600),
            first_media: Duration::from_secs(20),
            conflict: ConflictPolicy::default(),
            end_on_unpublish: EndOnUnpublish::default(),
            expired_resume: ExpiredResume::default(),
        }
    }
}

/// `broadcast.conflict`: a second publisher while there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// Liveness decides: it takes over if the first one falls silent within 3 s.
    #[default]
    Probe,
    /// It takes over at once.
    Takeover,
    /// It is refused.
    Reject,
}

/// `broadcast.end_on_unpublish`: which broadcasts a goodbye ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndOnUnpublish {
    /// Those that a push opened.
    #[default]
    AutoCreated,
    /// All.
    Always,
    /// None.
    Never,
}

/// `auth.push.expired_resume`: publishing again with an expired credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredResume {
    /// Accepted if the very same credential pushed into this broadcast before.
    #[default]
    SameKey,
    /// Refused.
    Never,
}
