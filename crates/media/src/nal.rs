//! NAL units of H.264 and H.265: in frames, where each stands behind its length, and in Annex B streams.

use crate::VideoCodec;

/// Why a frame is no sequence of length-prefixed NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NalError {
    /// A NAL unit claims more bytes than there are.
    #[error("NAL unit at byte {at} has {length} bytes, {left} are left")]
    PastEnd {
        /// Byte offset of its length in the frame.
        at: usize,
        /// What the length says.
        length: usize,
        /// Bytes behind the length.
        left: usize,
    },
    /// The frame ends within a length.
    #[error("length of a NAL unit is cut off at byte {at}")]
    CutLength {
        /// Byte offset of the length in the frame.
        at: usize,
    },
}

/// What matters of a NAL unit's type (ITU-T H.264 Table 7-1, H.265 Table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NalKind {
    /// Slice of an IDR picture.
    Idr,
    /// Slice of another random-access picture of H.265: CRA or BLA.
    RandomAccess,
    /// Slice of any other picture.
    Slice,
    /// Video parameter set (H.265).
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Access unit delimiter.
    Aud,
    /// Supplemental enhancement information.
    Sei,
    /// Anything else.
    Other,
}

impl NalKind {
    /// It is part of a picture.
    pub fn is_slice(self) -> bool {
        matches!(self, Self::Idr | Self::RandomAccess | Self::Slice)
    }
}

/// What kind of NAL unit this is, by its header; [`NalKind::Other`] in codecs without NAL units.
pub fn kind(codec: VideoCodec, unit: &[u8]) -> NalKind {
    let Some(&header) = unit.first() else { return NalKind::Other };
    match codec {
        VideoCodec::H264 => match header & 0x1f {
            5 => NalKind::Idr,
            1..=4 => NalKind::Slice,
            6 => NalKind::Sei,
            7 => NalKind::Sps,
            8 => NalKind::Pps,
            9 => NalKind::Aud,
            _ => NalKind::Other,
        },
        VideoCodec::H265 => match header >> 1 & 0x3f {
            19 | 20 => NalKind::Idr,
            16..=18 | 21 => NalKind::RandomAccess,
            0..=9 => NalKind::Slice,
            32 => NalKind::Vps,
            33 => NalKind::Sps,
            34 => NalKind::Pps,
            35 => NalKind::Aud,
            39 | 40 => NalKind::Sei,
            _ => NalKind::Other,
        },
        VideoCodec::Av1 | VideoCodec::Vp9 => NalKind::Other,
    }
}

/// The NAL units of a frame as [`crate::Frame::data`] has them, with lengths of 4 bytes. Ends at the first error.
pub fn units(frame: &[u8]) -> Units<'_> {
    units_sized(frame, 4)
}

/// The NAL units of a frame whose lengths have `length_size` bytes.
pub(crate) fn units_sized(frame: &[u8], length_size: usize) -> Units<'_> {
    Units { frame, at: 0, length_size }
}

/// The frame shows an IDR picture. (H.265 pictures of other random-access kinds are not.)
pub fn is_idr(codec: VideoCodec, frame: &[u8]) -> bool {
    let mut slices = units(frame).map_while(Result::ok).map(|unit| kind(codec, unit));
    slices.find(|kind| kind.is_slice()) == Some(NalKind::Idr)
}

/// Iterator over the NAL units of a frame.
#[derive(Clone, Debug)]
pub struct Units<'a> {
    frame: &'a [u8],
    at: usize,
    length_size: usize,
}

impl<'a> Iterator for Units<'a> {
    type Item = Result<&'a [u8], NalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let rest = self.frame.get(at..).filter(|rest| !rest.is_empty())?;
        self.at = self.frame.len(); // unless all is well
        let Some((length, rest)) = rest.split_at_checked(self.length_size) else {
            return Some(Err(NalError::CutLength { at }));
        };
        let length = length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        let Some(unit) = rest.get(..length) else {
            return Some(Err(NalError::PastEnd { at, length, left: rest.len() }));
        };
        self.at = at + self.length_size + length;
        Some(Ok(unit))
    }
}

/// It begins with a start code of Annex B.
pub fn starts_annex_b(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1])
}

/// The NAL units of a byte stream of Annex B (ITU-T H.264 §B.1), without the zeros that may follow each.
pub fn annex_b(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream.get(start_code(stream).1..).unwrap_or_default();
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (end, next) = start_code(rest);
            let unit = rest.get(..end).unwrap_or_default();
            rest = rest.get(next..).unwrap_or_default();
            let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if let Some(unit) = unit.get(..end).filter(|unit| !unit.is_empty()) {
                return Some(unit);
            }
        }
        None
    })
}

/// Where the first start code begins and ends; both are the length if there is none.
fn start_code(bytes: &[u8]) -> (usize, usize) {
    let at = bytes.windows(3).position(|window| window == [0, 0, 1]);
    at.map_or((bytes.len(), bytes.len()), |at| (at, at + 3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_past_the_end_is_an_error_and_the_last_item() {
        let frame = [0, 0, 0, 2, 0x65, 1, 0xff, 0xff, 0xff, 0xff, 1];
        let units: Vec<_> = units(&frame).collect();
        let past = NalError::PastEnd { at: 6, length: 0xffff_ffff, left: 1 };
        assert_eq!(units, [Ok(&[0x65, 1][..]), Err(past)]);
        assert!(is_idr(VideoCodec::H264, &frame));
    }

    #[test]
    fn annex_b_units_come_without_padding() {
        let stream = [0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0, 0, 0, 1, 0x41, 0];
        let units: Vec<_> = annex_b(&stream).collect();
        assert_eq!(units, [&[9, 0xf0][..], &[0x65, 0, 0, 3, 1], &[0x41]]);
    }

    #[test]
    fn only_idr_slices_make_a_frame_an_idr() {
        let frame = |unit: &[u8]| [&[0, 0, 0, unit.len() as u8], unit].concat();
        let cra = frame(&[21 << 1, 1]);
        let [h264, h265] = [VideoCodec::H264, VideoCodec::H265];
        assert!(!is_idr(h265, &cra) && kind(h265, &cra[4..]) == NalKind::RandomAccess);
        assert!(is_idr(h265, &[frame(&[35 << 1, 1]), frame(&[19 << 1, 1])].concat()));
        assert!(!is_idr(h264, &frame(&[0x41])) && !is_idr(h264, &[]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in prop::collection::vec(0u8..4, 0..60), size in 1usize..5) {
            let total: usize = units_sized(&bytes, size).filter_map(Result::ok).map(<[u8]>::len).sum();
            prop_assert!(total <= bytes.len());
            prop_assert!(annex_b(&bytes).all(|unit| !unit.is_empty() && unit.windows(3).all(|w| w != [0, 0, 1])));
        }
    }
}
