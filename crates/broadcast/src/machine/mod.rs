//! The lifecycle of one broadcast.
//!
//! Two regions: the broadcast (what the business sees) and the push (the transport). [`Broadcast::handle`] is a pure
//! function of state, event and time; one actor per broadcast calls it, stores the new state, then carries out the
//! effects. Whatever the clock made due is done before the event is looked at, so a late tick changes nothing.

mod command;
mod deadline;
mod event;
mod push;
mod state;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{App, BroadcastId, Credential, DownCause, Fingerprint, Millis, Refusal, Stream};
pub use event::{CommandConflict, Effect, Epoch, Event, Notice, Publish};
use state::{Challenger, Phase, Push};
pub use state::{
    ConflictPolicy, EndOnUnpublish, EndReason, ExpiredResume, Origin, Plan, Policy, PushState, State,
};

/// How long a second publisher waits for an answer at most.
const CHALLENGE: Duration = Duration::from_secs(3);
/// A publisher that was silent for this long gives way to a second one.
const SILENCE: Duration = Duration::from_secs(1);
/// Interruptions shorter than this are not announced.
const ANNOUNCE: Duration = Duration::from_secs(3);
/// A push without media for this long counts as stalled.
const STALL: Duration = Duration::from_secs(3);
/// How long a push may go on into a stopped broadcast, so that its encoder does not start to reconnect at once.
const DRAIN: Duration = Duration::from_secs(30);
/// What an interrupted broadcast keeps of its window after a restart, at least: publishers need a moment to return.
const BOOT_GRACE: Duration = Duration::from_secs(60);
/// How long before the longest duration a warning goes out.
const WARNINGS: [Duration; 2] = [Duration::from_secs(600), Duration::from_secs(60)];
/// Credentials remembered per broadcast. One is handed out per day or on request: a broadcast of 12 h sees a few.
const CREDENTIALS: usize = 32;
/// Barred credentials remembered per name: those of the last stopped broadcasts. Older ones have expired long since.
const BARRED: usize = 64;

/// One broadcast: everything about it that must outlive the server. Serialise it to store it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    id: BroadcastId,
    app: App,
    stream: Stream,
    origin: Origin,
    plan: Plan,
    policy: Policy,
    created_at: Millis,
    started_at: Option<Millis>,
    ended_at: Option<Millis>,
    state: State,
    /// The business was told of it.
    introduced: bool,
    push: Option<Push>,
    challenger: Option<Challenger>,
    /// `start` was accepted and waits for a keyframe.
    start_requested: bool,
    /// When the newest public media came.
    last_media: Option<Millis>,
    /// The business was told that the broadcast does not run, so it is owed a `resumed`.
    away: bool,
    resumes: u32,
    /// How many of [`WARNINGS`] went out.
    warned: usize,
    next_epoch: Epoch,
    /// Opened an epoch of this broadcast; at most [`CREDENTIALS`].
    credentials: Vec<Fingerprint>,
    /// Opened a broadcast of this name that the API stopped; at most [`BARRED`].
    barred: Vec<Fingerprint>,
}

impl Broadcast {
    /// `POST /broadcasts`. The caller has seen to it that no other broadcast of this name is open.
    pub fn create(
        id: BroadcastId,
        app: App,
        stream: Stream,
        plan: Plan,
        policy: Policy,
        now: Millis,
    ) -> (Self, Vec<Effect>) {
        let broadcast = Self::new(id, app, stream, Origin::Api, plan, policy, now);
        (broadcast, vec![Effect::Announce(Notice::Created)])
    }

    /// For a push that [`crate::Admission::Open`] let in; give it that [`Event::Publish`] next. It is announced with
    /// its first keyframe. `barred` is that of the broadcast of this name before it.
    pub fn ad_hoc(
        id: BroadcastId,
        app: App,
        stream: Stream,
        policy: Policy,
        barred: &[Fingerprint],
        now: Millis,
    ) -> Self {
        let plan = Plan { auto_start: true, ..Plan::default() };
        Self { barred: barred.to_vec(), ..Self::new(id, app, stream, Origin::AdHoc, plan, policy, now) }
    }

