//! What viewers and recordings get from the segmenter, case by case.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod cues;
#[path = "../fmp4_streams/mod.rs"]
mod fmp4_streams;
mod odd_streams;
mod parts;
mod returns;
mod segments;

use std::sync::Arc;

use kaibo_container::{
    segment::{Cut, Part, SegmentEnd, SegmentHead},
    segmenter::{Config, Resume, Segmenter},
};
use kaibo_media::{Item, TrackId};

use fmp4_streams::Publisher;

/// A segmenter and what came out of it.
struct Cutting {
    segmenter: Segmenter,
    cuts: Vec<Cut>,
}

impl Cutting {
    fn new() -> Self {
        Self::resumed(Resume::default())
    }

    fn resumed(resume: Resume) -> Self {
        Self { segmenter: Segmenter::new(Config::default(), resume), cuts: Vec::new() }
    }

    /// Pushes an item and says how many cuts it completed.
    fn push(&mut self, item: Item) -> usize {
        let before = self.cuts.len();
        self.segmenter.push(&item, &mut self.cuts);
        self.cuts.len() - before
    }

    /// Pictures at `rate` per second from `from` to before `to` milliseconds, keyframes every `gop` pictures.
    fn play(&mut self, publisher: &mut Publisher, rate: f64, from: i64, to: i64, gop: i64) {
        let mut number = 0;
        loop {
            let dts = from + (number as f64 * 1000.0 / rate).round() as i64;
            if dts >= to {
                return;
            }
            self.push(publisher.picture(dts, number % gop == 0));
            number += 1;
        }
    }

    fn heads(&self) -> Vec<&Arc<SegmentHead>> {
        self.cuts
            .iter()
            .filter_map(|cut| if let Cut::Begin(head) = cut { Some(head) } else { None })
            .collect()
    }

    fn parts(&self) -> Vec<&Arc<Part>> {
        self.cuts.iter().filter_map(|cut| if let Cut::Part(part) = cut { Some(part) } else { None }).collect()
    }

    fn ends(&self) -> Vec<&SegmentEnd> {
        self.cuts.iter().filter_map(|cut| if let Cut::End(end) = cut { Some(end) } else { None }).collect()
    }

    /// Durations of the segments in milliseconds.
    fn durations(&self) -> Vec<i64> {
        self.ends().iter().map(|end| end.duration.as_millis()).collect()
    }

    fn samples(&self, track: TrackId) -> usize {
        self.parts().iter().flat_map(|part| &part.samples).filter(|sample| sample.track == track).count()
    }
}
