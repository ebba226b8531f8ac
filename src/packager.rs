//! One packager per stream and format, started by its first viewer; what it makes is shared by all of them. It makes blocks
//! when somebody is about to write them, of all frames that have come, or every time that frames have gathered for so long.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use kaibo_container::flv::{Block, Format, Packager};
use kaibo_hub::{Cursor, Entry, Limits, Next, Publisher, Ring, Start, ring};
use kaibo_media::Item;
use tokio::time::{Instant, sleep};

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

/// One packager and its blocks.
struct Packing<F> {
    blocks: Ring<Shared>,
    /// Wakes those who wait for blocks, when there are frames to make them of.
    stir: Waker,
    /// None when it is over.
    work: Mutex<Option<Work<F>>>,
}

/// What a packager has in hand.
struct Work<F> {
    frames: Cursor<Queued>,
    batch: Vec<Queued>,
    packager: Packager<F>,
    /// On their way into the ring.
    made: Vec<Shared>,
    blocks: Publisher<Shared>,
    /// Since when there has been no media, because the publisher is away.
    silent: Option<Instant>,
}

/// Wakes everybody who waits for a block.
struct Stir(Ring<Shared>);

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.0.stir();
    }
}

impl<F: Format + Send + 'static> Packing<F> {
    fn new(format: F, frames: &Ring<Queued>, limits: Limits) -> Arc<Self> {
        let (publisher, blocks) = ring(limits);
        let work = Work {
            frames: frames.cursor(Start::Keyframe),
            batch: Vec::new(),
            packager: Packager::new(format),
            made: Vec::new(),
            blocks: publisher,
            silent: Some(Instant::now()),
        };
        let stir = Waker::from(Arc::new(Stir(blocks.clone())));
        Arc::new(Self { blocks, stir, work: Mutex::new(Some(work)) })
    }

    /// Makes blocks of all that there is, for somebody who comes.
    fn catch_up(&self) {
        if let Some(work) = self.work().as_mut()
            && self.blocks.cursors() == 0
        {
            work.frames.skip();
        }
        self.make_of(Cursor::try_next);
    }

    /// Makes a block every time that frames have gathered for so long.
    async fn gather(&self, batch: Duration) {
        while poll_fn(|cx| self.poll_take(cx)).await {
            sleep(batch).await;
            self.make_of(Cursor::try_next);
        }
    }

    /// Ready when it has taken frames, or (false) when it is over.
    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut work = self.work();
        let Some(at_work) = work.as_mut() else { return Poll::Ready(false) };
        let Poll::Ready(next) = at_work.frames.poll_next(cx, &mut at_work.batch) else {
            return Poll::Pending;
        };
        let over = at_work.take(next);
        at_work.share();
        if over {
            *work = None;
        }
        Poll::Ready(!over)
    }

    /// Makes blocks of all frames that `next` finds.
    fn make_of(&self, mut next: impl FnMut(&mut Cursor<Queued>, &mut Vec<Queued>) -> Option<Next>) {
        let mut work = self.work();
        let Some(at_work) = work.as_mut() else { return };
        let mut over = false;
        while !over && let Some(next) = next(&mut at_work.frames, &mut at_work.batch) {
            over = at_work.take(next);
        }
        at_work.flush();
        at_work.share();
        if over {
            *work = None;
        }
    }

    /// Since when there has been no media, if there is none; nothing when it is over.
    fn silent(&self) -> Option<Option<Instant>> {
        self.work().as_ref().map(|work| work.silent)
    }

    fn is_over(&self) -> bool {
        self.work().is_none()
    }

    /// Its viewers read to the end.
    fn end(&self) {
        let Some(mut work) = self.work().take() else { return };
        work.flush();
        work.share();
    }

    fn work(&self) -> MutexGuard<'_, Option<Work<F>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Format + Send + 'static> Maker for Packing<F> {
    fn make(&self) {
        let mut cx = Context::from_waker(&self.stir);
        self.make_of(|frames, batch| match frames.poll_next(&mut cx, batch) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        });
    }
}

