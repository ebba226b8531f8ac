//! From frames to what viewers are sent.

use std::{hint::black_box, sync::Arc};

use kaibo_container::{
    flv::{Flv, Format, Messages, Packager},
    fmp4,
    segment::{Cut, Part},
    segmenter::{Config, Resume, Segmenter},
    ts,
};
use kaibo_hls::{self as hls, View, Wanted, Window};
use kaibo_media::{Item, Span};

use crate::{
    count,
    push::{items, tracks},
};

/// Some seconds of a broadcast, cut.
pub fn cuts(items: &[Item]) -> Vec<Cut> {
    let mut segmenter = Segmenter::new(Config::default(), Resume::default());
    let mut cuts = Vec::new();
    for item in items {
        segmenter.push(item, &mut cuts);
    }
    cuts
}

/// The parts of `cuts`.
pub fn parts_of(cuts: &[Cut]) -> Vec<&Arc<Part>> {
    cuts.iter().filter_map(|cut| if let Cut::Part(part) = cut { Some(part) } else { None }).collect()
}

/// Blocks of so many frames.
pub fn flv(frames: usize) {
    blocks(Flv::default(), frames);
}

/// The same for RTMP players: tag bodies in chunks.
pub fn rtmp() {
    blocks(Messages::default(), 4);
}

fn blocks<F: Format + Copy>(format: F, frames: usize) {
    let items = items(10);
    count(|| {
        let mut packager = Packager::new(format);
        for (index, item) in items.iter().enumerate() {
            black_box(packager.push(item));
            if index % frames == frames - 1 {
                black_box(packager.flush());
            }
        }
    });
}

/// Parts and segments of frames.
pub fn parts() {
    let items = items(60);
    count(|| {
        black_box(cuts(&items));
    });
}

/// Frames of parts, as they are read back.
pub fn read_parts() {
    let (cuts, tracks) = (cuts(&items(60)), tracks());
    let recording: Vec<u8> = parts_of(&cuts).iter().flat_map(|part| part.bytes.iter().copied()).collect();
    count(|| {
        let read = fmp4::fragments(&recording, &tracks).filter(Result::is_ok).count();
        assert_eq!(read, parts_of(&cuts).len());
    });
}

/// TS segments of parts.
pub fn ts() {
    let (cuts, tracks) = (cuts(&items(10)), tracks());
    let parts: Vec<Arc<Part>> = parts_of(&cuts).into_iter().cloned().collect();
    count(|| {
        for segment in parts.chunk_by(|one, next| one.segment == next.segment) {
            black_box(ts::segment(&tracks, segment).unwrap());
        }
    });
}

/// A live window that reaches a minute beyond what is in memory.
fn watch(cuts: &[Cut], mut see: impl FnMut(View)) {
    let config = hls::Config { reach: Span::from_millis(90_000), ..hls::Config::default() };
    let mut window = Window::new(config);
    for cut in cuts {
        window.apply_recorded(cut, |_| true).unwrap();
        see(window.view());
    }
}

/// What viewers see, after each change.
pub fn window() {
    let cuts = cuts(&items(300));
    count(|| {
        watch(&cuts, |view| {
            black_box(view);
        });
    });
}

/// The media playlist after each of the changes of some seconds.
fn playlists(format: hls::Format, delta: bool, gzip: bool) {
    let mut views = Vec::new();
    watch(&cuts(&items(150)), |view| views.push(view));
    let views = views.get(views.len() - 30..).unwrap();
    count(|| {
        for view in views {
            let wanted = Wanted { format, delta, query: "", reports: &[] };
            let pieces = view.pieces(wanted).unwrap();
            black_box(if gzip { pieces.gzip() } else { pieces.chunks() });
        }
    });
}

pub fn playlist_plain() {
    playlists(hls::Format::Ts, false, false);
}

pub fn playlist_ll() {
    playlists(hls::Format::Fmp4, false, false);
}

pub fn playlist_delta() {
    playlists(hls::Format::Fmp4, true, false);
}

pub fn playlist_gzip() {
    playlists(hls::Format::Fmp4, false, true);
}
