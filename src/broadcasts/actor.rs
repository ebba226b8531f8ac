//! The actor of one broadcast: it alone feeds the state machine, and carries out what the machine answers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use kaibo_broadcast::{
    Broadcast, CommandConflict, DownCause, Effect, Epoch, Event, Millis, Notice, Refusal, State,
};
use kaibo_store::{Error as StoreError, NewNotice};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, Instant, sleep, sleep_until},
};

use super::{
    About, COMMANDS, Change, Handle, Peer, Push, PushFacts, Status,
    handle::Command,
    unsaved::{Saved, Unsaved},
};
use crate::{
    config,
    live::{Live, Past},
    notices,
    server::Server,
};

/// An ended broadcast's playlist stays for this many windows, for viewers to read to its end.
const WINDOWS_AFTER_END: u32 = 3;

/// How often the status is made anew without an event: push state, duration and health change by themselves.
const REFRESH: Duration = Duration::from_secs(1);

/// How long an ended broadcast whose end can't be stored stays in memory for that: it takes some MB, and a disk that was
/// full for longer has cost every recording more than this.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How a broadcast comes into memory.
pub enum Begin {
    /// A push opens it.
    Push,
    /// The API made it: what follows from that, and who waits for it to be stored.
    Api(Vec<Effect>, oneshot::Sender<Result<(), StoreError>>),
    /// A restart of the server interrupted it.
    Boot(Box<Past>),
}

struct Actor {
    server: Arc<Server>,
    broadcast: Broadcast,
    about: About,
    handle: Arc<Handle>,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Arc<Status>>,
    /// Publish attempts without an answer.
    waiting: HashMap<Epoch, Attempt>,
    /// The accepted push: how to close it, and when its newest media came.
    accepted: Option<Accepted>,
    settings: Arc<config::App>,
    unsaved: Unsaved,
    /// There is a recording, as far as was noticed.
    recorded: bool,
    forgotten: bool,
    /// The server stops: what is stored stays as it is.
    closed: bool,
}

/// Somebody who wants to publish.
struct Attempt {
    peer: Peer,
    reply: oneshot::Sender<Result<Push, Refusal>>,
}

struct Accepted {
    epoch: Epoch,
    close: Option<oneshot::Sender<DownCause>>,
    newest_media: Arc<AtomicI64>,
}

/// Starts the actor of a broadcast.
pub fn spawn(
    server: &Arc<Server>,
    mut broadcast: Broadcast,
    about: About,
    settings: &Arc<config::App>,
    mut begin: Begin,
) -> Arc<Handle> {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let past = match &mut begin {
        Begin::Boot(past) => std::mem::take(&mut **past),
        Begin::Push | Begin::Api(..) => Past::default(),
    };
    let heard = past.heard();
    let (endings, end) = (&settings.hls.qualities, past.timeline.end());
    let group = server.broadcasts.groups.join(broadcast.app(), broadcast.stream(), endings, end);
    let live = Live::new(server, settings, group, past);
    // At once: nobody is to see it as it was before the restart.
    let boot = match begin {
        Begin::Boot(_) => broadcast.handle(Event::Boot { heard }, server.clock.now()),
        Begin::Push | Begin::Api(..) => Vec::new(),
    };
    // Viewers go on from there; one that has not begun has none.
    let waits = matches!(broadcast.state(), State::Interrupted { .. } | State::Paused);
    if waits && broadcast.started_at().is_some() {
        live.hold_anew();
    }
    let (status, watched) =
        watch::channel(Arc::new(Status::of(&broadcast, &about, &live, server.clock.now())));
    let handle = Arc::new(Handle {
        id: broadcast.id().clone(),
        app: broadcast.app().clone(),
        stream: broadcast.stream().clone(),
        live,
        commands,
        status: watched,
    });
    let mut actor = Actor {
        server: server.clone(),
        broadcast,
        about,
        handle: handle.clone(),
        commands: inbox,
        status,
        waiting: HashMap::new(),
        accepted: None,
        settings: settings.clone(),
        unsaved: Unsaved::default(),
        recorded: false,
        forgotten: false,
        closed: false,
    };
    if matches!(begin, Begin::Boot(_)) && actor.broadcast.started_at().is_some() {
        actor.record();
    }
    tokio::spawn(actor.run(begin, boot));
    handle
}

