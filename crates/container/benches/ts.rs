//! What it costs to make a TS segment, once per segment however many ask for it.
//! 2 s of 2.5 Mbit/s of pictures with a keyframe of 60 kB, and 128 kbit/s of sound.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kaibo_container::{
    segment::{Part, Sample},
    ts,
};
use kaibo_media::{AudioCodec, AudioTrack, Span, Timestamp, TrackId, Tracks, VideoCodec, VideoTrack};

fn two_seconds() -> (Tracks, Part) {
    let video = VideoTrack {
        codec: VideoCodec::H264,
        config: Bytes::from_static(b"\x01\x64\0\x1F\xFF\xE1\0\x03\x67\x64\x1F\x01\0\x02\x68\xEB"),
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
    let mut bytes = Vec::new();
    let mut samples = Vec::new();
    for n in 0..60 {
        let (keyframe, size) = if n == 0 { (true, 60_000) } else { (false, 9_500u32) };
        let from = bytes.len() as u32;
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.resize(bytes.len() + size as usize, 0x41);
        samples.push(Sample {
            track: TrackId::Video,
            dts: Timestamp::from_scale(n, 30),
            pts_offset: Span::from_scale(2, 30),
            keyframe,
            range: from..bytes.len() as u32,
        });
    }
    for n in 0..86 {
        let from = bytes.len() as u32;
        bytes.resize(bytes.len() + 371, 0x21);
        samples.push(Sample {
            track: TrackId::Audio,
            dts: Timestamp::from_scale(n * 1024, 44_100),
            pts_offset: Span::ZERO,
            keyframe: false,
            range: from..bytes.len() as u32,
        });
    }
    let part = Part {
        segment: 0,
        index: 0,
        start: Timestamp::ZERO,
        duration: Span::from_millis(2000),
        independent: true,
        bytes: bytes.into(),
        samples: samples.into(),
        cues: Box::default(),
    };
    (Tracks { video: Some(video), audio: Some(audio) }, part)
}

fn segment(criterion: &mut Criterion) {
    let (tracks, part) = two_seconds();
    let mut group = criterion.benchmark_group("ts");
    group.throughput(Throughput::Bytes(part.bytes.len() as u64));
    let parts = [Arc::new(part)];
    group.bench_function("segment of 2 s", |bencher| {
        bencher.iter(|| ts::segment(black_box(&tracks), black_box(&parts)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, segment);
criterion_main!(benches);
