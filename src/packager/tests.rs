use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Wake, Waker},
};

use bytes::{Bytes, BytesMut};
use kaibo_hub::Publisher;
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
    let seen: Vec<_> = batch.iter().map(|Shared(block)| (block.start.as_millis(), block.frames)).collect();
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
