//! The broadcasts of a server: who they are, and one actor for each.

mod actor;
mod handle;
mod missing;
mod past;
mod peer;
mod privacy;
mod prune;
mod qualities;
mod quota;
mod status;
mod unsaved;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dashmap::{DashMap, Entry};
use kaibo_broadcast::{App, Broadcast, BroadcastId, Plan, Policy, Publish, Refusal, State, Stream};
use kaibo_media::Span;
use kaibo_store::{Error as StoreError, Filter, Record};
use tokio::{sync::oneshot, task::JoinSet};

use self::{
    actor::Begin,
    handle::Command,
    past::Past,
    qualities::Groups,
    quota::{Quotas, Seat},
};
pub use self::{
    handle::{Change, Handle, Push},
    peer::{Peer, PushFacts},
    privacy::Privacy,
    qualities::stem,
    status::{About, BroadcastObject, Status},
};

use crate::{
    config,
    live::{self},
    notices,
    server::Server,
};

/// Commands that wait for a broadcast's actor: a few per connection that pushes or controls it, each answered at
/// once. Whoever finds it full waits.
const COMMANDS: usize = 64;

/// Recordings that are read at the same time when a server starts: what keeps a disk and some cores busy.
const READ_AT_ONCE: usize = 8;

/// Broadcasts that are over and known again after a restart without asking the store: what viewers of them are told.
const BOOT: usize = 1000;

/// Every broadcast that is not over, and those that ended lately.
#[derive(Default)]
pub struct Broadcasts {
    /// The newest of each name, while its media is in memory.
    by_name: DashMap<(App, Stream), Arc<Handle>>,
    by_id: DashMap<BroadcastId, Arc<Handle>>,
    past: Mutex<Past>,
    groups: Groups,
    quotas: Quotas,
    privacy: Privacy,
}

/// What `POST /broadcasts` asks for.
pub struct Wish {
    pub app: App,
    pub stream: Stream,
    pub about: About,
    pub plan: Plan,
    /// As configured, where it is not said.
    pub resume_window: Option<Duration>,
}

/// Why the API gets no broadcast.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `broadcast.max_per_day`
    #[error("the app has begun as many broadcasts within 24 hours as it may")]
    Quota,
    /// `limits.broadcasts`
    #[error("the server holds as many broadcasts as it may; stop some that nobody will push")]
    TooMany,
}

/// Where a push goes.
struct Entrance {
    broadcast: Arc<Handle>,
    seat: Seat,
    /// It opened the broadcast.
    is_new: bool,
}

impl Broadcasts {
    /// The newest broadcast of a name, while its media is in memory.
    pub fn named(&self, app: &App, stream: &Stream) -> Option<Arc<Handle>> {
        self.by_name.get(&(app.clone(), stream.clone())).map(|found| found.clone())
    }

    /// What is known of the newest broadcast of a name.
    pub fn named_status(&self, app: &App, stream: &Stream) -> Option<Arc<Status>> {
        let now = self.named(app, stream).map(|handle| handle.status());
        now.or_else(|| self.past().newest(&(app.clone(), stream.clone())).cloned())
    }

    /// The broadcast `id`, while its media is in memory.
    pub fn get(&self, id: &BroadcastId) -> Option<Arc<Handle>> {
        self.by_id.get(id).map(|found| found.clone())
    }

    /// What is known of the broadcast `id`.
    pub async fn status(&self, server: &Server, id: &BroadcastId) -> Result<Option<Arc<Status>>, StoreError> {
        if let Some(handle) = self.get(id) {
            return Ok(Some(handle.status()));
        }
        let id = id.clone();
        let record = server.store.ask(move |store| store.get(&id)).await?;
        record.map(|record| Status::of_record(&record, server.clock.now()).map(Arc::new)).transpose()
    }

    /// Every broadcast in memory.
    pub fn all(&self) -> Vec<Arc<Handle>> {
        self.by_id.iter().map(|entry| entry.value().clone()).collect()
    }

    /// A page of all broadcasts, newest first, and where the next one begins.
    pub async fn list(
        &self,
        server: &Server,
        filter: Filter,
    ) -> Result<(Vec<Arc<Status>>, Option<u64>), StoreError> {
        let page = server.store.ask(move |store| store.list(&filter)).await?;
        let now = server.clock.now();
        let status = |record: &Record| match self.get(&record.id) {
            Some(handle) => Ok(handle.status()),
            None => Status::of_record(record, now).map(Arc::new),
        };
        Ok((page.items.iter().map(status).collect::<Result<_, _>>()?, page.next))
    }