impl Actor {
    async fn run(mut self, begin: Begin, boot: Vec<Effect>) {
        match begin {
            Begin::Push => {}
            Begin::Api(effects, stored) => self.introduce(effects, stored).await,
            Begin::Boot(_) => {
                self.carry_out(boot, None).await;
            }
        }
        while !self.closed && (!self.broadcast.state().is_final() || self.accepted.is_some()) {
            let now = self.server.clock.now();
            let until_deadline = match self.broadcast.next_deadline() {
                Some(deadline) => deadline.since(now).min(REFRESH),
                None => REFRESH,
            };
            self.retry();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    // Never: the handle that the actor holds has a sender.
                    None => break,
                },
                saved = self.unsaved.saved() => self.note_retried(saved),
                () = self.handle.live.recorded_changes(self.recorded) => self.note_recording().await,
                () = sleep(until_deadline) => {
                    self.happen(Event::Tick).await;
                    self.follow_bans().await;
                }
            }
        }
        if !self.closed {
            self.linger().await;
        }
    }

    /// The API is answered only once the broadcast is stored. If it can't be, there is none.
    async fn introduce(&mut self, effects: Vec<Effect>, stored: oneshot::Sender<Result<(), StoreError>>) {
        let saved = self.store(&effects).await;
        match &saved {
            Ok(()) => {
                self.act(effects, None).await;
            }
            Err(_) => {
                self.forgotten = true;
                // Nobody was promised anything.
                self.unsaved = Unsaved::default();
                self.happen(Event::Stop).await;
            }
        }
        // An error is a caller who stopped waiting.
        let _ = stored.send(saved);
    }

    /// A ban ends by itself; and one that was stored before the server was killed may not have got here.
    async fn follow_bans(&mut self) {
        let (app, stream) = (self.broadcast.app(), self.broadcast.stream());
        let banned = self.server.bans.until(app, stream, self.server.clock.now()).is_some();
        match self.broadcast.state() {
            State::Banned { .. } if !banned => self.happen(Event::Unban).await,
            State::Banned { .. } => None,
            _ if banned => self.happen(Event::Ban).await,
            _ => None,
        };
    }

    /// The broadcast is over: its playlist stays for a while, then its memory is freed. Its end is stored before that.
    async fn linger(mut self) {
        self.server.metrics.broadcasts.dec();
        let over = Instant::now();
        let end = over + self.settings.hls.window.0 * WINDOWS_AFTER_END;
        while !self.closed {
            let now = Instant::now();
            let shown = !self.forgotten && now < end;
            if !shown && (!self.unsaved.is_behind() || now >= over + PATIENCE) {
                break;
            }
            self.retry();
            let next = if shown { end.min(now + REFRESH) } else { now + REFRESH };
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                saved = self.unsaved.saved() => self.note_retried(saved),
                () = self.handle.live.recorded_changes(self.recorded) => self.note_recording().await,
                () = sleep_until(next) => {}
            }
        }
        if self.closed {
            return;
        }
        // Whoever asked at the last moment is answered.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command).await;
        }
        if self.unsaved.is_behind() {
            tracing::error!(broadcast = %self.broadcast.id(), "gave up storing the end of a broadcast");
        }
        self.server.broadcasts.retire(&self.handle, !self.forgotten);
        // One that never started has nothing else that ends its media.
        self.handle.live.close().await;
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Publish { publish, peer, reply } => {
                self.tell_media().await;
                let effects = self.broadcast.handle(Event::Publish(publish), self.server.clock.now());
                self.carry_out(effects, Some(Attempt { peer, reply })).await;
            }
            Command::Keyframe { epoch, reply } => {
                self.happen(Event::Keyframe { epoch }).await;
                // An error is a publisher who went away.
                let _ = reply.send(());
            }
            Command::Down { epoch, cause } => {
                self.happen(Event::Down { epoch, cause }).await;
                self.accepted.take_if(|accepted| accepted.epoch == epoch);
                self.handle.live.forget_unseen(epoch);
            }
            Command::Control { event, reply } => {
                let conflict = self.command(event).await;
                let _ = reply.send(conflict.map_or(Ok(()), Err));
            }
            Command::Change { change, reply } => {
                let _ = reply.send(self.change(change).await);
            }
            Command::Tell { notice } => {
                self.keep([notice]);
                if !self.unsaved.is_behind() {
                    // An error is logged, and tried again.
                    let _ = self.save().await;
                }
            }
            Command::Forget { reply } => {
                self.forgotten = true;
                if let Some(epoch) = self.broadcast.owner() {
                    self.close(epoch, DownCause::Over);
                }
                // A save that is under way must not bring it back, and what it is still to tell is told.
                if self.unsaved.is_behind() {
                    // An error is logged, and tried again.
                    let _ = self.save().await;
                }
                self.handle.live.close().await;
                let _ = reply.send(());
            }
            Command::Close { reply } => {
                if let Some(epoch) = self.broadcast.owner() {
                    self.close(epoch, DownCause::Server);
                    self.happen(Event::Down { epoch, cause: DownCause::Server }).await;
                    self.accepted = None;
                }
                if self.unsaved.is_behind() {
                    // An error is logged; there is no time for another attempt.
                    let _ = self.save().await;
                }
                self.handle.live.close().await;
                self.closed = true;
                let _ = reply.send(());
            }
        }
    }

    async fn happen(&mut self, event: Event) -> Option<CommandConflict> {
        self.tell_media().await;
        let effects = self.broadcast.handle(event, self.server.clock.now());
        self.carry_out(effects, None).await
    }

    /// Does what the API asks for. Some of that has no effect yet, and is to outlive the server all the same.
    async fn command(&mut self, event: Event) -> Option<CommandConflict> {
        self.tell_media().await;
        let effects = self.broadcast.handle(event, self.server.clock.now());
        // An error is logged; see there.
        let _ = self.store(&effects).await;
        self.act(effects, None).await
    }

    async fn change(&mut self, change: Change) -> Result<(), CommandConflict> {
        let plan = self.broadcast.plan();
        if change.planned_start.is_some() || change.planned_end.is_some() {
            if self.broadcast.state().is_final() {
                return Err(CommandConflict::Over);
            }
            let planned_start = change.planned_start.unwrap_or(plan.planned_start);
            let planned_end = change.planned_end.unwrap_or(plan.planned_end);
            self.command(Event::Reschedule { planned_start, planned_end }).await;
        }
        if change.title.is_some() || change.replay_public.is_some() {
            self.about.title = change.title.unwrap_or(std::mem::take(&mut self.about.title));
            self.about.replay_private =
                change.replay_public.map_or(self.about.replay_private, |public| !public);
            // An error is logged; the change is in force until a restart.
            let _ = self.store(&[]).await;
            self.show();
        }
        Ok(())
    }

    /// The machine is told of media only when it is asked something else: that is when it matters.
    async fn tell_media(&mut self) {
        if let Some(accepted) = &self.accepted {
            let at = Millis(accepted.newest_media.load(Ordering::Relaxed));
            let event = Event::Media { epoch: accepted.epoch, at };
            let effects = self.broadcast.handle(event, self.server.clock.now());
            self.carry_out(effects, None).await;
        }
    }

    /// Makes the broadcast as it is now durable, before anybody can see what follows from it. If the disk can't take
    /// it, live goes on all the same, and does not wait again: [`Actor::retry`] stores it as soon as that works.
    async fn store(&mut self, effects: &[Effect]) -> Result<(), StoreError> {
        if self.forgotten {
            return Ok(());
        }
        let now = self.server.clock.now();
        let status = Status::of(&self.broadcast, &self.about, &self.handle.live, now);
        let recorded = self.is_to_be_recorded();
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Announce(notice) => {
                let push = self.about.push.as_ref();
                Some(notices::event(&self.server, notice, &status, push, recorded, now))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        self.keep(told);
        if self.unsaved.is_behind() {
            return Err(StoreError::RolledBack);
        }
        self.save().await
    }

    /// Puts `told` behind the events that are to be stored.
    fn keep(&mut self, told: impl IntoIterator<Item = NewNotice>) {
        let dropped = self.unsaved.add(told);
        if dropped > 0 {
            self.server.metrics.events_dropped.inc_by(dropped as u64);
            tracing::error!(broadcast = %self.broadcast.id(), dropped, "too many events wait to be stored");
        }
    }

    /// Stores the broadcast as it is now and the events that wait; of one that is forgotten the events alone.
    async fn save(&mut self) -> Result<(), StoreError> {
        if self.unsaved.is_saving() {
            let saved = self.unsaved.saved().await;
            self.note_retried(saved);
        }
        self.begin_save();
        let saved = self.unsaved.saved().await;
        self.note_saved(saved)
    }

    fn begin_save(&mut self) {
        let record = (!self.forgotten)
            .then(|| Status::to_record(&self.broadcast, &self.about, &self.handle.live))
            .transpose();
        self.unsaved.begin(&self.server.store, self.broadcast.id(), record);
    }

    /// Makes the next attempt if the last save failed and it is time.
    fn retry(&mut self) {
        if self.unsaved.is_due() {
            self.begin_save();
        }
    }

    fn note_retried(&mut self, saved: Saved) {
        // An error is logged, and tried again.
        let _ = self.note_saved(saved);
    }

    fn note_saved(&mut self, (events, saved): Saved) -> Result<(), StoreError> {
        let broadcast = self.broadcast.id();
        match saved {
            Ok(sequences) => {
                let was_behind = self.unsaved.is_behind();
                if self.unsaved.stored(&events) && was_behind {
                    tracing::info!(%broadcast, "stored at last");
                }
                self.server.tell(events, &sequences);
                Ok(())
            }
            Err(error) => {
                self.server.metrics.store_errors.inc();
                if self.unsaved.failed(&self.server.metrics.store_pending) {
                    tracing::error!(%broadcast, %error, "can't store a broadcast; it is tried again");
                }
                Err(error)
            }
        }
    }

    /// A recording that begins or fails between two transitions is known after a restart, too.
    async fn note_recording(&mut self) {
        self.recorded = self.handle.live.is_recorded();
        // An error is logged, and tried again.
        let _ = self.store(&[]).await;
        self.show();
    }

    /// Stores what the machine came to, then does what it says.
    async fn carry_out(&mut self, effects: Vec<Effect>, attempt: Option<Attempt>) -> Option<CommandConflict> {
        if !effects.is_empty() {
            // An error is logged, and live goes on.
            let _ = self.store(&effects).await;
        }
        self.act(effects, attempt).await
    }

    /// Does what the machine says, in its order. `attempt` waits for the answer to the publish that was just asked.
    async fn act(&mut self, effects: Vec<Effect>, mut attempt: Option<Attempt>) -> Option<CommandConflict> {
        let mut conflict = None;
        let live = self.handle.live.clone();
        for effect in effects {
            match effect {
                Effect::AcceptPublish(epoch) => {
                    if let Some(attempt) = self.waiting.remove(&epoch).or_else(|| attempt.take()) {
                        self.accept(epoch, attempt);
                    }
                }
                Effect::HoldPublish(epoch) => {
                    self.waiting.extend(attempt.take().map(|attempt| (epoch, attempt)));
                }
                Effect::RejectPublish { epoch, refusal } => {
                    if let Some(attempt) = self.waiting.remove(&epoch).or_else(|| attempt.take()) {
                        // An error is an attempt that gave up waiting.
                        let _ = attempt.reply.send(Err(refusal));
                    }
                }
                Effect::ClosePush { epoch, cause } => self.close(epoch, cause),
                // What a draining push sends is refused by the timeline, so there is nothing to do.
                Effect::DrainPush(_) => {}
                // Its health shows; its media is not public, and is looked at and dropped.
                Effect::ShowPreview(_) => {}
                Effect::GoLive(epoch) | Effect::Continue(epoch) => live.open(epoch),
                Effect::BreakTimeline => live.break_run(),
                // Whoever asks for media is answered by the state: this is for those who watch already.
                Effect::WithholdOutput => live.withhold(),
                Effect::RestoreOutput => live.restore(),
                Effect::EndOutput => {
                    if let State::Ended { reason } = self.broadcast.state() {
                        live.end(reason);
                    }
                }
                Effect::StartRecording => self.record(),
                // The recorder follows the timeline: what it gets it writes at once.
                Effect::FlushRecording | Effect::FinishRecording => {}
                Effect::Announce(notice) => self.announce(&notice),
                Effect::Forget => {
                    self.forgotten = true;
                    // An error is logged, and tried again.
                    let _ = self.save().await;
                }
                Effect::Conflict(what) => conflict = Some(what),
            }
        }
        self.show();
        conflict
    }

    /// Lets everybody see the broadcast as it is now.
    fn show(&self) {
        let status = Status::of(&self.broadcast, &self.about, &self.handle.live, self.server.clock.now());
        self.status.send_if_modified(|known| {
            let changed = **known != status;
            if changed {
                *known = Arc::new(status);
            }
            changed
        });
    }

    fn is_to_be_recorded(&self) -> bool {
        self.about.record.unwrap_or(self.settings.record.enabled)
    }

    fn record(&mut self) {
        if self.is_to_be_recorded() {
            self.handle.live.record(&self.server, &self.broadcast, &self.settings);
            self.recorded = true;
        }
    }

    fn accept(&mut self, epoch: Epoch, attempt: Attempt) {
        let Attempt { peer, reply } = attempt;
        let (close, closing) = oneshot::channel();
        let now = self.server.clock.now();
        let newest_media = Arc::new(AtomicI64::new(now.0));
        self.about.push = Some(PushFacts::new(epoch, peer, now));
        self.accepted = Some(Accepted { epoch, close: Some(close), newest_media: newest_media.clone() });
        let push = Push { epoch, broadcast: self.handle.clone(), closing, newest_media, seat: None };
        // If the publisher has gone away meanwhile, its probe runs out.
        let _ = reply.send(Ok(push));
    }

    fn close(&mut self, epoch: Epoch, cause: DownCause) {
        if let Some(close) = self
            .accepted
            .as_mut()
            .filter(|accepted| accepted.epoch == epoch)
            .and_then(|accepted| accepted.close.take())
        {
            // An error is a publisher who is gone already.
            let _ = close.send(cause);
        }
    }

    fn announce(&self, notice: &Notice) {
        let broadcast = self.broadcast.id();
        let name = format_args!("{}/{}", self.broadcast.app(), self.broadcast.stream());
        match notice {
            Notice::PushUp { epoch } => tracing::info!(%broadcast, %name, epoch = epoch.0, "push.up"),
            Notice::PushDown { epoch, cause } => {
                tracing::info!(%broadcast, %name, epoch = epoch.0, code = %cause.code(), reason = %cause, "push.down");
            }
            Notice::PushRejected { refusal } => {
                tracing::info!(%broadcast, %name, code = %refusal.code(), reason = %refusal, "push.rejected");
            }
            Notice::Resumed { gap } => {
                self.server.metrics.resumes.inc();
                tracing::info!(%broadcast, %name, gap_ms = gap.as_millis() as u64, "broadcast.resumed");
            }
            Notice::Ended { reason } => {
                tracing::info!(%broadcast, %name, reason = reason.name(), "broadcast.ended")
            }
            notice => tracing::info!(%broadcast, %name, "{}", notice.name()),
        }
    }
}
