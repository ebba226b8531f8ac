//! Clips and edited versions: what is cut out of recordings, and who sees to it.
//!
//! A clip's row says what it is to be, its recording is made once everything for it is recorded. Between the two it is
//! *open*, and a task follows it ([`follow`]); after a restart the open ones are followed again.

mod cut;
mod follow;
mod object;

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use kaibo_broadcast::BroadcastId;
use kaibo_store::{Clip, ClipFilter, ClipKind, Error as StoreError};
use tokio::{sync::watch, time::timeout};

pub use self::{
    cut::{Cut, Passage},
    object::{ClipObject, State, VersionObject},
};
use crate::{broadcasts::Privacy, recorder::Replay, server::Server};

/// Live marks of one broadcast at once: products that are explained at the same time.
pub const OPEN: usize = 16;

/// How long a caller waits for the rest of a segment, beyond its target duration: for the disk, and for what is made of
/// it.
const PATIENCE: Duration = Duration::from_secs(4);

/// The longest segment that is waited for where its length is not known yet.
const SEGMENT: u32 = 6;

/// What is being done for clips.
#[derive(Default)]
pub struct Clips {
    /// Those that are followed; a word wakes who does it, and the end of the channel is the end of that.
    followed: DashMap<BroadcastId, watch::Sender<()>>,
    private: Privacy,
    /// Broadcasts that ended by a ban, of those that are no longer in memory.
    banned: Privacy,
}

/// Why there is no such clip.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{OPEN} clips of this broadcast are being marked already; stop one first")]
    TooManyOpen,
}

impl Clips {
    /// Takes up what the store knows.
    pub async fn boot(&self, server: &Arc<Server>) -> Result<(), StoreError> {
        for clip in server.store.ask(|store| store.open_clips()).await? {
            self.follow(server, clip.id);
        }
        Ok(())
    }

    /// Stores a new clip and has it followed. Where its end is known, waits a moment for it to be ready.
    pub async fn create(
        &self,
        server: &Arc<Server>,
        clip: Clip,
        replay: &Replay,
    ) -> Result<Clip, CreateError> {
        let (id, marked) = (clip.id.clone(), State::of(&clip) == Some(State::Recording));
        let saved = clip.clone();
        let is_one_too_many = server.store.ask(move |store| {
            let of_same = |open: &Clip| open.broadcast == saved.broadcast;
            if marked && store.open_clips()?.iter().filter(|open| of_same(open)).count() >= OPEN {
                return Ok(true);
            }
            store.save_clip(&saved, &[]).map(|_| false)
        });
        if is_one_too_many.await? {
            return Err(CreateError::TooManyOpen);
        }
        self.follow(server, id.clone());
        if !marked {
            self.wait(&id, replay).await;
        }
        Ok(self.get(server, &id).await?.unwrap_or(clip))
    }

    /// Ends a clip that is being marked at `to_ms` of media time; one that is not stays as it is.
    pub async fn stop(
        &self,
        server: &Arc<Server>,
        id: &BroadcastId,
        to_ms: i64,
        replay: &Replay,
    ) -> Result<Option<Clip>, StoreError> {
        if end(server, id, to_ms).await? {
            self.wake(id);
        }
        self.wait(id, replay).await;
        self.get(server, id).await
    }

    /// The clip or version `id`.
    pub async fn get(&self, server: &Server, id: &BroadcastId) -> Result<Option<Clip>, StoreError> {
        let id = id.clone();
        server.store.ask(move |store| store.clip(&id)).await
    }

    /// Changes what is said of a clip; answers it as it is then.
    pub async fn change(
        &self,
        server: &Server,
        id: &BroadcastId,
        title: Option<String>,
        public: Option<bool>,
    ) -> Result<Option<Clip>, StoreError> {
        let asked = id.clone();
        let changed = server.store.ask(move |store| {
            let Some(mut clip) = store.clip(&asked)? else { return Ok(None) };
            clip.title = title.clone().unwrap_or(clip.title);
            clip.public = public.unwrap_or(clip.public);
            store.save_clip(&clip, &[])?;
            Ok(Some(clip))
        });
        let changed = changed.await;
        self.private.forget(id);
        changed
    }

    /// The clips of `broadcast` are for everybody from now on, or not.
    pub async fn publish(
        &self,
        server: &Server,
        broadcast: &BroadcastId,
        public: bool,
    ) -> Result<(), StoreError> {
        let asked = broadcast.clone();
        let changed = server.store.ask(move |store| store.publish_clips(&asked, public)).await;
        self.private.forget_all();
        changed
    }

