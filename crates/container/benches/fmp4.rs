//! What packaging costs: frames to parts and segments, once per stream however many watch.
#![allow(clippy::indexing_slicing, missing_docs)]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kaibo_container::{
    fmp4,
    segment::Cut,
    segmenter::{Config, Resume, Segmenter},
};
use kaibo_media::{
    AudioCodec, AudioTrack, Frame, Item, Run, Span, Timestamp, TrackId, Tracks, VideoCodec, VideoTrack,
};

fn tracks() -> Arc<Tracks> {
    let video = VideoTrack {
        codec: VideoCodec::H264,
        config: Bytes::from_static(&[1, 0x64, 0, 0x28, 0xFF, 0xE0, 0]),
        width: 1920,
        height: 1080,
        frame_rate: Some(30.0),
        codecs: "avc1.640028".into(),
    };
    let audio = AudioTrack {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
        samples_per_frame: 1024,
        codecs: "mp4a.40.2".into(),
    };
    Arc::new(Tracks { video: Some(video), audio: Some(audio) })
}

/// A minute of the typical push: 1080p at 30 frames per second and 3000 kbit/s, AAC at 160 kbit/s.
fn minute() -> Vec<Item> {
    let tracks = tracks();
    let frame = |track, dts, keyframe, len| Frame {
        tracks: tracks.clone(),
        run: Run::default(),
        track,
        dts,
        pts_offset: Span::ZERO,
        keyframe,
        filler: false,
        data: vec![7; len].into(),
    };
    let mut frames = Vec::new();
    for number in 0..1800 {
        let keyframe = number % 60 == 0;
        let len = if keyframe { 120_000 } else { 10_700 };
        frames.push(frame(TrackId::Video, Timestamp::from_scale(number, 30), keyframe, len));
    }
    for number in 0..2584 {
        frames.push(frame(TrackId::Audio, Timestamp::from_scale(number * 1024, 44_100), false, 464));
    }
    frames.sort_by_key(|frame| frame.dts);
    frames.into_iter().map(|frame| Item::Frame(Arc::new(frame))).collect()
}

fn packaging(criterion: &mut Criterion) {
    let items = minute();
    let media: usize =
        items.iter().map(|item| if let Item::Frame(frame) = item { frame.data.len() } else { 0 }).sum();
    let mut cuts = Vec::new();
    let mut package = || {
        cuts.clear();
        let mut segmenter = Segmenter::new(Config::default(), Resume::default());
        for item in &items {
            segmenter.push(black_box(item), &mut cuts);
        }
        cuts.len()
    };
    let mut group = criterion.benchmark_group("fmp4");
    group.throughput(Throughput::Bytes(media as u64));
    group.bench_function("a minute of 1080p to parts", |bencher| bencher.iter(&mut package));
    package();

    let parts: Vec<_> =
        cuts.iter().filter_map(|cut| if let Cut::Part(part) = cut { Some(part) } else { None }).collect();
    let recording: Vec<u8> = parts.iter().flat_map(|part| part.bytes.iter().copied()).collect();
    let tracks = tracks();
    group.bench_function("a minute of 1080p read back", |bencher| {
        bencher.iter(|| fmp4::fragments(black_box(&recording), &tracks).filter(Result::is_ok).count());
    });
    group.finish();
}

criterion_group!(benches, packaging);
criterion_main!(benches);
