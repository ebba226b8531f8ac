//! What readers and writers of a ring rely on.

mod support;

use std::{
    future::Future,
    ops::Range,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use kaibo_hub::{BATCH_BYTES, BATCH_ENTRIES, Cursor, Limits, Next, Start, ring};
use support::Tick;

const ROOMY: Limits = Limits { bytes: 1 << 30, millis: 1_000_000, entries: 1_000_000 };
const TWENTY: Limits = Limits { entries: 20, ..ROOMY };

fn numbers(batch: &[Tick]) -> Vec<u64> {
    batch.iter().map(|tick| tick.number).collect()
}

#[test]
fn a_viewer_joins_at_the_newest_keyframe() {
    let (publisher, ring) = ring(ROOMY);
    publisher.push_many(&mut (0..25).map(Tick::new).collect());
    let mut batch = Vec::new();
    assert_eq!(ring.cursor(Start::Keyframe).try_next(&mut batch), Some(Next::Entries));
    assert_eq!(numbers(&batch), [20, 21, 22, 23, 24]);
}

#[test]
fn a_viewer_of_a_stream_without_keyframe_yet_waits_for_the_first() {
    let (publisher, ring) = ring(ROOMY);
    let mut batch = Vec::new();
    publisher.push_many(&mut (1..5).map(Tick::new).collect());
    let mut cursor = ring.cursor(Start::Keyframe);
    assert_eq!(cursor.try_next(&mut batch), None);
    publisher.push_many(&mut (5..12).map(Tick::new).collect());
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Entries));
    assert_eq!(numbers(&batch), [10, 11]);
}

#[test]
fn readers_find_an_entry_where_it_lies_now() {
    let (publisher, ring) = ring(TWENTY);
    let (mut reader, mut batch) = (ring.cursor(Start::Oldest), Vec::new());
    publisher.push_many(&mut (0..25).map(Tick::new).collect());
    // 3 is gone, 30 has not come.
    ring.replace([3, 7, 24, 30].map(|number| (number, Tick { time: -1, ..Tick::new(number) })).into());
    let mut late = ring.cursor(Start::Oldest);
    assert_eq!(late.try_next(&mut batch), Some(Next::Entries));
    assert_eq!(late.position(), 25);
    assert_eq!(numbers(&batch), (5..25).collect::<Vec<_>>());
    let moved: Vec<_> = batch.iter().filter(|tick| tick.time == -1).map(|tick| tick.number).collect();
    assert_eq!(moved, [7, 24]);
    assert_eq!(reader.try_next(&mut batch), Some(Next::Lagged { skipped: 20 }));
}

#[test]
fn oldest_and_next_start_where_they_say() {
    let (publisher, ring) = ring(TWENTY);
    publisher.push_many(&mut (0..25).map(Tick::new).collect());
    let (mut oldest, mut next) = (ring.cursor(Start::Oldest), ring.cursor(Start::Next));
    let mut batch = Vec::new();
    assert_eq!(next.try_next(&mut batch), None);
    publisher.push(Tick::new(25));
    assert_eq!(next.try_next(&mut batch), Some(Next::Entries));
    assert_eq!(numbers(&batch), [25]);
    assert_eq!(
        oldest.try_next(&mut batch),
        Some(Next::Lagged { skipped: 15 }),
        "5 had to leave; 20 is the keyframe"
    );
    assert_eq!(ring.cursor(Start::Oldest).try_next(&mut batch), Some(Next::Entries));
    assert_eq!(numbers(&batch), (6..=25).collect::<Vec<_>>());
}

#[test]
fn a_slow_reader_is_told_what_it_lost_and_goes_on_at_a_keyframe() {
    let (publisher, ring) = ring(TWENTY);
    let mut cursor = ring.cursor(Start::Oldest);
    let mut batch = Vec::new();
    publisher.push(Tick::new(0));
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Entries));
    publisher.push_many(&mut (1..38).map(Tick::new).collect());
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Lagged { skipped: 29 }));
    assert!(batch.is_empty());
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Entries));
    assert_eq!(numbers(&batch), (30..38).collect::<Vec<_>>());
}

