//! Who is sent, deleted or dropped next.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kaibo_replay::{Here, Id};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Archive, Error, blocking, live::Live, spool::Spool, whole};
use crate::server::Server;

/// How often recordings that grow are looked at: what a lost disk costs beyond the segment that is being written.
const TICK: Duration = Duration::from_millis(500);

/// How often the folder is looked at for what came there in other ways.
const SURVEY: Duration = Duration::from_secs(30);

/// How often it is seen to that the disk does not hold too much.
const ROOM: Duration = Duration::from_secs(5);

/// Recordings that are worked at at the same time. Live ones have places of their own: what has waited for long must not
/// make them wait.
const LIVE: usize = 4;
const WHOLE: usize = 3;
const DOOMED: usize = 1;

/// How often it is tried whether a bucket that was away is back.
const PROBE: Duration = Duration::from_secs(5);

/// The longest wait between two attempts at the same recording.
const RETRY: Duration = Duration::from_secs(30);

/// Works until it is dropped.
pub async fn run(archive: Arc<Archive>, server: Arc<Server>) {
    let spool_max = server.settings().config.storage.spool_max.0 as u64;
    let mut work = Work {
        archive,
        server,
        spool_max,
        live: HashMap::new(),
        whole: HashMap::new(),
        doomed: HashMap::new(),
        spool: Spool::default(),
        tasks: JoinSet::new(),
        probed: None,
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut surveyed, mut had_room) = (None::<Instant>, None::<Instant>);
    let is_due = |at: Option<Instant>, every| at.is_none_or(|at| at.elapsed() >= every);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(done) = work.tasks.join_next() => {
                // A panic is logged where it happens; what it was about waits for the next start.
                if let Ok(done) = done {
                    work.done(done);
                }
                work.dispatch();
                continue;
            }
        }
        work.see_growing();
        if work.see_changes() || is_due(surveyed, SURVEY) {
            surveyed = Some(Instant::now());
            if let Err(error) = work.survey().await {
                tracing::error!(error = error.brief(), "can't look for recordings that the bucket lacks");
            }
        }
        work.count();
        if is_due(had_room, ROOM) {
            had_room = Some(Instant::now());
            if let Err(error) = work.make_room().await {
                tracing::error!(error = error.brief(), "can't make room on the disk");
            }
        }
        if work.archive.came_back.swap(false, Ordering::Relaxed) {
            work.wait_no_longer();
        }
        work.dispatch();
    }
}

struct Work {
    archive: Arc<Archive>,
    server: Arc<Server>,
    /// Bytes of segments that may be here.
    spool_max: u64,
    live: HashMap<Id, Growing>,
    /// Final recordings that the bucket does not have all of.
    whole: HashMap<Id, Waiting>,
    doomed: HashMap<Id, Attempts>,
    spool: Spool,
    tasks: JoinSet<Done>,
    /// When it was last tried whether the bucket is back.
    probed: Option<Instant>,
}

struct Growing {
    attempts: Attempts,
    /// None while it is sent.
    live: Option<Live>,
    /// Bytes that the bucket does not have, and bytes that are here, as of when it was last looked at.
    bytes: (u64, u64),
}

struct Waiting {
    attempts: Attempts,
    /// When it became final, in milliseconds since 1970.
    since: i64,
    /// Bytes that the bucket does not have.
    waiting: Arc<AtomicU64>,
    /// Bytes that are here.
    here: u64,
}

/// When something is tried again.
struct Attempts {
    under_way: bool,
    failures: u32,
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Live,
    Whole,
    Doomed,
}

enum Done {
    Live(Live, Result<(), Error>),
    Whole(Id, Result<(), Error>),
    Deleted(Id, Result<(), Error>),
}

impl Attempts {
    fn now() -> Self {
        Self { under_way: false, failures: 0, due: Instant::now() }
    }

    /// Notes how it went. The waits grow, and are not the same for all who failed together.
    fn note(&mut self, id: &Id, failed: bool) {
        self.under_way = false;
        if !failed {
            self.failures = 0;
            return;
        }
        let wait = Duration::from_secs(1_u64.checked_shl(self.failures).unwrap_or(u64::MAX)).min(RETRY);
        let spread =
            id.as_str().bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        self.failures = self.failures.saturating_add(1);
        self.due = Instant::now() + wait + Duration::from_millis(spread % 1000);
    }
}

