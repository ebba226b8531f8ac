//! Who watches the broadcasts: counted while they are watched, stored as buckets of counts. What a viewer is, is said here
//! alone; status, metrics and the audience of a broadcast count the same ones.

mod person;
mod registry;

use std::{
    hash::{BuildHasher, RandomState},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kaibo_audience::{Bucket, Crowd, Entrance, Pace, Phase, Seen};
use kaibo_broadcast::Millis;
use prometheus_client::metrics::{family::Family, gauge::Gauge};

use self::person::Salt;
pub use self::{
    person::{Person, Viewer},
    registry::{Audiences, Report},
};
use crate::{server::Clock, telemetry::Protocol};

/// Requests of one session under way at once. A player has a handful; more is a link that was passed around.
const AT_ONCE: u32 = 64;

/// Bytes that a connected viewer is sent before they are counted: at 2 Mbit/s it takes a lock once a second, not once a
/// block.
const LUMP: u64 = 256 << 10;

/// The viewers of one broadcast.
pub struct Audience {
    clock: Clock,
    /// Nobody can tell which two viewers they take for one.
    keys: RandomState,
    salt: Salt,
    connected: Family<Protocol, Gauge>,
    state: Mutex<State>,
}

struct State {
    /// By phase, in their order.
    crowds: [Crowd; 3],
    seen: Seen,
    /// Somebody new was there since the sketch was stored.
    news: bool,
}

/// What is to be stored.
struct Unsaved {
    buckets: Vec<(Phase, Bucket)>,
    /// The sketch with its salt, if there is news in it.
    seen: Option<Vec<u8>>,
}

impl Audience {
    /// Of those without a connection, `most` are counted in each phase at a time. `seen`: what was stored of it before.
    fn new(clock: Clock, most: usize, seen: Option<&[u8]>) -> Self {
        let (salt, seen) = seen.and_then(Salt::split).unwrap_or_default();
        Self {
            clock,
            keys: RandomState::new(),
            salt,
            connected: Family::default(),
            state: Mutex::new(State {
                crowds: Phase::ALL.map(|phase| Crowd::new(phase, most)),
                seen,
                news: false,
            }),
        }
    }

    /// A connected viewer comes.
    pub fn join(self: &Arc<Self>, phase: Phase, protocol: Option<Protocol>, person: Person) -> Guest {
        let now = self.clock.now();
        let mut state = self.state();
        state.crowd(phase).join(now);
        state.note_seen(self.salt.identity(person));
        drop(state);
        let connected = protocol.map(|protocol| self.connected(protocol));
        if let Some(connected) = &connected {
            connected.inc();
        }
        Guest { audience: self.clone(), phase, protocol, connected, untold: 0 }
    }

    /// A viewer without a connection asks for something; none if its session has too much under way.
    pub fn visit(&self, phase: Phase, viewer: Viewer<'_>) -> Option<Visit<&Self>> {
        Visit::begin(self, phase, viewer, self.clock.now())
    }

    /// The same for a request that may go on for as long as it is watched.
    pub fn stay(self: &Arc<Self>, phase: Phase, viewer: Viewer<'_>) -> Option<Visit<Arc<Self>>> {
        Visit::begin(self.clone(), phase, viewer, self.clock.now())
    }

    /// How many watch through `protocol`, of those that are connected.
    pub fn connected(&self, protocol: Protocol) -> Gauge {
        self.connected.get_or_create(&protocol).clone()
    }

    /// How many watch `phase` without a connection.
    pub fn visitors(&self, phase: Phase) -> usize {
        let now = self.clock.now();
        let mut state = self.state();
        let crowd = state.crowd(phase);
        crowd.sweep(now);
        crowd.visitors()
    }

    /// Sees who has left, and closes the buckets that are over.
    fn sweep(&self, now: Millis) {
        self.state().crowds.iter_mut().for_each(|crowd| crowd.sweep(now));
    }

    /// Everything that is not stored for good.
    fn buckets(&self, now: Millis) -> Vec<(Phase, Bucket)> {
        let mut state = self.state();
        let crowds = Phase::ALL.into_iter().zip(&mut state.crowds);
        crowds.flat_map(|(phase, crowd)| crowd.buckets(now).into_iter().map(move |b| (phase, b))).collect()
    }

    /// How many different viewers there were, about.
    fn seen(&self) -> u64 {
        self.state().seen.count()
    }

    fn unsaved(&self, now: Millis) -> Option<Unsaved> {
        let mut state = self.state();
        let crowds = Phase::ALL.into_iter().zip(&mut state.crowds);
        let buckets: Vec<_> = crowds
            .flat_map(|(phase, crowd)| crowd.unsaved(now).into_iter().map(move |b| (phase, b)))
            .collect();
        let seen = std::mem::take(&mut state.news).then(|| self.salt.join(&state.seen));
        (!buckets.is_empty() || seen.is_some()).then_some(Unsaved { buckets, seen })
    }

    fn note_saved(&self, saved: &Unsaved) {
        let mut state = self.state();
        saved.buckets.iter().for_each(|(phase, bucket)| state.crowd(*phase).note_saved(bucket));
    }

    fn note_failed(&self, failed: &Unsaved) {
        self.state().news |= failed.seen.is_some();
    }

    /// Nobody watches, and everything is stored.
    fn is_idle(&self) -> bool {
        let state = self.state();
        !state.news && state.crowds.iter().all(Crowd::is_idle)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn crowd(&mut self, phase: Phase) -> &mut Crowd {
        let [before, during, after] = &mut self.crowds;
        match phase {
            Phase::Before => before,
            Phase::During => during,
            Phase::After => after,
        }
    }

    fn note_seen(&mut self, identity: u64) {
        self.news |= self.seen.add(identity);
    }
}

/// A connected viewer: there until it is dropped.
pub struct Guest {
    audience: Arc<Audience>,
    phase: Phase,
    /// None of a page that waits: it is sent no media.
    protocol: Option<Protocol>,
    connected: Option<Gauge>,
    untold: u64,
}

impl Guest {
    /// Bytes were handed to its socket.
    pub fn sent(&mut self, bytes: u64) {
        self.untold += bytes;
        if self.untold >= LUMP {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let bytes = std::mem::take(&mut self.untold);
        if let Some(protocol) = self.protocol {
            let now = self.audience.clock.now();
            self.audience.state().crowd(self.phase).sent(protocol.into(), bytes, now);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.tell();
        if let Some(connected) = &self.connected {
            connected.dec();
        }
        let now = self.audience.clock.now();
        self.audience.state().crowd(self.phase).leave(now);
    }
}

/// A request under way: its viewer is there while it waits.
pub struct Visit<A: Deref<Target = Audience>> {
    audience: A,
    phase: Phase,
    /// None if the table was full.
    key: Option<u64>,
    person: Person,
}

impl<A: Deref<Target = Audience>> Visit<A> {
    fn begin(audience: A, phase: Phase, viewer: Viewer<'_>, now: Millis) -> Option<Self> {
        let (key, at_once) = match viewer.session {
            Some(session) if phase == Phase::During => (audience.keys.hash_one(session), AT_ONCE),
            Some(session) => (audience.keys.hash_one(session), u32::MAX),
            None => (audience.keys.hash_one(viewer.person), u32::MAX),
        };
        let entrance = audience.state().crowd(phase).enter(key, at_once, now);
        let key = match entrance {
            Entrance::Counted => Some(key),
            Entrance::Full => None,
            Entrance::Crowded => return None,
        };
        Some(Self { audience, phase, key, person: viewer.person })
    }

    /// It got what it asked for, or some of it: `bytes`.
    pub fn served(&self, protocol: Protocol, bytes: u64, pace: Pace) {
        self.served_at(protocol, bytes, pace, self.audience.clock.now());
    }

    fn served_at(&self, protocol: Protocol, bytes: u64, pace: Pace, now: Millis) {
        let mut state = self.audience.state();
        let is_new = self.key.is_some_and(|key| state.crowd(self.phase).served(key, now, pace));
        if is_new {
            state.note_seen(self.audience.salt.identity(self.person));
        }
        state.crowd(self.phase).sent(protocol.into(), bytes, now);
    }
}

impl<A: Deref<Target = Audience>> Drop for Visit<A> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.audience.state().crowd(self.phase).exit(key);
        }
    }
}

impl From<Protocol> for kaibo_audience::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Flv => Self::Flv,
            Protocol::WsFlv => Self::WsFlv,
            Protocol::Rtmp => Self::Rtmp,
            Protocol::Hls | Protocol::Replay => Self::Hls,
            Protocol::Mp4 => Self::Mp4,
        }
    }
}

#[cfg(test)]
mod tests;