#[test]
fn a_slow_reader_waits_for_a_keyframe_when_the_ring_holds_none() {
    let (publisher, ring) = ring(Limits { entries: 4, ..ROOMY });
    let mut cursor = ring.cursor(Start::Oldest);
    let mut batch = Vec::new();
    publisher.push_many(&mut (0..7).map(Tick::new).collect());
    assert_eq!(cursor.try_next(&mut batch), None);
    publisher.push_many(&mut (7..12).map(Tick::new).collect());
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Lagged { skipped: 10 }));
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Entries));
    assert_eq!(numbers(&batch), [10, 11]);
}

#[test]
fn the_end_comes_after_every_entry_and_stays() {
    let (publisher, ring) = ring(ROOMY);
    let mut cursor = ring.cursor(Start::Keyframe);
    let mut batch = Vec::new();
    publisher.push_many(&mut (0..3).map(Tick::new).collect());
    drop(publisher);
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Entries));
    assert_eq!(numbers(&batch), [0, 1, 2]);
    for _ in 0..2 {
        assert_eq!(cursor.try_next(&mut batch), Some(Next::End));
        assert!(batch.is_empty());
    }
    assert_eq!(ring.cursor(Start::Next).try_next(&mut batch), Some(Next::End));
}

#[test]
fn what_was_lost_is_told_even_at_the_end() {
    let (publisher, ring) = ring(Limits { entries: 4, ..ROOMY });
    let mut cursor = ring.cursor(Start::Oldest);
    let mut batch = Vec::new();
    publisher.push_many(&mut (0..9).map(Tick::new).collect());
    drop(publisher);
    assert_eq!(cursor.try_next(&mut batch), Some(Next::Lagged { skipped: 9 }));
    assert_eq!(cursor.try_next(&mut batch), Some(Next::End));
}

#[test]
fn a_batch_is_bounded_in_entries_and_bytes() {
    let (publisher, ring) = ring(ROOMY);
    let (mut many, mut large) = (ring.cursor(Start::Oldest), ring.cursor(Start::Oldest));
    let mut batch = Vec::new();
    publisher.push_many(&mut (0..100).map(Tick::new).collect());
    assert_eq!(many.try_next(&mut batch), Some(Next::Entries));
    assert_eq!(batch.len(), BATCH_ENTRIES);
    while large.try_next(&mut batch).is_some() {}
    let sized = |number, size| Tick { bytes: Arc::new(vec![0; size]), ..Tick::new(number) };
    publisher.push_many(&mut vec![
        sized(100, BATCH_BYTES - 1),
        sized(101, 1),
        sized(102, 1),
        sized(103, BATCH_BYTES + 1),
    ]);
    for expected in [vec![100, 101], vec![102], vec![103]] {
        assert_eq!(large.try_next(&mut batch), Some(Next::Entries));
        assert_eq!(numbers(&batch), expected);
    }
}

#[test]
fn a_reader_that_never_reads_keeps_nothing_in_memory() {
    let (publisher, ring) = ring(TWENTY);
    let cursors: Vec<_> = (0..100).map(|_| ring.cursor(Start::Keyframe)).collect();
    let bytes = Arc::new(vec![0; 100]);
    for number in 0..10_000 {
        publisher.push(Tick { bytes: Arc::clone(&bytes), ..Tick::new(number) });
    }
    assert_eq!(Arc::strong_count(&bytes), 21, "the twenty of the ring, and this one");
    assert_eq!(ring.cursors(), 100);
    drop(cursors);
    assert_eq!(ring.cursors(), 0);
}

