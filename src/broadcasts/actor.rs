//! The actor of one broadcast: it alone feeds the state machine, and carries out what the machine answers.

mod effects;
mod storing;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use kaibo_broadcast::{Broadcast, CommandConflict, DownCause, Effect, Epoch, Event, Millis, Refusal, State};
use kaibo_store::Error as StoreError;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, Instant, sleep, sleep_until},
};

use super::{About, COMMANDS, Change, Handle, Peer, Push, Status, handle::Command, unsaved::Unsaved};
use crate::{
    config,
    live::{Kept, Live, Past},
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
    /// What becomes of it on the disk, as far as was noticed.
    kept: Kept,
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
    let audience = server.audiences.begin(server, broadcast.id());
    let live = Live::new(server, broadcast.id(), settings, group, audience, past);
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
        kept: Kept::default(),
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
                () = self.handle.live.kept_changes(&self.kept) => self.note_recording().await,
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
                () = self.handle.live.kept_changes(&self.kept) => self.note_recording().await,
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
}
