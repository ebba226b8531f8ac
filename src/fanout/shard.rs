//! One walker through many sockets.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use kaibo_hub::Ring;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    pace::Pace,
    viewer::{Room, Viewer, Visit},
};
use crate::{
    load::Load,
    packager::{Shared, Watch},
};

/// How long viewers are visited before others on this core have their turn: publishers above all. A viewer takes some 5 µs,
/// with a keyframe 20.
const TURN: Duration = Duration::from_micros(250);

/// How often every viewer is visited, media or not: for what is due by the clock.
const TICK: Duration = Duration::from_secs(5);

/// What the rest of the server sees of a shard.
#[derive(Default)]
pub struct Shard {
    inbox: Mutex<Inbox>,
    news: Notify,
    arrivals: Notify,
    viewers: AtomicUsize,
}

/// What a shard has yet to look at.
#[derive(Default)]
struct Inbox {
    /// As many as there are places for connections at the most.
    newcomers: Vec<Viewer>,
    /// Audiences with something to do, each once.
    ready: VecDeque<u64>,
}

impl Shard {
    /// Those who are here, and those who are about to.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    pub fn take(&self, viewer: Viewer) {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        self.inbox().newcomers.push(viewer);
        self.arrivals.notify_one();
    }

    /// Nobody is here any more.
    pub fn start_over(&self) {
        let mut inbox = self.inbox();
        inbox.ready.clear();
        self.viewers.store(inbox.newcomers.len(), Ordering::Relaxed);
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a shard for one audience.
struct Bell {
    shard: Arc<Shard>,
    audience: u64,
    /// It is in the list of those that are ready.
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.shard.inbox().ready.push_back(self.audience);
            self.shard.news.notify_one();
        }
    }
}

/// The viewers of one ring.
struct Audience {
    ring: Ring<Shared>,
    watch: Watch,
    viewers: Vec<Viewer>,
    bell: Arc<Bell>,
    /// Its only waker: the ring and the sockets know it by that.
    waker: Waker,
    /// Whom a pass that is under way comes to next.
    next: usize,
    /// There is one.
    under_way: bool,
    /// The round that it was in last.
    round: u64,
}

impl Audience {
    /// Whatever comes from now on rings the bell again.
    fn begin_pass(&mut self) {
        self.bell.rung.store(false, Ordering::Release);
        let mut cx = Context::from_waker(&self.waker);
        self.watch.poll_look(&mut cx);
        self.next = 0;
        self.under_way = true;
    }

    /// Visits those whom there is time for; answers how many are gone, and whether the pass is over.
    fn go_on(&mut self, turn: &Turn, room: &mut Room) -> (usize, bool) {
        let mut cx = Context::from_waker(&self.waker);
        let mut gone = 0;
        while let Some(viewer) = self.viewers.get_mut(self.next) {
            match viewer.visit(&mut cx, turn.began, room) {
                Visit::Stays => self.next += 1,
                Visit::Leaves => {
                    self.viewers.swap_remove(self.next);
                    gone += 1;
                }
            }
            if turn.is_over() {
                break;
            }
        }
        (gone, self.next >= self.viewers.len())
    }
}

/// What a shard does before others on its core are asked.
struct Turn {
    began: Instant,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.began.elapsed() >= TURN
    }
}

/// Everything that a shard walks through.
struct Audiences {
    shard: Arc<Shard>,
    by_number: HashMap<u64, Audience>,
    numbers: HashMap<Ring<Shared>, u64>,
    last: u64,
    round: Round,
    room: Room,
}

/// Audiences that take turns until each is through with what is new.
#[derive(Default)]
struct Round {
    /// How many there were, this one included.
    number: u64,
    /// Those that have not had a turn in it. They come first: most are small.
    fresh: VecDeque<u64>,
    /// Those whose pass takes longer than a turn.
    unfinished: VecDeque<u64>,
}

impl Round {
    /// Whose turn it is.
    fn next(&mut self) -> Option<u64> {
        self.fresh.pop_front().or_else(|| self.unfinished.pop_front())
    }

    fn is_over(&self) -> bool {
        self.fresh.is_empty() && self.unfinished.is_empty()
    }
}