struct Nobody;
impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_cursor_keeps_one_waker_while_it_waits_and_none_once_it_is_gone() {
    let (publisher, ring) = ring::<Tick>(TWENTY);
    let nobody = Arc::new(Nobody);
    let waker = Waker::from(Arc::clone(&nobody));
    let mut batch = Vec::new();
    let mut cursor = ring.cursor(Start::Next);
    for _ in 0..3 {
        assert_eq!(cursor.poll_next(&mut Context::from_waker(&waker), &mut batch), Poll::Pending);
        assert_eq!(Arc::strong_count(&nobody), 3);
    }
    publisher.push(Tick::new(0));
    assert_eq!(Arc::strong_count(&nobody), 2, "woken");
    assert_eq!(cursor.poll_next(&mut Context::from_waker(&waker), &mut batch), Poll::Ready(Next::Entries));
    assert_eq!(cursor.poll_next(&mut Context::from_waker(&waker), &mut batch), Poll::Pending);
    drop(cursor);
    assert_eq!(Arc::strong_count(&nobody), 2, "gone");
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_watch_tells_of_every_change_once() {
    let (publisher, ring) = ring(ROOMY);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    let mut watch = ring.watch();
    assert_eq!(ring.cursors(), 1);
    assert_eq!(watch.poll_change(&mut cx), Poll::Ready(()), "whoever watches looks once");
    assert_eq!(watch.poll_change(&mut cx), Poll::Pending);
    publisher.push(Tick::new(0));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(watch.poll_change(&mut cx), Poll::Ready(()));
    assert_eq!(watch.poll_change(&mut cx), Poll::Pending);
    drop(publisher);
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert_eq!(watch.poll_change(&mut cx), Poll::Ready(()), "its end");
    assert_eq!(watch.poll_change(&mut cx), Poll::Pending, "is no news for ever");
    drop(watch);
    assert_eq!(ring.cursors(), 0);
}

#[test]
fn whoever_waits_can_be_woken_although_nothing_has_come() {
    let (publisher, ring) = ring(ROOMY);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    let (mut cursor, mut batch) = (ring.cursor(Start::Next), Vec::new());
    ring.stir();
    assert_eq!(cursor.poll_next(&mut cx, &mut batch), Poll::Pending);
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    ring.stir();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(cursor.poll_next(&mut cx, &mut batch), Poll::Pending);
    publisher.push(Tick::new(0));
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert_eq!(cursor.poll_next(&mut cx, &mut batch), Poll::Ready(Next::Entries));
}

#[test]
fn a_reader_may_skip_to_the_newest_keyframe_and_never_goes_back() {
    let (publisher, ring) = ring(ROOMY);
    let mut batch = Vec::new();
    let mut read = |cursor: &mut Cursor<Tick>| cursor.try_next(&mut batch).map(|_| numbers(&batch));
    let mut cursor = ring.cursor(Start::Oldest);
    cursor.skip();
    for number in 0..13 {
        publisher.push(Tick { keyframe: number % 10 == 0, ..Tick::new(number) });
    }
    cursor.skip();
    assert_eq!(read(&mut cursor), Some(vec![10, 11, 12]));
    cursor.skip();
    assert_eq!(read(&mut cursor), None);
}

#[test]
fn a_reader_who_has_time_is_woken_once_for_many() {
    let (publisher, ring) = ring(ROOMY);
    let mut batch = Vec::new();
    let mut cursor = ring.cursor(Start::Oldest);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    // Until an entry at 150 ms or later, an urgent one (0 and 10 are keyframes), a whole batch, or the end.
    let mut read = |until: i64, more: Range<u64>| {
        let end = more.end;
        let mut next = Box::pin(cursor.next_from(until, &mut batch));
        let mut cx = Context::from_waker(&waker);
        let before = woken.0.load(Ordering::Relaxed);
        for number in more {
            assert_eq!(next.as_mut().poll(&mut cx), Poll::Pending, "before {number}");
            assert_eq!(woken.0.load(Ordering::Relaxed), before, "woken before {number}");
            publisher.push(Tick { keyframe: number < 20 && number % 10 == 0, ..Tick::new(number) });
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), before + 1);
        assert_eq!(next.as_mut().poll(&mut cx), Poll::Ready(Next::Entries));
        drop(next);
        assert_eq!(cursor.position(), end);
    };
    read(150, 0..1);
    read(150, 1..11);
    read(150, 11..16);
    read(i64::MAX, 16..16 + BATCH_ENTRIES as u64);
    publisher.push(Tick { keyframe: false, ..Tick::new(99) });
    drop(publisher);
    let mut cx = Context::from_waker(&waker);
    for end in [Next::Entries, Next::End] {
        assert_eq!(pin!(cursor.next_from(i64::MAX, &mut batch)).poll(&mut cx), Poll::Ready(end));
    }
}