impl<F: Format> Work<F> {
    /// Takes what came to be `next`; true if nothing follows.
    fn take(&mut self, next: Next) -> bool {
        match next {
            Next::Entries => {
                for Queued(item) in self.batch.drain(..) {
                    self.silent = matches!(item, Item::Break).then(Instant::now);
                    self.made.extend(self.packager.push(&item).map(Shared::new));
                }
            }
            Next::Lagged { .. } | Next::End => self.flush(),
        }
        next == Next::End
    }

    fn flush(&mut self) {
        self.made.extend(self.packager.flush().map(Shared::new));
    }

    /// Shows what was made.
    fn share(&mut self) {
        if !self.made.is_empty() {
            self.blocks.push_many(&mut self.made);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::{Bytes, BytesMut};
    use kaibo_media::{Cue, Frame, Run, Span, Timestamp, TrackId, Tracks};
    use tokio::{task::yield_now, time::timeout};

    use super::*;

    const LIMITS: Limits = Limits { bytes: 1 << 20, millis: 1000, entries: 100 };
    const HOLD: Duration = Duration::from_millis(150);
    const LONG: Duration = Duration::from_secs(20);
    const BATCH: Duration = Duration::from_millis(50);

    /// Frames as they are.
    #[derive(Clone, Copy)]
    struct Plain;

    impl Format for Plain {
        fn frame(&self, out: &mut BytesMut, frame: &Frame) {
            out.extend_from_slice(&frame.data);
        }

        fn cue(&self, _: &mut BytesMut, _: &Cue) {}

        fn headers(&self, _: &mut BytesMut, _: &Tracks, _: Timestamp) {}
    }

    /// An outlet that gathers for `batch`, and what it shows.
    fn outlet(batch: Duration) -> (Arc<Outlet<Plain>>, Publisher<Queued>, Ring<Queued>) {
        let (publisher, frames) = ring(LIMITS);
        (Outlet::new(Plain, Gathering { batch, hold: HOLD, limits: LIMITS }), publisher, frames)
    }

    fn frame(millis: i64, keyframe: bool) -> Queued {
        Queued(Item::Frame(Arc::new(Frame {
            tracks: Arc::default(),
            run: Run::default(),
            track: TrackId::Video,
            dts: Timestamp::from_millis(millis),
            pts_offset: Span::ZERO,
            keyframe,
            filler: false,
            data: Bytes::from_static(b"media"),
        })))
    }

    /// How many frames each of the blocks holds that are there now.
    fn blocks(viewer: &mut Blocks) -> Vec<u32> {
        let mut batch = Vec::new();
        assert!(viewer.poll_next(&mut Context::from_waker(Waker::noop()), &mut batch).is_ready());
        batch.iter().map(|Shared(block)| block.frames).collect()
    }

    async fn next(viewer: &mut Blocks) -> Next {
        let mut batch = Vec::new();
        poll_fn(|cx| viewer.poll_next(cx, &mut batch)).await
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn frames_that_nobody_came_for_are_one_block_and_one_wake_up() {
        let (outlet, publisher, frames) = outlet(Duration::ZERO);
        publisher.push(frame(0, true));
        let mut viewer = outlet.join(&frames);
        assert_eq!(blocks(&mut viewer), [1]);
        let mut watch = viewer.watch();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        watch.poll_look(&mut Context::from_waker(&waker));
        for millis in [33, 66, 99] {
            publisher.push(frame(millis, false));
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(blocks(&mut viewer), [3]);
        watch.poll_look(&mut Context::from_waker(&waker));
        publisher.push(frame(132, false));
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn whoever_comes_back_is_not_shown_what_nobody_saw() {
        let (outlet, publisher, frames) = outlet(Duration::ZERO);
        publisher.push(frame(0, true));
        drop(outlet.join(&frames));
        publisher.push(frame(33, false));
        publisher.push(frame(66, true));
        publisher.push(frame(99, false));
        let mut viewer = outlet.join(&frames);
        let mut batch = Vec::new();
        assert_eq!(viewer.try_next(&mut batch), Some(Next::Entries));
        let seen: Vec<_> =
            batch.iter().map(|Shared(block)| (block.start.as_millis(), block.frames)).collect();
        assert_eq!(seen, [(66, 2)]);
    }

    #[tokio::test]
    async fn frames_gather_for_as_long_as_they_are_to() {
        let (outlet, publisher, frames) = outlet(BATCH);
        publisher.push(frame(0, true));
        let mut first = outlet.join(&frames);
        assert_eq!(blocks(&mut first), [1], "whoever joins sees at once what there is");
        // The packager waits for a frame now. Somebody who joins leaves it to that.
        yield_now().await;
        let mut second = outlet.join(&frames);
        assert_eq!(blocks(&mut second), [1]);
        for _ in 0..3 {
            publisher.push(frame(33, false));
            publisher.push(frame(66, false));
            let began = Instant::now();
            for viewer in [&mut first, &mut second] {
                let mut batch = Vec::new();
                let came = timeout(LONG, poll_fn(|cx| viewer.poll_next(cx, &mut batch))).await;
                assert_eq!(came, Ok(Next::Entries));
                assert_eq!(batch.iter().map(|Shared(block)| block.frames).collect::<Vec<_>>(), [2]);
            }
            assert!(began.elapsed() >= BATCH, "{:?}", began.elapsed());
        }
    }

    #[tokio::test]
    async fn viewers_without_media_are_let_go_in_time() {
        for batch in [Duration::ZERO, BATCH] {
            let (outlet, publisher, frames) = outlet(batch);
            publisher.push(frame(0, true));
            let mut viewer = outlet.join(&frames);
            assert_eq!(next(&mut viewer).await, Next::Entries);
            // For as long as a publisher is there, they stay.
            let stays = timeout(HOLD * 4, next(&mut viewer)).await;
            assert!(stays.is_err(), "{stays:?}");
            publisher.push(Queued(Item::Break));
            let left = Instant::now();
            assert_eq!(timeout(LONG, next(&mut viewer)).await, Ok(Next::End));
            assert!(left.elapsed() >= HOLD, "{:?}", left.elapsed());
            assert_eq!(
                next(&mut outlet.join(&frames)).await,
                Next::Entries,
                "whoever comes now sees what there is"
            );
        }
    }

    #[tokio::test]
    async fn only_a_packager_without_viewers_is_given_up() {
        let (outlet, publisher, frames) = outlet(Duration::ZERO);
        publisher.push(frame(0, true));
        let viewer = outlet.join(&frames);
        let packing = outlet.door().packing.clone().expect("there is one");
        assert!(!outlet.retire(&packing));
        drop(viewer);
        assert!(outlet.retire(&packing));
        assert_eq!(frames.cursors(), 0);
        let mut another = outlet.join(&frames);
        assert!(outlet.retire(&packing), "it is over already");
        publisher.push(frame(33, false));
        assert_eq!(blocks(&mut another), [1, 1], "and its successor goes on");
    }

    #[tokio::test]
    async fn a_packager_that_was_shut_out_leaves_its_successor_alone() {
        let (outlet, publisher, frames) = outlet(Duration::ZERO);
        publisher.push(frame(0, true));
        let mut before = outlet.join(&frames);
        outlet.shut();
        assert_eq!(next(&mut before).await, Next::Entries);
        assert_eq!(next(&mut before).await, Next::End);
        assert_eq!(next(&mut outlet.join(&frames)).await, Next::End, "nobody may watch");
        outlet.reopen();
        let mut after = outlet.join(&frames);
        assert_eq!(next(&mut after).await, Next::Entries);
        assert_eq!(timeout(HOLD, next(&mut after)).await.ok(), None, "and goes on");
    }
}
