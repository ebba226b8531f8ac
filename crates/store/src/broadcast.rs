//! Broadcasts as they are stored.

use std::sync::Arc;

use kaibo_broadcast::{App, Broadcast, BroadcastId, Millis, Stream};

use crate::{Error, NewNotice, Page};

/// One broadcast as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its identity.
    pub id: BroadcastId,
    /// The app.
    pub app: App,
    /// The name within it.
    pub stream: Stream,
    /// The `state` of the API.
    pub state: String,
    /// Nothing can happen to it any more.
    pub is_final: bool,
    /// When it was made. Never changes.
    pub created_at: Millis,
    /// When it became public.
    pub started_at: Option<Millis>,
    /// When it became final.
    pub ended_at: Option<Millis>,
    /// Its title, for people.
    pub title: String,
    /// The node that runs it.
    pub owner: String,
    /// Grows with every change of owner: a node that lost the broadcast cannot write to it any more.
    pub epoch: u64,
    /// JSON of the state machine.
    pub snapshot: String,
    /// JSON of what only the API knows.
    pub extra: String,
}

impl Record {
    /// The record of `broadcast`, run by `owner` since `epoch`, without a title and with an empty `extra`.
    pub fn new(broadcast: &Broadcast, owner: &str, epoch: u64) -> Result<Self, Error> {
        let id = broadcast.id().clone();
        let snapshot = serde_json::to_string(broadcast)
            .map_err(|cause| Error::Snapshot { id: id.clone(), cause: Arc::new(cause) })?;
        Ok(Self {
            id,
            app: broadcast.app().clone(),
            stream: broadcast.stream().clone(),
            state: broadcast.state().name().to_owned(),
            is_final: broadcast.state().is_final(),
            created_at: broadcast.created_at(),
            started_at: broadcast.started_at(),
            ended_at: broadcast.ended_at(),
            title: String::new(),
            owner: owner.to_owned(),
            epoch,
            snapshot,
            extra: "{}".to_owned(),
        })
    }

    /// The state machine, to go on with.
    pub fn broadcast(&self) -> Result<Broadcast, Error> {
        serde_json::from_str(&self.snapshot)
            .map_err(|cause| Error::Snapshot { id: self.id.clone(), cause: Arc::new(cause) })
    }
}

/// Which broadcasts a list is to hold; by default the newest ones.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<String>,
    /// Only those of this app.
    pub app: Option<App>,
    /// Only those of this name.
    pub stream: Option<Stream>,
    /// Where the page begins: the [`Page::next`] of the one before.
    pub cursor: Option<u64>,
    /// How many; at most [`crate::PAGE`].
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { state: None, app: None, stream: None, cursor: None, limit: 50 }
    }
}

/// The broadcasts of a server, over or not.
pub trait Broadcasts {
    /// One transition: the broadcast as it is now, and the notices that follow from it. Answers the
    /// [`crate::Notice::sequence`] of each. Repeated, it changes nothing: a notice is known by its id.
    ///
    /// Fails with [`Error::NameTaken`] if another broadcast of the name is not final, with [`Error::Fenced`] if the
    /// stored epoch is newer.
    fn save(&mut self, record: &Record, notices: &[NewNotice]) -> Result<Vec<u64>, Error>;

    /// The broadcast `id`.
    fn get(&self, id: &BroadcastId) -> Result<Option<Record>, Error>;

    /// Every broadcast that is not final, oldest first, for the start of the server.
    fn open(&self) -> Result<Vec<Record>, Error>;

    /// The newest broadcast of a name, over or not.
    fn newest_named(&self, app: &App, stream: &Stream) -> Result<Option<Record>, Error>;

    /// The broadcasts that pass `filter`, newest first.
    fn list(&self, filter: &Filter) -> Result<Page<Record>, Error>;

    /// Broadcasts that ended before `before`, oldest first, from behind the `after` that [`Page::next`] of the page before
    /// has: for whoever knows which of them need not be kept.
    fn over(&self, before: Millis, after: Option<u64>, limit: usize) -> Result<Page<Record>, Error>;

    /// How many broadcasts of `app` were made at `since` or later, and are not forgotten.
    fn made_since(&self, app: &App, since: Millis) -> Result<u64, Error>;

    /// Forgets a broadcast; its notices are sent all the same. False: there was none. Nothing else removes a
    /// broadcast.
    fn delete(&mut self, id: &BroadcastId) -> Result<bool, Error>;
}
