//! What it costs to gather a stream's frames into blocks, once per stream however many view it.
//! 2.5 Mbit/s of pictures with a keyframe of 60 kB every 2 s, and 128 kbit/s of sound; a flush every 50 ms.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kaibo_container::flv::{Flv, Packager, parse_video};
use kaibo_media::{
    AudioCodec, AudioTrack, Frame, Item, Run, Span, Timestamp, TrackId, Tracks, VideoCodec, VideoTrack,
};

fn two_seconds() -> Vec<Item> {
    let video = VideoTrack {
        codec: VideoCodec::H264,
        config: Bytes::from_static(b"record"),
        width: 1280,
        height: 720,
        frame_rate: Some(30.0),
        codecs: String::new(),
    };
    let audio = AudioTrack {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
        samples_per_frame: 1024,
        codecs: String::new(),
    };
    let tracks = Arc::new(Tracks { video: Some(video), audio: Some(audio) });
    let frame = |track, dts, keyframe, size| Frame {
        tracks: Arc::clone(&tracks),
        run: Run::default(),
        track,
        dts,
        pts_offset: Span::ZERO,
        keyframe,
        filler: false,
        data: vec![0x5A; size].into(),
    };
    let mut frames: Vec<Frame> = (0..60)
        .map(|n| {
            frame(TrackId::Video, Timestamp::from_scale(n, 30), n == 0, if n == 0 { 60_000 } else { 9_500 })
        })
        .chain((0..86).map(|n| frame(TrackId::Audio, Timestamp::from_scale(n * 1024, 44_100), false, 371)))
        .collect();
    frames.sort_by_key(|frame| frame.dts);
    frames.into_iter().map(|frame| Item::Frame(Arc::new(frame))).collect()
}

fn blocks(criterion: &mut Criterion) {
    let items = two_seconds();
    let size = |item: &Item| match item {
        Item::Frame(frame) => frame.data.len() as u64,
        Item::Cue(_) | Item::Break => 0,
    };
    let mut group = criterion.benchmark_group("flv");
    group.throughput(Throughput::Bytes(items.iter().map(size).sum()));
    group.bench_function("blocks of 50 ms", |bencher| {
        let mut packager = Packager::new(Flv::default());
        bencher.iter(|| {
            // 73 frames a second are about 4 in 50 ms.
            for (index, item) in items.iter().enumerate() {
                black_box(packager.push(item));
                if index % 4 == 3 {
                    black_box(packager.flush());
                }
            }
        });
    });
    group.finish();
    criterion.bench_function("flv/parse a picture", |bencher| {
        let body = Bytes::from([b"\x27\x01\0\0\x50", &[7; 9_500][..]].concat());
        bencher.iter(|| parse_video(black_box(body.clone())).unwrap());
    });
}

criterion_group!(benches, blocks);
criterion_main!(benches);