    /// One that is over, and of which only its recording is left: from when to when it was public, and why it ended.
    pub fn recorded(
        id: BroadcastId,
        app: App,
        stream: Stream,
        (started, ended): (Millis, Millis),
        reason: EndReason,
    ) -> Self {
        Self {
            started_at: Some(started),
            ended_at: Some(ended),
            state: State::Ended { reason },
            introduced: true,
            ..Self::ad_hoc(id, app, stream, Policy::default(), &[], started)
        }
    }

    fn new(
        id: BroadcastId,
        app: App,
        stream: Stream,
        origin: Origin,
        plan: Plan,
        policy: Policy,
        now: Millis,
    ) -> Self {
        Self {
            id,
            app,
            stream,
            origin,
            plan,
            policy,
            created_at: now,
            started_at: None,
            ended_at: None,
            state: State::Created,
            introduced: origin == Origin::Api,
            push: None,
            challenger: None,
            start_requested: false,
            last_media: None,
            away: false,
            resumes: 0,
            warned: 0,
            next_epoch: Epoch(1),
            credentials: Vec::new(),
            barred: Vec::new(),
        }
    }

    /// Takes in what happened and answers what is to be done about it, in order.
    pub fn handle(&mut self, event: Event, now: Millis) -> Vec<Effect> {
        let mut turn = Turn { broadcast: self, now, effects: Vec::new() };
        // These two say what the time since the last event was like, so deadlines are judged after them.
        match event {
            Event::Media { epoch, at } => turn.media(epoch, at),
            Event::Boot { heard } => turn.boot(heard),
            _ => {}
        }
        turn.pass_deadlines();
        match event {
            Event::Tick | Event::Media { .. } | Event::Boot { .. } => {}
            Event::Publish(publish) => turn.publish(publish),
            Event::Keyframe { epoch } => turn.keyframe(epoch),
            Event::Down { epoch, cause } => turn.down(epoch, cause),
            Event::Start { force } => turn.start(force),
            Event::Stop => turn.stop(),
            Event::Pause => turn.pause(),
            Event::Resume => turn.resume(),
            Event::Kick => turn.kick(),
            Event::Ban => turn.ban(),
            Event::Unban => turn.unban(),
            Event::Reschedule { planned_start, planned_end } => {
                turn.broadcast.plan = Plan { planned_start, planned_end, ..turn.broadcast.plan };
            }
        }
        // Some waits are over as soon as they begin, e.g. a window of 0 s.
        turn.pass_deadlines();
        turn.effects
    }

    /// Its identity.
    pub fn id(&self) -> &BroadcastId {
        &self.id
    }

    /// The app that it belongs to.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The name that it is pushed and played under.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Who made it.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What was planned.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// The settings that it lives by.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What the business sees.
    pub fn state(&self) -> State {
        self.state
    }

    /// What the transport does; fresh media is to be told first.
    pub fn push_state(&self, now: Millis) -> PushState {
        match &self.push {
            None | Some(Push { phase: Phase::Draining { .. }, .. }) => PushState::Down,
            Some(Push { phase: Phase::Probing { .. }, .. }) => PushState::Probing,
            Some(push) if now.since(push.last_media) >= STALL => PushState::Stalled,
            Some(_) => PushState::Up,
        }
    }

    /// The push that is accepted, if there is one.
    pub fn owner(&self) -> Option<Epoch> {
        self.push.as_ref().map(|push| push.epoch)
    }

    /// When it was made.
    pub fn created_at(&self) -> Millis {
        self.created_at
    }

    /// When it became public.
    pub fn started_at(&self) -> Option<Millis> {
        self.started_at
    }

    /// When it became final.
    pub fn ended_at(&self) -> Option<Millis> {
        self.ended_at
    }