/// Serves a shard for as long as the server lives.
pub async fn run(shard: Arc<Shard>) {
    let mut audiences = Audiences {
        shard: shard.clone(),
        by_number: HashMap::new(),
        numbers: HashMap::new(),
        last: 0,
        round: Round::default(),
        room: Room::default(),
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut load = Load::new();
    let mut pace = Pace::new(Instant::now(), load.busy(Instant::now()));
    loop {
        tokio::select! {
            () = shard.news.notified() => {}
            () = shard.arrivals.notified() => {}
            _ = ticks.tick() => audiences.ring_all(),
        }
        pace.begin(Instant::now());
        audiences.round.number += 1;
        loop {
            let turn = Turn { began: Instant::now() };
            audiences.admit(turn.began);
            audiences.call_in();
            while !turn.is_over()
                && let Some(number) = audiences.round.next()
            {
                audiences.go_on(number, &turn);
            }
            if turn.is_over() {
                yield_now().await;
            }
            if audiences.round.is_over() {
                break;
            }
        }
        let now = Instant::now();
        let rest = pace.end(now, load.busy(now));
        if !rest.is_zero() {
            audiences.rest(rest).await;
        }
    }
}

impl Audiences {
    /// Lets newcomers in, and shows them what there is.
    fn admit(&mut self, now: Instant) {
        let newcomers = mem::take(&mut self.shard.inbox().newcomers);
        for mut viewer in newcomers {
            let ring = viewer.blocks().ring();
            let number = *self.numbers.entry(ring.clone()).or_insert_with(|| {
                self.last += 1;
                self.last
            });
            let audience = self.by_number.entry(number).or_insert_with(|| {
                let bell = Bell { shard: self.shard.clone(), audience: number, rung: AtomicBool::new(false) };
                let bell = Arc::new(bell);
                let waker = Waker::from(bell.clone());
                // A pass follows soon: only then does the ring know whom to wake.
                waker.wake_by_ref();
                Audience {
                    watch: viewer.blocks().watch(),
                    ring,
                    viewers: Vec::new(),
                    bell,
                    waker,
                    next: 0,
                    under_way: false,
                    round: 0,
                }
            });
            match viewer.welcome(&mut Context::from_waker(&audience.waker), now, &mut self.room) {
                Visit::Stays => audience.viewers.push(viewer),
                Visit::Leaves => {
                    self.shard.viewers.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Waits, and lets in who comes meanwhile.
    async fn rest(&mut self, rest: Duration) {
        let shard = self.shard.clone();
        let mut over = pin!(sleep(rest));
        loop {
            tokio::select! {
                () = &mut over => return,
                () = shard.arrivals.notified() => self.admit(Instant::now()),
            }
        }
    }

    /// Those with something to do join the round, each once: what comes for it after that gathers for the next.
    fn call_in(&mut self) {
        let mut inbox = self.shard.inbox();
        for _ in 0..inbox.ready.len() {
            let Some(number) = inbox.ready.pop_front() else { return };
            let Some(audience) = self.by_number.get_mut(&number) else { continue };
            if audience.round == self.round.number {
                inbox.ready.push_back(number);
            } else {
                audience.round = self.round.number;
                self.round.fresh.push_back(number);
            }
        }
    }

    /// Goes on with a pass. One that takes longer than its turn comes to its end behind the others': nobody waits for all
    /// viewers of a stream that has many.
    fn go_on(&mut self, number: u64, turn: &Turn) {
        let Some(audience) = self.by_number.get_mut(&number) else { return };
        if audience.under_way {
            // Those who come late in it need not wait for the next one, in which their turn is late again.
            audience.watch.look();
        } else {
            audience.begin_pass();
        }
        let (gone, over) = audience.go_on(turn, &mut self.room);
        audience.under_way = !over;
        self.shard.viewers.fetch_sub(gone, Ordering::Relaxed);
        if audience.viewers.is_empty() {
            self.numbers.remove(&audience.ring);
            self.by_number.remove(&number);
        } else if !over {
            self.round.unfinished.push_back(number);
        }
    }

    /// Everybody is visited soon.
    fn ring_all(&self) {
        self.by_number.values().for_each(|audience| audience.waker.wake_by_ref());
    }
}
