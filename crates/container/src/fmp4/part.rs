//! Writing a part: `emsg`, `moof` and `mdat` in one allocation.

use std::sync::Arc;

use bytes::Bytes;
use kaibo_media::{Cue, Frame, Timestamp, TrackId, Tracks};

use super::{NON_SYNC, SYNC, emsg, timescale};
use crate::{
    iso::{
        AUDIO_ID, VIDEO_ID,
        boxes::{boxed, full, u32, u64},
    },
    segment::Sample,
};

/// Bytes of a `moof` without tracks: its header and `mfhd`.
const MOOF: usize = 8 + 16;
/// Bytes of a `traf` without samples: its header, `tfhd`, `tfdt` and the fixed fields of `trun`.
const TRAF: usize = 8 + 16 + 20 + 20;

/// A frame, and when what follows it in its track is due.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The frame.
    pub frame: Arc<Frame>,
    /// Decoding time of the frame after it, or an estimate of it.
    pub end: Timestamp,
}

/// Writes one part: the frames of each track in decoding order, video before audio. `sequence` is to rise from part
/// to part. Timed events stand in front. Also says where each frame lies in the bytes.
///
/// A frame lasts to the tick at which its successor begins, so roundings never add up.
pub fn part(
    sequence: u32,
    tracks: &Tracks,
    video: &[Timed],
    audio: &[Timed],
    cues: &[Arc<Cue>],
) -> (Bytes, Box<[Sample]>) {
    let runs = [TrackRun::new(tracks, TrackId::Video, video), TrackRun::new(tracks, TrackId::Audio, audio)];
    let runs = runs.iter().filter(|run| !run.frames.is_empty());
    let head = MOOF + runs.clone().map(TrackRun::traf_len).sum::<usize>();
    let media: usize = runs.clone().map(TrackRun::media_len).sum();

    let events: usize = cues.iter().map(|cue| emsg::LEN + cue.payload.len()).sum();
    let mut out = Vec::with_capacity(events + head + 8 + media);
    cues.iter().for_each(|cue| emsg::write(&mut out, cue));
    boxed(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| u32(out, sequence));
        let mut offset = head + 8;
        for run in runs.clone() {
            run.traf(out, offset);
            offset += run.media_len();
        }
    });
    let mut samples = Vec::with_capacity(video.len() + audio.len());
    boxed(&mut out, b"mdat", |out| {
        for Timed { frame, .. } in runs.flat_map(|run| run.frames) {
            let start = out.len() as u32;
            out.extend_from_slice(&frame.data);
            samples.push(Sample {
                track: frame.track,
                dts: frame.dts,
                pts_offset: frame.pts_offset,
                keyframe: frame.keyframe,
                range: start..out.len() as u32,
            });
        }
    });
    (out.into(), samples.into())
}

/// One track's share of a part.
struct TrackRun<'a> {
    track: TrackId,
    timescale: u32,
    frames: &'a [Timed],
}

impl<'a> TrackRun<'a> {
    fn new(tracks: &Tracks, track: TrackId, frames: &'a [Timed]) -> Self {
        Self { track, timescale: timescale(tracks, track), frames }
    }

    fn media_len(&self) -> usize {
        self.frames.iter().map(|timed| timed.frame.data.len()).sum()
    }

    fn traf_len(&self) -> usize {
        TRAF + self.frames.len() * if self.track == TrackId::Video { 16 } else { 8 }
    }

    fn traf(&self, out: &mut Vec<u8>, data_offset: usize) {
        let video = self.track == TrackId::Video;
        let start = self.frames.first().map_or(0, |first| first.frame.dts.in_scale(self.timescale));
        boxed(out, b"traf", |out| {
            // default-base-is-moof: offsets count from this part, wherever it ends up in a file.
            full(out, b"tfhd", 0, 0x02_0000, |out| u32(out, if video { VIDEO_ID } else { AUDIO_ID }));
            full(out, b"tfdt", 1, 0, |out| u64(out, start.max(0) as u64));
            // Data offset, then each sample's duration and size, for video also its flags and composition offset.
            full(out, b"trun", 1, if video { 0xF01 } else { 0x301 }, |out| {
                u32(out, self.frames.len() as u32);
                u32(out, data_offset as u32);
                for timed in self.frames {
                    self.sample(out, timed);
                }
            });
        });
    }

    fn sample(&self, out: &mut Vec<u8>, Timed { frame, end }: &Timed) {
        let dts = frame.dts.in_scale(self.timescale);
        let duration = end.in_scale(self.timescale).saturating_sub(dts);
        u32(out, duration.clamp(0, i64::from(u32::MAX)) as u32);
        u32(out, frame.data.len() as u32);
        if self.track == TrackId::Video {
            let offset = frame.pts().in_scale(self.timescale).saturating_sub(dts);
            u32(out, if frame.keyframe { SYNC } else { NON_SYNC });
            u32(out, offset.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32 as u32);
        }
    }
}