    /// How often it went on after an interruption, a pause or a takeover.
    pub fn resumes(&self) -> u32 {
        self.resumes
    }

    /// Credentials that may not open a broadcast of this name: they opened one that the API stopped, and an encoder
    /// goes on retrying for a long time.
    pub fn barred(&self) -> &[Fingerprint] {
        &self.barred
    }

    /// When a push URL for it should expire.
    pub fn push_url_expiry(&self, now: Millis) -> Millis {
        self.plan.push_url_expiry(now)
    }
}

/// One event being handled.
struct Turn<'b> {
    broadcast: &'b mut Broadcast,
    now: Millis,
    effects: Vec<Effect>,
}

impl Turn<'_> {
    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn announce(&mut self, notice: Notice) {
        self.effects.push(Effect::Announce(notice));
    }

    /// Tells the business of an ad-hoc broadcast as soon as there is something to tell.
    fn introduce(&mut self) {
        if !std::mem::replace(&mut self.broadcast.introduced, true) {
            self.announce(Notice::Created);
        }
    }

    /// The first public keyframe is here.
    fn go_live(&mut self, epoch: Epoch) {
        let broadcast = &mut *self.broadcast;
        broadcast.state = State::Live;
        broadcast.started_at = Some(self.now);
        broadcast.last_media = Some(self.now);
        broadcast.start_requested = false;
        broadcast.away = false;
        self.effects.extend([
            Effect::GoLive(epoch),
            Effect::StartRecording,
            Effect::Announce(Notice::Started),
        ]);
    }

    /// The publisher is back.
    fn go_on(&mut self, epoch: Epoch) {
        let broadcast = &mut *self.broadcast;
        let gap = self.now.since(broadcast.last_media.unwrap_or(self.now));
        broadcast.state = State::Live;
        broadcast.last_media = Some(self.now);
        broadcast.resumes = broadcast.resumes.saturating_add(1);
        let owed = std::mem::take(&mut broadcast.away);
        self.effect(Effect::Continue(epoch));
        if owed {
            self.announce(Notice::Resumed { gap });
        }
    }

    /// Waits for a publisher from `since` on. `announce_at` is none where nothing ran that could be interrupted.
    fn wait(&mut self, since: Millis, announce_at: Option<Millis>) {
        let deadline = since + self.broadcast.policy.resume_window;
        self.broadcast.state = State::Interrupted { since, deadline, announce_at };
    }

    /// The public push went down.
    fn interrupt(&mut self) {
        self.effect(Effect::BreakTimeline);
        self.effect(Effect::FlushRecording);
        self.wait(self.broadcast.last_media.unwrap_or(self.now), Some(self.now + ANNOUNCE));
    }

    /// The end. A push that still sends is read for a while and then closed.
    fn end(&mut self, reason: EndReason) {
        self.introduce();
        if let Some(mut push) = self.broadcast.push.take() {
            self.push_is_down(&push, DownCause::Over);
            push.phase = Phase::Draining { until: self.now + DRAIN };
            self.effect(Effect::DrainPush(push.epoch));
            self.broadcast.push = Some(push);
        }
        self.dismiss_challenger(Refusal::Ended);
        self.broadcast.state = State::Ended { reason };
        self.broadcast.ended_at = Some(self.now);
        if self.broadcast.started_at.is_some() {
            self.effect(Effect::EndOutput);
            self.effect(Effect::FinishRecording);
        }
        self.announce(Notice::Ended { reason });
    }
}

/// Keeps the newest `most` of `credentials`, each once.
fn remember(credentials: &mut Vec<Fingerprint>, credential: Fingerprint, most: usize) {
    credentials.retain(|known| *known != credential);
    if credentials.len() >= most {
        credentials.remove(0);
    }
    credentials.push(credential);
}

fn fingerprint(credential: Option<Credential>) -> Option<Fingerprint> {
    credential.map(|credential| credential.fingerprint)
}