impl Work {
    /// Recordings that begin and those that are over.
    fn see_growing(&mut self) {
        let growing = self.server.recordings.growing(&self.server);
        let names: HashSet<&Id> = growing.iter().map(|(id, ..)| id).collect();
        self.live.retain(|id, known| known.live.is_none() || names.contains(id));
        for (id, listing, window) in growing.iter().filter(|(id, ..)| !self.archive.is_doomed(id)) {
            self.live.entry(id.clone()).or_insert_with(|| Growing {
                attempts: Attempts::now(),
                live: Some(Live::new(id.clone(), listing.clone(), *window)),
                bytes: (0, 0),
            });
        }
    }

    /// Recordings that were deleted or changed. Answers whether there is something to look for on the disk.
    fn see_changes(&mut self) -> bool {
        let doomed = self.archive.doomed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for id in doomed {
            self.spool.forget(&id);
            self.live.retain(|known, growing| *known != id || growing.live.is_none());
            self.whole.retain(|known, waiting| *known != id || waiting.attempts.under_way);
            // What is under way sees by itself that it is of no use any more.
            if !self.live.contains_key(&id) && !self.whole.contains_key(&id) {
                self.doomed.entry(id).or_insert_with(Attempts::now);
            }
        }
        let mut changed = self.archive.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_under_way = |id: &Id| {
            self.live.contains_key(id) || self.whole.get(id).is_some_and(|waiting| waiting.attempts.under_way)
        };
        let now: Vec<Id> = changed.iter().filter(|id| !is_under_way(id)).cloned().collect();
        for id in &now {
            changed.remove(id);
            self.spool.forget(id);
        }
        !now.is_empty()
    }

    /// Finds final recordings that are new here: those that were open, that somebody made, that the bucket brought back.
    async fn survey(&mut self) -> Result<(), Error> {
        let disk = self.archive.disk.clone();
        let ids = blocking(move || disk.ids()).await?;
        let unknown = ids.into_iter().filter(|id| {
            !self.live.contains_key(id) && !self.whole.contains_key(id) && !self.spool.knows(id)
        });
        let (disk, unknown): (_, Vec<Id>) = (self.archive.disk.clone(), unknown.collect());
        let found = blocking(move || {
            let look = |id: Id| Some((disk.here(&id).ok()??, id));
            Ok(unknown.into_iter().filter_map(look).collect::<Vec<(Here, Id)>>())
        });
        for (here, id) in found.await? {
            let Some(finished) = here.finished else { continue };
            let since = finished.wall.0;
            match here.archived {
                true => self.spool.keep(id, since, here.bytes),
                false => {
                    let (attempts, waiting) = (Attempts::now(), Arc::new(AtomicU64::new(here.bytes)));
                    self.whole.insert(id, Waiting { attempts, since, waiting, here: here.bytes });
                }
            }
        }
        Ok(())
    }

    /// Begins what is due, as much of it as there may be at the same time. While the bucket is away that is one thing now
    /// and then, whoever has failed least, so that its return is seen soon and costs it little.
    fn dispatch(&mut self) {
        let now = Instant::now();
        if self.archive.away.load(Ordering::Relaxed) {
            if self.tasks.is_empty() && self.probed.is_none_or(|at| now - at >= PROBE) {
                self.probed = Some(now);
                let waiting = self.waiting().min_by_key(|(attempts, ..)| attempts.failures);
                if let Some((kind, id)) = waiting.map(|(_, kind, id)| (kind, id.clone())) {
                    self.begin(kind, id);
                }
            }
            return;
        }
        let mut due: Vec<(Instant, Kind, Id)> = self
            .waiting()
            .filter(|(attempts, ..)| attempts.due <= now)
            .map(|(attempts, kind, id)| (attempts.due, kind, id.clone()))
            .collect();
        due.sort_by_key(|(since, ..)| *since);
        for (kind, most) in [(Kind::Live, LIVE), (Kind::Whole, WHOLE), (Kind::Doomed, DOOMED)] {
            let free = most.saturating_sub(self.under_way(kind));
            let those: Vec<Id> = due
                .iter()
                .filter(|(_, known, _)| *known == kind)
                .map(|(.., id)| id.clone())
                .take(free)
                .collect();
            those.into_iter().for_each(|id| self.begin(kind, id));
        }
    }

    /// What there is to do, due or not.
    fn waiting(&self) -> impl Iterator<Item = (&Attempts, Kind, &Id)> {
        let has_more = |growing: &Growing| growing.bytes.0 > 0;
        let live = self.live.iter().filter(move |(_, growing)| has_more(growing));
        let live = live.map(|(id, growing)| (&growing.attempts, Kind::Live, id));
        let whole = self.whole.iter().map(|(id, waiting)| (&waiting.attempts, Kind::Whole, id));
        let doomed = self.doomed.iter().map(|(id, attempts)| (attempts, Kind::Doomed, id));
        live.chain(whole).chain(doomed).filter(|(attempts, ..)| !attempts.under_way)
    }

