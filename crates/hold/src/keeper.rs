//! What has to be known of a broadcast before its publisher goes away.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kaibo_media::{
    Edge, Frame, Span, Timestamp, TrackId, Tracks, VideoCodec, VideoTrack,
    nal::{self, NalKind},
};

use crate::{Filler, filler::Picture, h264, silence};

/// A larger picture is not held, in bytes: IDRs of 4K at 50 Mbit/s have some 2 MiB.
const LARGEST: usize = 4 << 20;

/// The rate of the live pictures is measured over this long at least.
const MEASURED: Span = Span::from_millis(2000);

/// Remembers the newest picture that can be held: one IDR per broadcast.
#[derive(Debug, Default)]
pub struct Keeper {
    tracks: Option<Arc<Tracks>>,
    picture: Option<Kept>,
    /// Bytes of pictures since then.
    counted: (u64, Timestamp),
    /// Of the live pictures, in bytes per second.
    rate: Option<u64>,
}

/// A picture as it came.
#[derive(Debug)]
struct Kept {
    data: Bytes,
    pts_offset: Span,
}

impl Keeper {
    /// Takes note of a frame that viewers see.
    pub fn note(&mut self, frame: &Frame) {
        if !self.tracks.as_ref().is_some_and(|known| Arc::ptr_eq(known, &frame.tracks)) {
            // An IDR of other parameter sets decodes to nothing that is worth holding.
            if self.tracks.as_ref().is_none_or(|known| known.video != frame.tracks.video) {
                self.picture = None;
            }
            self.tracks = Some(frame.tracks.clone());
        }
        let Some(video) = frame.tracks.video.as_ref().filter(|_| frame.track == TrackId::Video) else {
            return;
        };
        if frame.keyframe {
            self.measure(frame.dts);
            if frame.data.len() <= LARGEST && shows_random_access(video.codec, &frame.data) {
                self.picture = Some(Kept { data: frame.data.clone(), pts_offset: frame.pts_offset });
            }
        }
        self.counted.0 = self.counted.0.saturating_add(frame.data.len() as u64);
    }

    fn measure(&mut self, now: Timestamp) {
        let (bytes, since) = self.counted;
        let passed = now - since;
        if passed >= MEASURED {
            let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            self.rate = (bytes > 0).then(|| bytes.saturating_mul(1000) / millis.max(1));
            self.counted = (0, now);
        }
    }

    /// What fills the time from `edge` on, in segments that last for `segment`. None where the stream can't be held:
    /// no true IDR of the parameter sets in force, or a codec that no silence or still picture is known of.
    pub fn filler(&self, edge: Edge, segment: Span) -> Option<Filler> {
        let tracks = self.tracks.clone()?;
        let sound = match &tracks.audio {
            Some(track) => Some((silence::frame(track)?, track.sample_rate)),
            None => None,
        };
        let picture = match &tracks.video {
            Some(track) => Some(self.picture.as_ref()?.still(track, self.rate)?),
            None => None,
        };
        (picture.is_some() || sound.is_some()).then(|| Filler::new(tracks, edge, segment, picture, sound))
    }
}

impl Kept {
    fn still(&self, track: &VideoTrack, rate: Option<u64>) -> Option<Picture> {
        let units = nal::units(&self.data).map_while(Result::ok);
        let slices: Vec<&[u8]> = units.filter(|unit| nal::kind(track.codec, unit).is_slice()).collect();
        let (pictures, still) = match track.codec {
            VideoCodec::H264 => {
                let sets = h264::Sets::of(track);
                let pictures = match h264::renumbered(&slices, &sets) {
                    Some(pictures) => pictures.map(|slices| length_prefixed(&slices)),
                    None => {
                        let own = length_prefixed(&slices);
                        [own.clone(), own]
                    }
                };
                (pictures, h264::StillSlices::behind(slices.first()?, &sets))
            }
            VideoCodec::H265 => {
                let slices: Vec<_> = slices.into_iter().map(broken_link).collect();
                let picture = length_prefixed(&slices);
                ([picture.clone(), picture], None)
            }
            VideoCodec::Av1 | VideoCodec::Vp9 => return None,
        };
        Some(Picture { pictures, still, pts_offset: self.pts_offset, rate })
    }
}

/// Every slice of the frame is one of an IDR picture, or in H.265 of another random-access picture. (The second field
/// of an interlaced IDR picture need not be.)
fn shows_random_access(codec: VideoCodec, data: &[u8]) -> bool {
    let mut kinds = nal::units(data)
        .map_while(Result::ok)
        .map(|unit| nal::kind(codec, unit))
        .filter(|kind| kind.is_slice())
        .peekable();
    kinds.peek().is_some()
        && kinds.all(|kind| match codec {
            VideoCodec::H264 => kind == NalKind::Idr,
            VideoCodec::H265 => matches!(kind, NalKind::Idr | NalKind::RandomAccess),
            VideoCodec::Av1 | VideoCodec::Vp9 => false,
        })
}

/// A slice of a CRA or BLA picture of H.265 as one of a BLA picture without leading pictures, whose syntax is the same
/// (ITU-T H.265 §7.4.2.2): the picture order begins anew with each, as it does with an IDR.
fn broken_link(slice: &[u8]) -> Vec<u8> {
    const BLA_N_LP: u8 = 18;
    let mut slice = slice.to_vec();
    if nal::kind(VideoCodec::H265, &slice) == NalKind::RandomAccess
        && let Some(header) = slice.first_mut()
    {
        *header = *header & 0x81 | BLA_N_LP << 1;
    }
    slice
}

/// NAL units as a frame has them.
pub(crate) fn length_prefixed<U: AsRef<[u8]>>(units: &[U]) -> Bytes {
    let mut data = BytesMut::with_capacity(units.iter().map(|unit| 4 + unit.as_ref().len()).sum());
    for unit in units.iter().map(AsRef::as_ref) {
        // Far below 4 GiB: no message of a publisher is larger than 16 MiB.
        data.put_u32(unit.len() as u32);
        data.put_slice(unit);
    }
    data.freeze()
}