    /// Takes up what the store knows: broadcasts that are not over go on, the newest of those that are stay known.
    pub async fn boot(&self, server: &Arc<Server>) -> Result<(), StoreError> {
        let known =
            server.store.ask(|store| store.list(&Filter { limit: BOOT, ..Filter::default() })).await?;
        let now = server.clock.now();
        for record in known.items.iter().rev().filter(|record| record.is_final) {
            match Status::of_record(record, now) {
                Ok(status) => self.past().push(Arc::new(status)),
                // One that can't be read must not keep the server from starting.
                Err(error) => {
                    tracing::error!(broadcast = %record.id, %error, "a past broadcast can't be read")
                }
            }
        }
        let mut open = server.store.ask(|store| store.open()).await?.into_iter();
        loop {
            let read = |record: Record| {
                let past = tokio::spawn(past(server.clone(), record.id.clone(), record.app.clone()));
                (record, past)
            };
            let reading: Vec<_> = open.by_ref().take(READ_AT_ONCE).map(read).collect();
            if reading.is_empty() {
                return Ok(());
            }
            for (record, past) in reading {
                server.audiences.go_on(server, &record.id).await;
                // A panic is logged where it happens.
                self.go_on(server, record, past.await.unwrap_or_default());
            }
        }
    }

    /// Goes on with a broadcast whose media is the `past`.
    fn go_on(&self, server: &Arc<Server>, record: Record, mut past: live::Past) {
        let broadcast = match record.broadcast() {
            Ok(broadcast) => broadcast,
            // One that can't be read must not keep the others from going on.
            Err(error) => {
                return tracing::error!(broadcast = %record.id, %error, "can't go on with a broadcast");
            }
        };
        if let Some(started) = broadcast.started_at().filter(|_| past.tail.is_empty()) {
            past.leap(server.clock.now().since(started));
        }
        let about = About::of_record(&record);
        let settings = &server.app_settings(record.app.as_ref());
        let handle = actor::spawn(server, broadcast, about, settings, Begin::Boot(Box::new(past)));
        self.by_name.insert((record.app, record.stream), handle.clone());
        self.by_id.insert(record.id, handle);
        server.metrics.broadcasts.inc();
    }