    /// A clip is not for everybody. None: nobody knows it any more.
    pub async fn is_private(&self, server: &Server, id: &BroadcastId) -> Result<Option<bool>, StoreError> {
        let changes = match self.private.look_up(id) {
            Ok(private) => return Ok(Some(private)),
            Err(changes) => changes,
        };
        let private = self.get(server, id).await?.map(|clip| !clip.public);
        if let Some(private) = private {
            self.private.learn(id.clone(), private, changes);
        }
        Ok(private)
    }

    /// What was cut out of `broadcast` is withheld with it.
    pub async fn is_withheld(&self, server: &Server, broadcast: &BroadcastId) -> Result<bool, StoreError> {
        if let Some(handle) = server.broadcasts.get(broadcast) {
            return Ok(handle.status().state.is_withheld());
        }
        let changes = match self.banned.look_up(broadcast) {
            Ok(banned) => return Ok(banned),
            Err(changes) => changes,
        };
        // Of a banned one that nobody knows any more the clips are gone, too.
        let Some(status) = server.broadcasts.status(server, broadcast).await? else { return Ok(false) };
        let banned = status.state.is_withheld();
        self.banned.learn(broadcast.clone(), banned, changes);
        Ok(banned)
    }

    /// Deletes a clip for good.
    pub async fn delete(&self, server: &Server, id: &BroadcastId) -> Result<(), DeleteError> {
        // In this order: a row without a recording can be deleted again, the other way round nobody would know of it.
        server.recordings.delete(id).await?;
        let asked = id.clone();
        server.store.ask(move |store| store.delete_clip(&asked)).await?;
        // It may have been made in between.
        server.recordings.delete(id).await?;
        self.private.forget(id);
        // Whoever follows it finds that it is gone.
        self.wake(id);
        Ok(())
    }

    /// Deletes every clip and version of `broadcast`.
    pub async fn delete_all_of(&self, server: &Server, broadcast: &BroadcastId) -> Result<(), DeleteError> {
        let filter = ClipFilter {
            broadcast: Some(broadcast.clone()),
            limit: kaibo_store::PAGE,
            ..ClipFilter::default()
        };
        // A broadcast has no more of them than a page does.
        for clip in server.store.ask(move |store| store.clips(&filter)).await?.items {
            self.delete(server, &clip.id).await?;
        }
        Ok(())
    }

    fn follow(&self, server: &Arc<Server>, id: BroadcastId) {
        let (wake, woken) = watch::channel(());
        self.followed.insert(id.clone(), wake);
        let server = server.clone();
        tokio::spawn(async move {
            let mut closing = server.closing();
            tokio::select! {
                () = follow::to_its_end(&server, &id, woken) => {}
                // The next start goes on with it.
                () = closing.wait() => {}
            }
            server.clips.followed.remove(&id);
        });
    }

    fn wake(&self, id: &BroadcastId) {
        if let Some(wake) = self.followed.get(id) {
            wake.send_replace(());
        }
    }

    /// Returns when nobody follows the clip any more, or when whoever asked has waited for long enough.
    async fn wait(&self, id: &BroadcastId, replay: &Replay) {
        let Some(mut followed) = self.followed.get(id).map(|wake| wake.subscribe()) else { return };
        let over = async { while followed.changed().await.is_ok() {} };
        let segment = Duration::from_secs(replay.target_duration().unwrap_or(SEGMENT).into());
        // What takes longer than this is told by its event.
        let _ = timeout(segment + PATIENCE, over).await;
    }
}

/// Why a clip is still there.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Recording(#[from] kaibo_replay::Error),
}

/// Ends a clip that is being marked. False: it was ended before, or there is none.
async fn end(server: &Server, id: &BroadcastId, to_ms: i64) -> Result<bool, StoreError> {
    let id = id.clone();
    server
        .store
        .ask(move |store| {
            let Some(clip) = store.clip(&id)? else { return Ok(false) };
            let Some(cut) = Cut::of(&clip).ended(to_ms) else { return Ok(false) };
            let clip = Clip { state: State::Waiting.name().into(), cut: cut.to_json(), ..clip };
            store.save_clip(&clip, &[]).map(|_| true)
        })
        .await
}

/// A new identity: what it is, and 32 characters that sort by the time they were made.
pub fn new_id(kind: ClipKind) -> BroadcastId {
    let prefix = match kind {
        ClipKind::Clip => 'c',
        ClipKind::Version => 'v',
    };
    let id = format!("{prefix}-{}", uuid::Uuid::now_v7().simple());
    // Letters, digits and `-` are within the alphabet of names, so the loop ends at once.
    loop {
        if let Ok(id) = id.parse() {
            return id;
        }
    }
}
