//! One packager per stream and format, started by its first viewer; what it makes is shared by all of them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kaibo_container::flv::{Block, Format, Packager};
use kaibo_hub::{Cursor, Entry, Limits, Next, Publisher, Ring, Start, ring};
use kaibo_media::Item;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep_until},
};

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
    /// How long frames gather; nothing: only what is there at once.
    pub batch: Duration,
    /// How long viewers are kept without media once the publisher is away.
    pub hold: Duration,
    /// What the ring of blocks holds.
    pub limits: Limits,
}

/// A packager without viewers goes on for this long, so that a lone viewer who reloads finds it warm.
const IDLE: Duration = Duration::from_secs(10);

/// Where the viewers of one format join.
pub struct Outlet<F> {
    format: F,
    gathering: Gathering,
    door: Mutex<Door>,
}

/// What viewers find when they come.
#[derive(Default)]
struct Door {
    /// The packager, while there is one.
    packager: Option<Running>,
    /// How many there were.
    started: u64,
    /// Nobody may watch.
    shut: bool,
}

/// A packager, as its viewers see it.
struct Running {
    /// Tells it from those before and after it.
    number: u64,
    blocks: Ring<Shared>,
    task: AbortHandle,
}

impl<F: Format + Copy + Send + Sync + 'static> Outlet<F> {
    pub fn new(format: F, gathering: Gathering) -> Arc<Self> {
        Arc::new(Self { format, gathering, door: Mutex::default() })
    }

    /// A new viewer: it gets the blocks since the newest keyframe at once.
    pub fn join(self: &Arc<Self>, frames: &Ring<Queued>) -> Cursor<Shared> {
        let mut door = self.lock();
        if let Some(running) = &door.packager {
            return running.blocks.cursor(Start::Keyframe);
        }
        let (publisher, made) = ring(self.gathering.limits);
        let cursor = made.cursor(Start::Keyframe);
        // Without a packager the blocks end before the first.
        if !door.shut {
            let frames = frames.cursor(Start::Keyframe);
            door.started += 1;
            let number = door.started;
            let packager = tokio::spawn(self.clone().package(number, frames, publisher, made.clone()));
            door.packager = Some(Running { number, blocks: made, task: packager.abort_handle() });
        }
        cursor
    }

    /// Ends what viewers are sent, and lets nobody in.
    pub fn shut(&self) {
        let mut door = self.lock();
        door.shut = true;
        if let Some(running) = door.packager.take() {
            running.task.abort();
        }
    }

    /// Lets viewers in again.
    pub fn reopen(&self) {
        self.lock().shut = false;
    }

    async fn package(
        self: Arc<Self>,
        number: u64,
        mut frames: Cursor<Queued>,
        blocks: Publisher<Shared>,
        made: Ring<Shared>,
    ) {
        let mut packager = Packager::new(self.format);
        let mut batch = Vec::new();
        let mut watched = Instant::now();
        // When the open block is due, and when viewers are let go for want of media.
        let (mut flush_at, mut release_at) = (None::<Instant>, Some(watched + self.gathering.hold));
        let share = |block: Option<Block>| {
            if let Some(block) = block {
                blocks.push(Shared(Arc::new(block)));
            }
        };
        'media: loop {
            // Frames that gather are taken all at once when they are due: nobody need wake up for each.
            let (mut next, is_due) = tokio::select! {
                next = frames.next(&mut batch), if flush_at.is_none() => (Some(next), self.gathering.batch.is_zero()),
                () = due(flush_at) => (frames.try_next(&mut batch), true),
                () = due(release_at) => break,
            };
            while let Some(came) = next {
                match came {
                    Next::Entries => {
                        for Queued(item) in batch.drain(..) {
                            release_at =
                                matches!(item, Item::Break).then(|| Instant::now() + self.gathering.hold);
                            share(packager.push(&item));
                        }
                    }
                    Next::Lagged { .. } => share(packager.flush()),
                    Next::End => break 'media,
                }
                next = if is_due { frames.try_next(&mut batch) } else { None };
            }
            if is_due {
                flush_at = None;
                share(packager.flush());
            } else {
                flush_at = Some(Instant::now() + self.gathering.batch);
            }
            if made.cursors() > 0 {
                watched = Instant::now();
            } else if watched.elapsed() > IDLE && self.retire(number, &made) {
                return;
            }
        }
        share(packager.flush());
        // Whoever joins from now on starts another packager; those who are here read to the end.
        self.leave(number);
    }

    /// Gives up, unless somebody joined in the meantime.
    fn retire(&self, number: u64, made: &Ring<Shared>) -> bool {
        let mut door = self.lock();
        let unwatched = made.cursors() == 0;
        if unwatched {
            door.packager.take_if(|running| running.number == number);
        }
        unwatched
    }

    /// Packager `number` ends. One that was shut out may have a successor already, whose viewers are its own.
    fn leave(&self, number: u64) {
        self.lock().packager.take_if(|running| running.number == number);
    }

    fn lock(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready at `at`; without one, never.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use kaibo_container::flv::Flv;

    use super::*;

    #[tokio::test]
    async fn a_packager_that_was_shut_out_leaves_its_successor_alone() {
        let limits = Limits { bytes: 1 << 20, millis: 1000, entries: 100 };
        let (_publisher, frames) = ring(limits);
        let (batch, hold) = (Duration::ZERO, Duration::from_secs(10));
        let outlet = Outlet::new(Flv::default(), Gathering { batch, hold, limits });
        let _before = outlet.join(&frames);
        outlet.shut();
        outlet.reopen();
        let _after = outlet.join(&frames);
        // The first one, which was about to end by itself when it was shut out.
        outlet.leave(1);
        assert_eq!(outlet.lock().packager.as_ref().map(|running| running.number), Some(2));
        outlet.leave(2);
        assert!(outlet.lock().packager.is_none());
    }
}
