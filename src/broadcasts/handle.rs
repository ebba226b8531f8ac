//! How everybody but its actor deals with a broadcast.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use kaibo_broadcast::{
    App, BroadcastId, CommandConflict, DownCause, Epoch, Event, Millis, Publish, Refusal, Stream,
};
use kaibo_store::NewNotice;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Peer, Status, quota::Seat};
use crate::live::Live;

/// One broadcast, as everybody but its actor sees it.
pub struct Handle {
    pub(super) id: BroadcastId,
    pub(super) app: App,
    pub(super) stream: Stream,
    pub(super) live: Arc<Live>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Arc<Status>>,
}

/// What the actor is asked.
pub enum Command {
    Publish {
        publish: Publish,
        peer: Peer,
        reply: oneshot::Sender<Result<Push, Refusal>>,
    },
    /// A keyframe is here; answered once what follows from it is done.
    Keyframe {
        epoch: Epoch,
        reply: oneshot::Sender<()>,
    },
    Down {
        epoch: Epoch,
        cause: DownCause,
    },
    Control {
        event: Event,
        reply: oneshot::Sender<Result<(), CommandConflict>>,
    },
    /// What is said of it changes.
    Change {
        change: Change,
        reply: oneshot::Sender<Result<(), CommandConflict>>,
    },
    /// Something that follows from no transition is to be told, after everything that does.
    Tell {
        notice: NewNotice,
    },
    /// It is over, and is to leave nothing behind; answered once nobody writes to its recording.
    Forget {
        reply: oneshot::Sender<()>,
    },
    /// The server stops: bring everything to the disk.
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// What `PATCH /broadcasts/ID` changes: nothing where there is `None`.
#[derive(Default)]
pub struct Change {
    pub title: Option<String>,
    pub replay_public: Option<bool>,
    pub planned_start: Option<Option<Millis>>,
    pub planned_end: Option<Option<Millis>>,
}

/// An accepted push: the publisher's side of a broadcast.
pub struct Push {
    pub epoch: Epoch,
    pub broadcast: Arc<Handle>,
    /// Told when the push is to be closed, and why.
    pub closing: oneshot::Receiver<DownCause>,
    /// When its newest media came, for the actor to judge whether it lives.
    pub(super) newest_media: Arc<AtomicI64>,
    /// Its place among the pushes of its app, once it has one.
    pub(super) seat: Option<Seat>,
}

impl Drop for Push {
    /// Whatever ends a publisher, its broadcast learns of it. After an ordinary [`Push::down`] nobody has the epoch any
    /// more; a full queue is left to the next publisher's probe.
    fn drop(&mut self) {
        let down = Command::Down { epoch: self.epoch, cause: DownCause::Error };
        let _ = self.broadcast.commands.try_send(down);
    }
}

impl Push {
    /// Keeps `seat` for as long as it lives.
    pub(super) fn with_seat(mut self, seat: Seat) -> Self {
        self.seat = Some(seat);
        self
    }

    /// Media came.
    pub fn note_media(&self, now: Millis) {
        self.newest_media.store(now.0, Ordering::Relaxed);
    }

    /// A keyframe came while the timeline does not take this push's media (yet). Returns when the broadcast knows,
    /// so that the same keyframe can be the first one shown.
    pub async fn keyframe(&self) {
        let (reply, done) = oneshot::channel();
        if self.broadcast.commands.send(Command::Keyframe { epoch: self.epoch, reply }).await.is_ok() {
            // An error means that the broadcast is over.
            let _ = done.await;
        }
    }

    /// The push is over.
    pub async fn down(&self, cause: DownCause) {
        // An error means that the broadcast is over.
        let _ = self.broadcast.commands.send(Command::Down { epoch: self.epoch, cause }).await;
    }
}

impl Handle {
    pub fn id(&self) -> &BroadcastId {
        &self.id
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Its media.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What is known of it now.
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// Its status, with every change.
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        let mut status = self.status.clone();
        // A clone takes over what its original has seen, and that one looks at nothing: only what comes from here on
        // is news.
        status.mark_unchanged();
        status
    }

    /// Has something told of it. Where it is gone or has no time, the caller gets it back.
    pub fn tell(&self, notice: NewNotice) -> Result<(), NewNotice> {
        match self.commands.try_reserve() {
            Ok(place) => {
                place.send(Command::Tell { notice });
                Ok(())
            }
            Err(_) => Err(notice),
        }
    }

    /// Asks for `event` on behalf of the API.
    pub async fn control(&self, event: Event) -> Result<(), CommandConflict> {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Control { event, reply }).await.is_err() {
            return Err(CommandConflict::Over);
        }
        done.await.unwrap_or(Err(CommandConflict::Over))
    }

    /// Changes what is said of it.
    pub async fn change(&self, change: Change) -> Result<(), CommandConflict> {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Change { change, reply }).await.is_err() {
            return Err(CommandConflict::Over);
        }
        done.await.unwrap_or(Err(CommandConflict::Over))
    }
}
