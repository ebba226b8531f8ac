//! What a push costs with many viewers waiting, and what an entry costs a reader.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kaibo_hub::{Cursor, Entry, Limits, Next, Start, ring};
use tokio::sync::Notify;

#[derive(Clone)]
struct Block(i64, Arc<[u8]>);

impl Entry for Block {
    fn size(&self) -> usize {
        self.1.len()
    }
    fn keyframe(&self) -> bool {
        self.0 % 40 == 0
    }
    fn time(&self) -> i64 {
        self.0 * 50
    }
}

/// Ten seconds of blocks of 50 ms.
const LIMITS: Limits = Limits { bytes: 64 << 20, millis: 10_000, entries: 4096 };

fn blocks() -> impl FnMut() -> Block {
    let bytes: Arc<[u8]> = vec![0; 15_000].into();
    let mut number = 0;
    move || {
        number += 1;
        Block(number, Arc::clone(&bytes))
    }
}

fn costs(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    group.throughput(Throughput::Elements(1));
    group.bench_function("push, nobody waits", |b| {
        let (publisher, _ring) = ring(LIMITS);
        let mut block = blocks();
        b.iter(|| publisher.push(block()));
    });
    for readers in [4_u64, 1000] {
        group.throughput(Throughput::Elements(readers));
        group.bench_function(format!("push, read by {readers} cursors, which wait again"), |b| {
            let (publisher, ring) = ring(LIMITS);
            let mut cursors: Vec<Cursor<Block>> = (0..readers).map(|_| ring.cursor(Start::Next)).collect();
            let mut cx = Context::from_waker(Waker::noop());
            let (mut block, mut batch) = (blocks(), Vec::new());
            b.iter(|| {
                publisher.push(block());
                for cursor in &mut cursors {
                    while cursor.poll_next(&mut cx, &mut batch).is_ready() {}
                }
            });
        });
    }
    group.throughput(Throughput::Elements(200));
    group.bench_function("read 200 entries", |b| {
        let (publisher, ring) = ring(LIMITS);
        let mut block = blocks();
        publisher.push_many(&mut (0..200).map(|_| block()).collect());
        let mut batch = Vec::new();
        b.iter(|| {
            let mut cursor = ring.cursor(Start::Oldest);
            while cursor.try_next(&mut batch).is_some() {
                black_box(&batch);
            }
        });
    });
    group.finish();
}

/// From a push until each of 1,000 tasks has read it, on a runtime with two workers.
fn fan_out(c: &mut Criterion) {
    const TASKS: u64 = 1000;
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build() else { return };
    let (publisher, ring) = ring(LIMITS);
    let (read, all_read) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    for _ in 0..TASKS {
        let (mut cursor, read, all_read) =
            (ring.cursor(Start::Next), Arc::clone(&read), Arc::clone(&all_read));
        runtime.spawn(async move {
            let mut batch = Vec::new();
            while cursor.next(&mut batch).await == Next::Entries {
                if (read.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(TASKS) {
                    all_read.notify_one();
                }
            }
        });
    }
    let mut block = blocks();
    let mut group = c.benchmark_group("tasks");
    group.throughput(Throughput::Elements(TASKS));
    group.bench_function("push, until 1000 tasks have read it", |b| {
        b.iter(|| {
            publisher.push(block());
            runtime.block_on(all_read.notified());
        });
    });
    group.finish();
}

criterion_group!(benches, costs, fan_out);
criterion_main!(benches);
