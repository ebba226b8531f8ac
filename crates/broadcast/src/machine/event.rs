//! What happens to a broadcast, and what is to be done about it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::EndReason;
use crate::{Credential, DownCause, Millis, Refusal};

/// Numbers the publish attempts of a broadcast, also across restarts of the server. What an older epoch still says
/// is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Somebody wants to push, and the signature (where one is needed) is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// What was verified; nothing where push auth is off.
    pub credential: Option<Credential>,
    /// The credential is over: good for a resume at most.
    pub expired: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`super::Broadcast::next_deadline`] has come (or the caller wants the state as of now).
    Tick,
    /// Somebody wants to push. Answered by [`Effect::AcceptPublish`], [`Effect::HoldPublish`] or
    /// [`Effect::RejectPublish`] with the epoch that the attempt has from now on.
    Publish(Publish),
    /// The newest media of the push came at `at`. Told before every other event and tick while somebody pushes:
    /// there is no need to tell it per frame.
    Media {
        /// The push.
        epoch: Epoch,
        /// When its newest media came.
        at: Millis,
    },
    /// All decoder parameters are known and a keyframe came. Told for every keyframe, before it is forwarded.
    Keyframe {
        /// The push.
        epoch: Epoch,
    },
    /// The push is over, cleanly or not, or a held attempt went away.
    Down {
        /// The push.
        epoch: Epoch,
        /// Why.
        cause: DownCause,
    },
    /// API: make it public.
    Start {
        /// Also while nothing is pushed.
        force: bool,
    },
    /// API: end it.
    Stop,
    /// API: stop showing and recording what is pushed.
    Pause,
    /// API: end the pause.
    Resume,
    /// API: drop the push.
    Kick,
    /// API: the name is banned.
    Ban,
    /// API: the name's ban is lifted, or ran out.
    Unban,
    /// API: the planned times changed.
    Reschedule {
        /// When it should start.
        planned_start: Option<Millis>,
        /// When it is over at the latest, unless it has started.
        planned_end: Option<Millis>,
    },
    /// The server started and read this broadcast from its store.
    Boot {
        /// When its newest media came, where its recording tells: what is stored of it is as old as its last
        /// transition.
        heard: Option<Millis>,
    },
}

/// Something to be done, in this order, after the changed state was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Let the push of this epoch send.
    AcceptPublish(Epoch),
    /// Leave the attempt without an answer; accept or reject follows within 3 s.
    HoldPublish(Epoch),
    /// Refuse the attempt, then close its connection.
    RejectPublish {
        /// The attempt.
        epoch: Epoch,
        /// Why.
        refusal: Refusal,
    },
    /// Read on, but throw away what comes: the broadcast is over, the encoder does not know yet.
    DrainPush(Epoch),
    /// Close the push's connection.
    ClosePush {
        /// The push.
        epoch: Epoch,
        /// Why.
        cause: DownCause,
    },
    /// Show the push to holders of a preview token, to nobody else.
    ShowPreview(Epoch),
    /// The public timeline begins at 0 with the keyframe just told. Nothing older may leak.
    GoLive(Epoch),
    /// The public timeline goes on, behind a discontinuity, with the keyframe just told; after a pause with the
    /// push's next keyframe.
    Continue(Epoch),
    /// Nothing of the current run follows: close what is half-packaged, forward no media until told to. Does nothing
    /// where the timeline is broken already.
    BreakTimeline,
    /// Show nothing any more, not even what is packaged (a ban).
    WithholdOutput,
    /// Show what is packaged again (a ban lifted).
    RestoreOutput,
    /// The last segment was the last: `ENDLIST`, end of FLV.
    EndOutput,
    /// Open the recording.
    StartRecording,
    /// Bring what is recorded to the disk; the recording stays open.
    FlushRecording,
    /// Close the recording for good.
    FinishRecording,
    /// Queue a webhook.
    Announce(Notice),
    /// Nobody ever saw this broadcast (an ad-hoc push without a keyframe): delete its record.
    Forget,
    /// Answer the API call with 409: the command does not fit the state, nothing changed.
    Conflict(CommandConflict),
}

/// What webhooks and event streams say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `broadcast.created`
    Created,
    /// `push.up`
    PushUp {
        /// The push.
        epoch: Epoch,
    },
    /// `push.down`
    PushDown {
        /// The push.
        epoch: Epoch,
        /// Why.
        cause: DownCause,
    },
    /// `push.rejected`
    PushRejected {
        /// Why.
        refusal: Refusal,
    },
    /// `broadcast.started`
    Started,
    /// `broadcast.interrupted`
    Interrupted {
        /// Until when it may be resumed.
        deadline: Millis,
    },
    /// `broadcast.resumed`
    Resumed {
        /// Since the last public media.
        gap: Duration,
    },
    /// `broadcast.paused`
    Paused,
    /// `broadcast.banned`
    Banned,
    /// `broadcast.duration_warning`
    DurationWarning {
        /// Until the longest duration is reached.
        left: Duration,
    },
    /// `broadcast.ended`
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// `broadcast.expired`
    Expired,
}

impl Notice {
    /// The webhook's event name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created => "broadcast.created",
            Self::PushUp { .. } => "push.up",
            Self::PushDown { .. } => "push.down",
            Self::PushRejected { .. } => "push.rejected",
            Self::Started => "broadcast.started",
            Self::Interrupted { .. } => "broadcast.interrupted",
            Self::Resumed { .. } => "broadcast.resumed",
            Self::Paused => "broadcast.paused",
            Self::Banned => "broadcast.banned",
            Self::DurationWarning { .. } => "broadcast.duration_warning",
            Self::Ended { .. } => "broadcast.ended",
            Self::Expired => "broadcast.expired",
        }
    }
}

/// Why a command does not fit the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandConflict {
    /// `start` (without `force`) or `kick`.
    #[error("nothing is pushed")]
    NothingPushed,
    /// `pause` or `resume` before the start.
    #[error("the broadcast has not started")]
    NotStarted,
    /// `pause` while the publisher is away.
    #[error("the broadcast is interrupted")]
    Interrupted,
    /// `start` during a pause.
    #[error("the broadcast is paused; resume it")]
    Paused,
    /// Anything but `stop` while banned.
    #[error("the stream is banned")]
    Banned,
    /// Anything but `stop` after the end.
    #[error("the broadcast is over")]
    Over,
}
