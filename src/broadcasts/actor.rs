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
use kaibo_store::Error as StoreError;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, Instant, sleep, timeout_at},
};

use super::{About, COMMANDS, Change, Handle, Peer, Push, Status, handle::Command};
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
    forgotten: bool,
}

/// Somebody who wants to publish.
struct Attempt {
    peer: Peer,
    reply: oneshot::Sender<Result<Push, Refusal>>,
}

struct Accepted {
    facts: PushFacts,
    close: Option<oneshot::Sender<DownCause>>,
    newest_media: Arc<AtomicI64>,
}

/// What is told of a push.
pub struct PushFacts {
    pub epoch: Epoch,
    peer: Peer,
    since: Millis,
}

impl PushFacts {
    pub fn to_api(&self, size: Option<(u32, u32)>, now: Millis) -> Value {
        let (address, query) = (self.peer.address(), self.peer.query());
        let (width, height) = size.unzip();
        let duration_ms = now.0.saturating_sub(self.since.0);
        json!({ "address": address, "query": query, "duration_ms": duration_ms, "width": width, "height": height })
    }
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
    let live = Live::new(server, settings, past);
    // At once: nobody is to see it as it was before the restart.
    let boot = match begin {
        Begin::Boot(_) => broadcast.handle(Event::Boot, server.clock.now()),
        Begin::Push | Begin::Api(..) => Vec::new(),
    };
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
    let actor = Actor {
        server: server.clone(),
        broadcast,
        about,
        handle: handle.clone(),
        commands: inbox,
        status,
        waiting: HashMap::new(),
        accepted: None,
        settings: settings.clone(),
        forgotten: false,
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
        while !self.broadcast.state().is_final() || self.accepted.is_some() {
            let now = self.server.clock.now();
            let until_deadline = match self.broadcast.next_deadline() {
                Some(deadline) => deadline.since(now).min(REFRESH),
                None => REFRESH,
            };
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    // Never: the handle that the actor holds has a sender.
                    None => break,
                },
                () = sleep(until_deadline) => {
                    self.happen(Event::Tick).await;
                    self.follow_bans().await;
                }
            }
        }
        self.linger().await;
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

    /// The broadcast is over: its playlist stays for a while, then its memory is freed.
    async fn linger(mut self) {
        self.server.metrics.broadcasts.dec();
        if !self.forgotten {
            let end = Instant::now() + self.settings.hls.window.0 * WINDOWS_AFTER_END;
            while let (false, Ok(Some(command))) =
                (self.forgotten, timeout_at(end, self.commands.recv()).await)
            {
                self.obey(command).await;
            }
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
                self.accepted.take_if(|accepted| accepted.facts.epoch == epoch);
                self.handle.live.forget_unseen(epoch);
            }
            Command::Control { event, reply } => {
                let conflict = self.command(event).await;
                let _ = reply.send(conflict.map_or(Ok(()), Err));
            }
            Command::Change { change, reply } => {
                let _ = reply.send(self.change(change).await);
            }
            Command::Forget { reply } => {
                self.forgotten = true;
                if let Some(epoch) = self.broadcast.owner() {
                    self.close(epoch, DownCause::Over);
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
                self.handle.live.close().await;
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
        if let Some(title) = change.title {
            self.about.title = title;
            // An error is logged; the title is in force until a restart.
            let _ = self.store(&[]).await;
            self.show();
        }
        Ok(())
    }

    /// The machine is told of media only when it is asked something else: that is when it matters.
    async fn tell_media(&mut self) {
        if let Some(accepted) = &self.accepted {
            let at = Millis(accepted.newest_media.load(Ordering::Relaxed));
            let event = Event::Media { epoch: accepted.facts.epoch, at };
            let effects = self.broadcast.handle(event, self.server.clock.now());
            self.carry_out(effects, None).await;
        }
    }

    /// Makes the broadcast as it is now durable, before anybody can see what follows from it. If the disk can't take
    /// it, live goes on all the same: a restart would then know an older state.
    async fn store(&self, effects: &[Effect]) -> Result<(), StoreError> {
        if self.forgotten {
            return Ok(());
        }
        let now = self.server.clock.now();
        let status = Status::of(&self.broadcast, &self.about, &self.handle.live, now);
        let push = self.accepted.as_ref().map(|accepted| &accepted.facts);
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Announce(notice) => Some(notices::event(&self.server, notice, &status, push, now)),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let saved = match Status::to_record(&self.broadcast, &self.about, &self.handle.live) {
            Ok(record) => {
                let told = told.clone();
                self.server.store.ask(move |store| store.save(&record, &told)).await
            }
            Err(error) => Err(error),
        };
        match saved {
            Ok(sequences) => {
                self.server.tell(told, &sequences);
                Ok(())
            }
            Err(error) => {
                self.server.metrics.store_errors.inc();
                tracing::error!(broadcast = %self.broadcast.id(), %error, "can't store a broadcast");
                Err(error)
            }
        }
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
                    let id = self.broadcast.id().clone();
                    // What can't be deleted now is ended at the next start.
                    let _ = self.server.store.ask(move |store| store.delete(&id)).await;
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

    fn record(&self) {
        if self.about.record.unwrap_or(self.settings.record.enabled) {
            self.handle.live.record(&self.server, &self.broadcast, &self.settings);
        }
    }

    fn accept(&mut self, epoch: Epoch, attempt: Attempt) {
        let Attempt { peer, reply } = attempt;
        let (close, closing) = oneshot::channel();
        let now = self.server.clock.now();
        let newest_media = Arc::new(AtomicI64::new(now.0));
        let facts = PushFacts { epoch, peer, since: now };
        self.accepted = Some(Accepted { facts, close: Some(close), newest_media: newest_media.clone() });
        let push = Push { epoch, broadcast: self.handle.clone(), closing, newest_media };
        // If the publisher has gone away meanwhile, its probe runs out.
        let _ = reply.send(Ok(push));
    }

    fn close(&mut self, epoch: Epoch, cause: DownCause) {
        if let Some(close) = self
            .accepted
            .as_mut()
            .filter(|accepted| accepted.facts.epoch == epoch)
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
