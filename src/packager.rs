//! One packager per stream and format, started by its first viewer; what it makes is shared by all of them. It makes blocks
//! when somebody is about to write them, of all frames that have come, or every time that frames have gathered for so long.

mod packing;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use kaibo_container::flv::{Block, Format};
use kaibo_hub::{Cursor, Entry, Limits, Next, Ring, Start, ring};
use kaibo_media::Item;
use tokio::time::{Instant, sleep};

use self::packing::Packing;

/// An item of a stream on its way to the packagers.
#[derive(Clone, Debug)]
pub struct Queued(pub Item);

impl Entry for Queued {
    fn size(&self) -> usize {
        match &self.0 {
            Item::Frame(frame) => frame.data.len() + size_of_val(&**frame),
            Item::Cue(cue) => cue.size(),
            Item::Break => 0,
        }
    }

    fn keyframe(&self) -> bool {
        matches!(&self.0, Item::Frame(frame) if frame.keyframe)
    }

    fn time(&self) -> i64 {
        match &self.0 {
            Item::Frame(frame) => frame.dts.as_millis(),
            Item::Cue(cue) => cue.at.as_millis(),
            // Keeps nothing else in the ring, and leaves it as soon as it may.
            Item::Break => i64::MIN,
        }
    }

    fn urgent(&self) -> bool {
        self.keyframe() || matches!(self.0, Item::Break)
    }
}

/// A block on its way to the viewers.
#[derive(Clone, Debug)]
pub struct Shared(pub Arc<Block>);

impl Shared {
    fn new(block: Block) -> Self {
        Self(Arc::new(block))
    }
}

impl Entry for Shared {
    fn size(&self) -> usize {
        self.0.bytes.len()
    }

    fn keyframe(&self) -> bool {
        self.0.keyframe
    }

    fn time(&self) -> i64 {
        self.0.start.as_millis()
    }
}

/// How blocks are made and kept.
#[derive(Clone, Copy, Debug)]
pub struct Gathering {
    /// How long frames gather; nothing: until a viewer comes to look.
    pub batch: Duration,
    /// How long viewers are kept without media once the publisher is away.
    pub hold: Duration,
    /// What the ring of blocks holds.
    pub limits: Limits,
}

/// A packager without viewers is kept for this long, so that a lone viewer who reloads finds it warm.
const IDLE: Duration = Duration::from_secs(10);

/// The shortest time between two looks at whether a packager is still needed.
const LOOK: Duration = Duration::from_millis(100);

/// Where the viewers of one format join.
pub struct Outlet<F> {
    format: F,
    gathering: Gathering,
    door: Mutex<Door<F>>,
}

/// What viewers find when they come.
struct Door<F> {
    /// The packager, while there is one.
    packing: Option<Arc<Packing<F>>>,
    /// Nobody may watch.
    shut: bool,
}

