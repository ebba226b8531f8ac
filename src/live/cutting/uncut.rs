//! Frames of the ring that no part holds yet. Once one does, the ring's frames lie in its bytes: what the window keeps
//! for longer anyway is in memory once, and where the next frames arrive is still in the processor's caches.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use kaibo_container::segment::{Part, Sample};
use kaibo_media::{Frame, Item, TrackId};

use crate::packager::Queued;

/// Frames of one track that wait: no part has more. Those that are left out of all parts go when others follow.
const FRAMES: usize = 2048;

/// The frames of each track that wait for their part, with their numbers in the ring.
#[derive(Default)]
pub struct Uncut {
    video: VecDeque<(u64, Weak<Frame>)>,
    audio: VecDeque<(u64, Weak<Frame>)>,
}

impl Uncut {
    /// Takes note of entry `number` of the ring.
    pub fn note(&mut self, number: u64, item: &Item) {
        let Item::Frame(frame) = item else { return };
        let waiting = self.track(frame.track);
        waiting.push_back((number, Arc::downgrade(frame)));
        if waiting.len() > FRAMES {
            waiting.pop_front();
        }
    }

    /// The frames of `part` as they lie in its bytes, to be put into the ring.
    pub fn cut(&mut self, part: &Part) -> Vec<(u64, Queued)> {
        part.samples.iter().filter_map(|sample| self.lies_in(part, sample)).collect()
    }

    fn lies_in(&mut self, part: &Part, sample: &Sample) -> Option<(u64, Queued)> {
        let waiting = self.track(sample.track);
        while let Some((number, frame)) = waiting.pop_front() {
            let data = part.bytes.slice_ref(part.data(sample));
            let is_it = |frame: &Arc<Frame>| (frame.dts, frame.data.len()) == (sample.dts, data.len());
            // One that has left the ring already is of no interest, nor one that came into no part.
            if let Some(frame) = frame.upgrade().filter(is_it) {
                return Some((number, Queued(Item::Frame(Arc::new(Frame { data, ..(*frame).clone() })))));
            }
        }
        None
    }

    fn track(&mut self, track: TrackId) -> &mut VecDeque<(u64, Weak<Frame>)> {
        match track {
            TrackId::Video => &mut self.video,
            TrackId::Audio | TrackId::Data => &mut self.audio,
        }
    }
}