    /// Lets a push in, whose signature is right: into the open broadcast of its name, or into a new one. Waits up to
    /// 3 s where another publisher has to prove itself first.
    pub async fn publish(
        &self,
        server: &Arc<Server>,
        app: &App,
        stream: &Stream,
        publish: Publish,
        peer: Peer,
    ) -> Result<Push, Refusal> {
        let is_open = self.named_status(app, stream).is_some_and(|status| !status.state.is_final());
        let (turn, is_one_too_many) = match is_open {
            // Whoever comes back is not counted again.
            true => (None, false),
            false => self.quotas.turn(server, app).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the broadcasts of a day can't be counted; this push is let in");
                (None, false)
            }),
        };
        let Entrance { broadcast: handle, seat, is_new } =
            match self.admit(server, app, stream, &publish, is_one_too_many) {
                Ok(entrance) => entrance,
                Err(refusal) => {
                    notices::refused(server, app, stream, &refusal, &peer).await;
                    return Err(refusal);
                }
            };
        // Once there is an answer, what was opened is stored.
        let _turn = turn.filter(|_| is_new);
        let (reply, answer) = oneshot::channel();
        if handle.commands.send(Command::Publish { publish, peer, reply }).await.is_err() {
            return Err(gone(server));
        }
        let push = answer.await.unwrap_or_else(|_| Err(gone(server)))?;
        Ok(push.with_seat(seat))
    }

    fn admit(
        &self,
        server: &Arc<Server>,
        app: &App,
        stream: &Stream,
        publish: &Publish,
        is_one_too_many: bool,
    ) -> Result<Entrance, Refusal> {
        let settings = &server.app_settings(app.as_str());
        // The entry is held over look-up and insertion: of two pushes at once, one opens and the other joins.
        let entry = self.by_name.entry((app.clone(), stream.clone()));
        let status = match &entry {
            Entry::Occupied(known) => Some(known.get().status()),
            Entry::Vacant(_) => self.past().newest(entry.key()).cloned(),
        };
        let door = kaibo_broadcast::Door {
            banned_until: server.bans.until(app, stream, server.clock.now()),
            open: status.as_ref().is_some_and(|status| !status.state.is_final()),
            barred: status.as_ref().map(|status| status.barred.as_slice()).unwrap_or_default(),
            auto_create: settings.broadcast.auto_create,
        };
        let admission = door.admit(publish, server.clock.now())?;
        // A first push takes a place; one that comes back always has its own.
        let is_first =
            status.as_ref().is_none_or(|status| status.state.is_final() || status.state == State::Created);
        let most = Some(settings.broadcast.max_live).filter(|most| is_first && *most > 0);
        let seat = self.quotas.seat(app, most).ok_or(Refusal::TooManyPushes)?;
        match (admission, entry) {
            (kaibo_broadcast::Admission::Join, Entry::Occupied(known)) => {
                Ok(Entrance { broadcast: known.get().clone(), seat, is_new: false })
            }
            _ if is_one_too_many => Err(Refusal::TooManyPushes),
            (_, entry) => {
                // The new one may leave no trace; the one before it still bars its keys then.
                self.past_takes(&entry);
                let about = About::new(String::new(), None, !settings.record.public);
                let id = new_id();
                let broadcast = Broadcast::ad_hoc(
                    id.clone(),
                    app.clone(),
                    stream.clone(),
                    policy(server, settings),
                    door.barred,
                    server.clock.now(),
                );
                let handle = actor::spawn(server, broadcast, about, settings, Begin::Push);
                self.by_id.insert(id, handle.clone());
                server.metrics.broadcasts.inc();
                entry.insert(handle.clone());
                Ok(Entrance { broadcast: handle, seat, is_new: true })
            }
        }
    }

    /// Makes a broadcast for the API; it is stored when this returns. Fails with [`StoreError::NameTaken`] while
    /// another one of its name is not over, and where a quota says so.
    pub async fn create(&self, server: &Arc<Server>, wish: Wish) -> Result<Arc<Handle>, CreateError> {
        let (_turn, is_one_too_many) = self.quotas.turn(server, &wish.app).await?;
        if is_one_too_many {
            return Err(CreateError::Quota);
        }
        if self.by_id.len() >= server.settings().config.limits.broadcasts {
            return Err(CreateError::TooMany);
        }
        let (stored, answer) = oneshot::channel();
        let handle = self.open(server, wish, stored)?;
        answer.await.unwrap_or(Err(StoreError::Closed))?;
        Ok(handle)
    }

    fn open(
        &self,
        server: &Arc<Server>,
        wish: Wish,
        stored: oneshot::Sender<Result<(), StoreError>>,
    ) -> Result<Arc<Handle>, StoreError> {
        let Wish { app, stream, about, plan, resume_window } = wish;
        // As in `admit`: of two at once, one opens the name.
        let entry = self.by_name.entry((app.clone(), stream.clone()));
        if let Entry::Occupied(known) = &entry
            && !known.get().status().state.is_final()
        {
            return Err(StoreError::NameTaken { app, stream });
        }
        self.past_takes(&entry);
        let settings = &server.app_settings(app.as_str());
        let mut policy = policy(server, settings);
        policy.resume_window = resume_window.unwrap_or(policy.resume_window);
        let id = new_id();
        let (broadcast, effects) =
            Broadcast::create(id.clone(), app, stream, plan, policy, server.clock.now());
        let handle = actor::spawn(server, broadcast, about, settings, Begin::Api(effects, stored));
        self.by_id.insert(id, handle.clone());
        server.metrics.broadcasts.inc();
        entry.insert(handle.clone());
        Ok(handle)
    }

    /// Changes what is said of a broadcast that is over and no longer in memory.
    pub async fn change_past(
        &self,
        server: &Server,
        id: &BroadcastId,
        title: Option<String>,
        replay_public: Option<bool>,
    ) -> Result<(), StoreError> {
        let change = move |record| Status::changed(record, title.clone(), replay_public);
        self.rewrite(server, id, change).await
    }

    /// The replay of a broadcast that is over and no longer in memory is gone. The broadcast stays known.
    pub async fn without_replay(&self, server: &Server, id: &BroadcastId) -> Result<(), StoreError> {
        self.rewrite(server, id, Status::without_replay).await
    }

    async fn rewrite(
        &self,
        server: &Server,
        id: &BroadcastId,
        change: impl Fn(Record) -> Record + Send + 'static,
    ) -> Result<(), StoreError> {
        let asked = id.clone();
        let changed = server.store.ask(move |store| {
            let Some(record) = store.get(&asked)? else { return Ok(None) };
            let record = change(record);
            store.save(&record, &[])?;
            Ok(Some(record))
        });
        let changed = changed.await;
        self.privacy.forget(id);
        if let Some(record) = changed? {
            let status = Arc::new(Status::of_record(&record, server.clock.now())?);
            self.past().replace(&status);
        }
        Ok(())
    }

    /// The replay of `id` is not for everybody. None: nobody knows the broadcast any more.
    pub async fn has_private_replay(
        &self,
        server: &Server,
        id: &BroadcastId,
    ) -> Result<Option<bool>, StoreError> {
        if let Some(handle) = self.get(id) {
            return Ok(Some(handle.status().replay_private));
        }
        let changes = match self.privacy.look_up(id) {
            Ok(private) => return Ok(Some(private)),
            Err(changes) => changes,
        };
        let private = self.status(server, id).await?.map(|status| status.replay_private);
        if let Some(private) = private {
            self.privacy.learn(id.clone(), private, changes);
        }
        Ok(private)
    }

    /// Takes a broadcast that is over out of memory, once nobody writes to its recording. Its name remembers the keys
    /// that it was stopped with: their encoders still knock.
    pub async fn forget(&self, server: &Server, known: &Status) {
        if let Some(handle) = self.get(&known.id) {
            let (reply, done) = oneshot::channel();
            if handle.commands.send(Command::Forget { reply }).await.is_ok() {
                // An error means that it is gone already.
                let _ = done.await;
            }
            self.retire(&handle, false);
        }
        self.past().delete(known);
        server.audiences.forget(&known.id);
    }

    /// What is known by its name is over, and another one is about to take its place.
    fn past_takes(&self, entry: &Entry<'_, (App, Stream), Arc<Handle>>) {
        if let Entry::Occupied(known) = entry {
            self.past().push(known.get().status());
        }
    }

    /// Drops the media of a broadcast that is over. `remember`: it stays in the list of broadcasts.
    fn retire(&self, handle: &Handle, remember: bool) {
        // In this order: whoever looks meanwhile finds it at least once.
        if remember {
            self.past().push(handle.status());
        }
        self.by_name
            .remove_if(&(handle.app.clone(), handle.stream.clone()), |_, known| known.id == handle.id);
        self.by_id.remove(&handle.id);
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings every broadcast to the disk before the server stops, all of them at the same time.
    pub async fn close(&self) {
        let mut closing = JoinSet::new();
        for handle in self.all() {
            closing.spawn(async move {
                let (reply, done) = oneshot::channel();
                if handle.commands.send(Command::Close { reply }).await.is_ok() {
                    // An error means that it is over, and nobody writes to it any more.
                    let _ = done.await;
                }
            });
        }
        while closing.join_next().await.is_some() {}
    }
}

