//! Frames of the ring that no part holds yet. Once one does, the ring's frames lie in its bytes: what the window keeps
//! for longer anyway is in memory once, and where the next frames arrive is still in the processor's caches.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use kaibo_container::segment::{Part, Sample};
use kaibo_media::{Frame, Item, Timestamp, TrackId};

use crate::packager::Queued;

/// Frames of one track that wait: no part has more. Those that are left out of all parts go when others follow.
const FRAMES: usize = 2048;

/// The frames of each track that wait for their part, in the order of their times.
#[derive(Default)]
pub struct Uncut {
    video: VecDeque<Waiting>,
    audio: VecDeque<Waiting>,
}

/// One of them.
struct Waiting {
    /// Its number in the ring.
    number: u64,
    dts: Timestamp,
    /// Gone if it has left the ring already.
    frame: Weak<Frame>,
}

impl Uncut {
    /// Takes note of entry `number` of the ring.
    pub fn note(&mut self, number: u64, item: &Item) {
        let Item::Frame(frame) = item else { return };
        let waiting = self.track(frame.track);
        waiting.push_back(Waiting { number, dts: frame.dts, frame: Arc::downgrade(frame) });
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
        // Those before it came into no part.
        while let Some(Waiting { number, dts, frame }) = waiting.pop_front_if(|next| next.dts <= sample.dts) {
            let data = part.bytes.slice_ref(part.data(sample));
            let is_it = |frame: &Arc<Frame>| (dts, frame.data.len()) == (sample.dts, data.len());
            if let Some(frame) = frame.upgrade().filter(is_it) {
                return Some((number, Queued(Item::Frame(Arc::new(Frame { data, ..(*frame).clone() })))));
            }
        }
        None
    }

    fn track(&mut self, track: TrackId) -> &mut VecDeque<Waiting> {
        match track {
            TrackId::Video => &mut self.video,
            TrackId::Audio | TrackId::Data => &mut self.audio,
        }
    }
}

#[cfg(test)]
mod tests {
    use kaibo_media::{Run, Span, Timestamp};

    use super::*;

    fn frame(track: TrackId, millis: i64, data: &'static [u8]) -> Arc<Frame> {
        Arc::new(Frame {
            tracks: Arc::default(),
            run: Run::default(),
            track,
            dts: Timestamp::from_millis(millis),
            pts_offset: Span::ZERO,
            keyframe: false,
            filler: false,
            data: data.into(),
        })
    }

    #[test]
    fn the_frames_of_a_part_lie_in_it_and_others_stay_where_they_are() {
        let (video, audio) = (TrackId::Video, TrackId::Audio);
        // Sound from before the first picture came into no part; one picture has left the ring.
        let kept = [
            frame(audio, 0, b"early"),
            frame(video, 40, b"first"),
            frame(audio, 40, b"sound"),
            frame(video, 120, b"third"),
            frame(video, 160, b"later"),
        ];
        let mut uncut = Uncut::default();
        for (number, frame) in (10..).zip(&kept[..3]) {
            uncut.note(number, &Item::Frame(frame.clone()));
        }
        uncut.note(13, &Item::Frame(frame(video, 80, b"gone!")));
        for (number, frame) in (14..).zip(&kept[3..]) {
            uncut.note(number, &Item::Frame(frame.clone()));
        }
        let sample = |track, millis, from| Sample {
            track,
            dts: Timestamp::from_millis(millis),
            pts_offset: Span::ZERO,
            keyframe: false,
            range: from..from + 5,
        };
        let part = Part {
            segment: 0,
            index: 0,
            start: Timestamp::from_millis(40),
            duration: Span::from_millis(120),
            independent: true,
            bytes: b"moof.firstgone!thirdsound".as_slice().into(),
            samples: [(video, 40, 5), (video, 80, 10), (video, 120, 15), (audio, 40, 20)]
                .map(|(track, millis, from)| sample(track, millis, from))
                .into(),
            cues: Box::default(),
        };
        let moved = uncut.cut(&part);
        let numbers: Vec<_> = moved.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [11, 14, 12]);
        for ((_, Queued(item)), (data, at)) in
            moved.iter().zip([(b"first", 5), (b"third", 15), (b"sound", 20)])
        {
            let Item::Frame(frame) = item else { panic!("no frame: {item:?}") };
            assert_eq!(&frame.data[..], data);
            assert_eq!(frame.data.as_ptr(), part.bytes[at..].as_ptr());
        }
    }
}