impl<F: Format + Copy + Send + Sync + 'static> Outlet<F> {
    pub fn new(format: F, gathering: Gathering) -> Arc<Self> {
        Arc::new(Self { format, gathering, door: Mutex::new(Door { packing: None, shut: false }) })
    }

    /// A new viewer: it gets the blocks since the newest keyframe at once.
    pub fn join(self: &Arc<Self>, frames: &Ring<Queued>) -> Blocks {
        let mut door = self.door();
        if door.shut {
            // The blocks end before the first.
            let (_, blocks) = ring(self.gathering.limits);
            return Blocks { cursor: blocks.cursor(Start::Keyframe), maker: None };
        }
        let running = door.packing.take().filter(|packing| !packing.is_over());
        let packing = running.unwrap_or_else(|| self.start(frames));
        packing.catch_up();
        let cursor = packing.blocks.cursor(Start::Keyframe);
        door.packing = Some(packing.clone());
        Blocks { cursor, maker: self.gathering.batch.is_zero().then_some(packing as Arc<dyn Maker>) }
    }

    /// Ends what viewers are sent, and lets nobody in.
    pub fn shut(&self) {
        let mut door = self.door();
        door.shut = true;
        if let Some(packing) = door.packing.take() {
            packing.end();
        }
    }

    /// Lets viewers in again.
    pub fn reopen(&self) {
        self.door().shut = false;
    }

    fn start(self: &Arc<Self>, frames: &Ring<Queued>) -> Arc<Packing<F>> {
        let packing = Packing::new(self.format, frames, self.gathering.limits);
        let (outlet, kept, batch) = (self.clone(), packing.clone(), self.gathering.batch);
        tokio::spawn(async move {
            tokio::select! {
                () = kept.gather(batch), if !batch.is_zero() => {}
                () = outlet.keep(&kept) => {}
            }
        });
        packing
    }

    /// Returns when `packing` is over, having seen to it if it had no viewers or no media for too long.
    async fn keep(&self, packing: &Arc<Packing<F>>) {
        let hold = self.gathering.hold;
        let mut watched = Instant::now();
        while let Some(silent) = packing.silent() {
            if silent.is_some_and(|since| since.elapsed() >= hold) {
                return packing.end();
            }
            if packing.blocks.cursors() > 0 {
                watched = Instant::now();
            } else if watched.elapsed() > IDLE && self.retire(packing) {
                return;
            }
            // Media that breaks off after this look is not missed for `hold`: the next one is in time.
            let next = silent.map_or(hold, |since| hold.saturating_sub(since.elapsed()));
            sleep(next.clamp(LOOK, IDLE)).await;
        }
    }

    /// Gives `packing` up, unless somebody joined in the meantime.
    fn retire(&self, packing: &Arc<Packing<F>>) -> bool {
        let mut door = self.door();
        let unwatched = packing.blocks.cursors() == 0;
        if unwatched {
            // It may have a successor, whose viewers are its own.
            door.packing.take_if(|running| Arc::ptr_eq(running, packing));
            packing.end();
        }
        unwatched
    }

    fn door(&self) -> MutexGuard<'_, Door<F>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A viewer's place among the blocks.
pub struct Blocks {
    cursor: Cursor<Shared>,
    /// Who makes blocks when somebody looks; none if they come by themselves.
    maker: Option<Arc<dyn Maker>>,
}

impl Blocks {
    /// The ring that they lie in.
    pub fn ring(&self) -> Ring<Shared> {
        self.cursor.ring()
    }

    /// Tells of blocks to come, on behalf of all who read the same ring.
    pub fn watch(&self) -> Watch {
        Watch { changes: self.ring().watch(), maker: self.maker.clone() }
    }

    /// What was made already: see [`Cursor::try_next`].
    pub fn try_next(&mut self, batch: &mut Vec<Shared>) -> Option<Next> {
        self.cursor.try_next(batch)
    }

    /// What there is: see [`Cursor::poll_next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Shared>) -> Poll<Next> {
        make(self.maker.as_deref());
        let next = self.cursor.poll_next(cx, batch);
        if next.is_pending() {
            // A frame that came between the two has found nobody to wake.
            make(self.maker.as_deref());
        }
        next
    }
}

/// Sees to it that there are blocks, for many viewers at once.
pub struct Watch {
    changes: kaibo_hub::Watch<Shared>,
    maker: Option<Arc<dyn Maker>>,
}

impl Watch {
    /// Has the blocks made that can be.
    pub fn look(&self) {
        make(self.maker.as_deref());
    }

    /// The same; whatever comes after that wakes `cx`.
    pub fn poll_look(&mut self, cx: &mut Context<'_>) {
        self.look();
        while self.changes.poll_change(cx).is_ready() {}
        // A frame that came between the two has found nobody to wake.
        self.look();
    }
}

/// Makes blocks of what there is.
trait Maker: Send + Sync {
    fn make(&self);
}

fn make(maker: Option<&dyn Maker>) {
    if let Some(maker) = maker {
        maker.make();
    }
}
