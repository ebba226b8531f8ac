//! What is written of H.264: IDR slices with another `idr_pic_id`, and P slices in which nothing changes.

mod cabac;
mod header;
mod pps;
mod skip;
mod writer;

use kaibo_media::{
    VideoTrack,
    h264::Sps,
    nal::{self, NalKind},
};

pub(crate) use self::skip::StillSlices;
use self::{header::IdrHeader, pps::Pps};

/// The parameter sets of a track.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    sequence: Vec<Sps>,
    picture: Vec<Pps>,
}

impl Sets {
    /// Sets that can't be read are left out: pictures of theirs are repeated as they are.
    pub(crate) fn of(track: &VideoTrack) -> Self {
        let mut sets = Self::default();
        for unit in track.parameter_sets().unwrap_or_default() {
            match nal::kind(track.codec, &unit) {
                NalKind::Sps => sets.sequence.extend(Sps::parse(&unit).ok()),
                NalKind::Pps => sets.picture.extend(Pps::parse(&unit).ok()),
                _ => {}
            }
        }
        sets
    }

    /// The sets of a picture whose slices name the PPS `id`.
    fn find(&self, id: u32) -> Option<(&Sps, &Pps)> {
        let picture = self.picture.iter().find(|pps| pps.id == id)?;
        let sequence = self.sequence.iter().find(|sps| sps.id == picture.sequence)?;
        Some((sequence, picture))
    }
}

/// The slices of an IDR picture, with two values of `idr_pic_id` that differ from each other and from its own. None
/// where a slice header can't be read.
pub(crate) fn renumbered(slices: &[&[u8]], sets: &Sets) -> Option<[Vec<Vec<u8>>; 2]> {
    let own = IdrHeader::parse(slices.first()?, sets)?.idr_pic_id;
    let mut others = [0, 1, 2].into_iter().filter(|id| *id != own);
    let (first, second) = (others.next()?, others.next()?);
    let with = |id| slices.iter().map(|slice| header::renumber(slice, sets, id)).collect::<Option<Vec<_>>>();
    Some([with(first)?, with(second)?])
}
