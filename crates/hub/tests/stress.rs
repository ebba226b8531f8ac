//! Many threads at once. A lost wake-up holds a test up until its patience ends.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use kaibo_hub::{Limits, Next, Start, ring};
use support::Tick;
use tokio::{task::JoinSet, time::timeout};

const PATIENCE: Duration = Duration::from_secs(15);

/// Reads to the end; every entry follows the one before or comes after a told loss, at a keyframe. Answers how many
/// were read and lost.
async fn read_all(mut cursor: kaibo_hub::Cursor<Tick>) -> (u64, u64) {
    let (mut batch, mut read, mut lost, mut next, mut told) = (Vec::new(), 0, 0, 0, false);
    loop {
        match cursor.next(&mut batch).await {
            Next::Entries => {
                for tick in &batch {
                    assert_eq!(tick.number, next);
                    assert!(tick.keyframe || !told);
                    (next, told) = (next + 1, false);
                }
                read += batch.len() as u64;
            }
            Next::Lagged { skipped } => {
                assert!(skipped > 0);
                (next, lost, told) = (next + skipped, lost + skipped, true);
            }
            Next::End => return (read, lost),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_on_many_threads_account_for_every_entry() {
    const ENTRIES: u64 = 20_000;
    let (publisher, ring) = ring(Limits { bytes: 1 << 30, millis: 1_000_000, entries: 100 });
    let mut readers = JoinSet::new();
    for _ in 0..64 {
        readers.spawn(read_all(ring.cursor(Start::Oldest)));
    }
    let writer =
        std::thread::spawn(move || (0..ENTRIES).map(Tick::new).for_each(|tick| publisher.push(tick)));
    let totals = timeout(PATIENCE, readers.join_all()).await.expect("every reader comes to the end");
    for (read, lost) in totals {
        assert_eq!(read + lost, ENTRIES);
    }
    writer.join().unwrap();
    assert_eq!(ring.cursors(), 0);
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn no_wake_up_is_lost_when_a_push_meets_a_reader_about_to_wait() {
    /// As many rounds as fit into it.
    const PLAY: Duration = Duration::from_secs(1);
    let (publisher, ring) = ring(Limits { bytes: 1 << 30, millis: 1_000_000, entries: 4 });
    let mut cursor = ring.cursor(Start::Next);
    let read = Arc::new(AtomicU64::new(0));
    let reader = std::thread::spawn({
        let read = Arc::clone(&read);
        move || {
            let woken = Arc::new(Woken(AtomicBool::new(false)));
            let waker = Waker::from(Arc::clone(&woken));
            let mut batch = Vec::new();
            loop {
                match cursor.poll_next(&mut Context::from_waker(&waker), &mut batch) {
                    Poll::Ready(Next::End) => return,
                    Poll::Ready(_) => _ = read.fetch_add(1, Ordering::Release),
                    Poll::Pending => {
                        let waits = Instant::now();
                        while !woken.0.swap(false, Ordering::Acquire) {
                            assert!(waits.elapsed() < PATIENCE, "nobody woke the reader");
                            std::thread::yield_now();
                        }
                    }
                }
            }
        }
    });
    // The next push follows at once, or a little later each time: it races with the reader's going to sleep.
    let (began, mut pushed) = (Instant::now(), 0);
    'pushes: while began.elapsed() < PLAY {
        publisher.push(Tick::new(pushed));
        pushed += 1;
        while read.load(Ordering::Acquire) < pushed {
            if reader.is_finished() {
                break 'pushes;
            }
            std::thread::yield_now();
        }
        (0..pushed % 64).for_each(|_| std::hint::spin_loop());
    }
    drop(publisher);
    reader.join().unwrap();
    assert_eq!(read.load(Ordering::Relaxed), pushed);
}
