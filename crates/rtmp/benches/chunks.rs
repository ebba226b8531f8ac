//! How fast messages come out of chunks. Goal: 1 GB/s per core at chunk size 128.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kaibo_rtmp::{
    Limits,
    chunk::{self, Reader, kind},
};

/// Bytes of one read from a socket.
const READ: usize = 64 << 10;

/// Ten seconds of a 2.5 Mbit/s push: 30 pictures a second, a keyframe every two, 43 audio frames.
fn push(chunk_size: usize) -> BytesMut {
    let mut wire = BytesMut::new();
    chunk::write(&mut wire, 128, 2, kind::SET_CHUNK_SIZE, 0, 0, &[&(chunk_size as u32).to_be_bytes()]);
    let payload = vec![0x5A; 60_000];
    for picture in 0..300u32 {
        let bytes = if picture % 60 == 0 { 60_000 } else { 8_000 };
        let body = payload.get(..bytes).unwrap_or_default();
        chunk::write(&mut wire, chunk_size, 6, kind::VIDEO, 1, picture * 33, &[body]);
        for _ in 0..=picture % 2 {
            let body = payload.get(..370).unwrap_or_default();
            chunk::write(&mut wire, chunk_size, 4, kind::AUDIO, 1, picture * 33, &[body]);
        }
    }
    wire
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for chunk_size in [128, 4096] {
        let wire = push(chunk_size);
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(chunk_size.to_string(), |bencher| {
            bencher.iter(|| {
                let mut reader = Reader::new(Limits::default().publishing, 0);
                let mut input = BytesMut::with_capacity(READ);
                for piece in wire.chunks(READ) {
                    input.extend_from_slice(piece);
                    while let Ok(Some(message)) = reader.read(&mut input) {
                        black_box(message);
                    }
                }
            });
        });
    }
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    let picture = vec![0x5A; 8_000];
    group.throughput(Throughput::Bytes(8_000));
    group.bench_function("for players", |bencher| {
        let mut out = BytesMut::with_capacity(READ);
        bencher.iter(|| {
            out.clear();
            kaibo_rtmp::play::write_message(&mut out, kind::VIDEO, 40, &[black_box(&picture)]);
        });
    });
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