/// What the media of the broadcast `id` goes on from.
async fn past(server: Arc<Server>, id: BroadcastId, app: App) -> live::Past {
    let settings = server.app_settings(app.as_ref());
    let window = Span::from_millis(settings.hls.window.as_millis());
    let reach = Span::from_millis(settings.hls.dvr_window.as_millis());
    server.recordings.past(&id, window, reach).await.unwrap_or_else(|error| {
        tracing::error!(broadcast = %id, %error, "its media can't be read; its playlist begins anew");
        live::Past::default()
    })
}

/// Why a broadcast has no actor any more.
fn gone(server: &Server) -> Refusal {
    if server.is_ready() { Refusal::Ended } else { Refusal::Stopping }
}

/// A new identity: 32 characters that sort by the time they were made (UUID version 7, RFC 9562 §5.7).
fn new_id() -> BroadcastId {
    let id = uuid::Uuid::now_v7().simple().to_string();
    // Hexadecimal digits are within the alphabet of names, so the loop ends at once.
    loop {
        if let Ok(id) = id.parse() {
            return id;
        }
    }
}

fn policy(server: &Server, settings: &config::App) -> Policy {
    Policy {
        resume_window: settings.broadcast.resume_window.0,
        max_duration: settings.broadcast.max_duration.0,
        first_media: server.settings().config.rtmp.first_media_timeout.0,
        conflict: settings.broadcast.conflict,
        end_on_unpublish: settings.broadcast.end_on_unpublish,
        expired_resume: settings.auth.push.expired_resume,
    }
}