    fn under_way(&self, kind: Kind) -> usize {
        match kind {
            Kind::Live => self.live.values().filter(|growing| growing.attempts.under_way).count(),
            Kind::Whole => self.whole.values().filter(|waiting| waiting.attempts.under_way).count(),
            Kind::Doomed => self.doomed.values().filter(|attempts| attempts.under_way).count(),
        }
    }

    fn begin(&mut self, kind: Kind, id: Id) {
        let archive = self.archive.clone();
        match kind {
            Kind::Live => {
                let Some(growing) = self.live.get_mut(&id) else { return };
                let Some(live) = growing.live.take() else { return };
                growing.attempts.under_way = true;
                self.tasks.spawn(async move {
                    let (live, done) = live.turn(archive).await;
                    Done::Live(live, done)
                });
            }
            Kind::Whole => {
                let Some(waiting) = self.whole.get_mut(&id) else { return };
                waiting.attempts.under_way = true;
                let bytes = waiting.waiting.clone();
                self.tasks.spawn(async move {
                    let done = whole::archive(archive, id.clone(), bytes).await;
                    Done::Whole(id, done)
                });
            }
            Kind::Doomed => {
                let Some(attempts) = self.doomed.get_mut(&id) else { return };
                attempts.under_way = true;
                self.tasks.spawn(async move {
                    let done = whole::delete(archive, id.clone()).await;
                    Done::Deleted(id, done)
                });
            }
        }
    }

    /// What failed with the bucket away is tried again now that it is back.
    fn wait_no_longer(&mut self) {
        let live = self.live.values_mut().map(|growing| &mut growing.attempts);
        let whole = self.whole.values_mut().map(|waiting| &mut waiting.attempts);
        for attempts in live.chain(whole).chain(self.doomed.values_mut()) {
            attempts.due = Instant::now();
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Live(live, done) => {
                let id = live.id.clone();
                if let Some(growing) = self.live.get_mut(&id) {
                    growing.attempts.note(&id, done.is_err());
                    growing.bytes = live.bytes();
                    growing.live = Some(live);
                    tell(&id, growing.attempts.failures, &done);
                }
            }
            Done::Whole(id, done) => {
                let Some(mut waiting) = self.whole.remove(&id) else { return };
                waiting.attempts.note(&id, done.is_err());
                tell(&id, waiting.attempts.failures, &done);
                match done {
                    Ok(()) if self.archive.is_doomed(&id) => {}
                    Ok(()) => {
                        tracing::info!(recording = %id, "all of it is in the bucket");
                        self.spool.keep(id, waiting.since, waiting.here);
                    }
                    Err(_) => {
                        self.whole.insert(id, waiting);
                    }
                }
            }
            Done::Deleted(id, done) => {
                let Some(mut attempts) = self.doomed.remove(&id) else { return };
                attempts.note(&id, done.is_err());
                tell(&id, attempts.failures, &done);
                if done.is_err() {
                    self.doomed.insert(id, attempts);
                }
            }
        }
    }

    /// Bytes of segments that are here.
    fn here(&self) -> u64 {
        let live: u64 = self.live.values().map(|growing| growing.bytes.1).sum();
        let whole: u64 = self.whole.values().map(|waiting| waiting.here).sum();
        self.spool.bytes() + live + whole
    }

    async fn make_room(&mut self) -> Result<(), Error> {
        let excess = self.here().saturating_sub(self.spool_max);
        let live = self.live.values_mut().filter_map(|growing| growing.live.as_mut());
        self.spool.make_room(&self.archive, excess, live).await
    }

    fn count(&mut self) {
        for growing in self.live.values_mut() {
            if let Some(live) = &growing.live {
                growing.bytes = live.bytes();
            }
        }
        let live: u64 = self.live.values().map(|growing| growing.bytes.0).sum();
        let whole: u64 = self.whole.values().map(|waiting| waiting.waiting.load(Ordering::Relaxed)).sum();
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.archive.metrics.archive_backlog.set(signed(live + whole));
        self.archive.metrics.spool_bytes.set(signed(self.here()));
    }
}

/// What is wrong on the disk is told once for each recording; what is wrong with the bucket was told as a whole.
fn tell(id: &Id, failures: u32, done: &Result<(), Error>) {
    if let Err(error @ Error::Disk(_)) = done
        && failures == 1
    {
        tracing::error!(recording = %id, error = error.brief(), "can't bring a recording to the bucket");
    }
}
