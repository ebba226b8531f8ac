//! Pictures as a byte stream of NAL units (ITU-T H.264 and H.265, annex B).

use bytes::Buf;
use kaibo_media::{
    VideoCodec, VideoTrack,
    nal::{self, NalKind},
};

use super::Error;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What is needed to write the access units of a video track.
#[derive(Debug)]
pub(super) struct AccessUnits<'a> {
    codec: VideoCodec,
    /// VPS, SPS and PPS, for decoders that begin here.
    parameter_sets: Vec<&'a [u8]>,
}

impl<'a> AccessUnits<'a> {
    pub fn new(track: &'a VideoTrack) -> Result<Self, Error> {
        let codec = track.codec;
        let sets = match codec {
            VideoCodec::H264 => avc_sets(&track.config).ok_or(Error::Config("avcC"))?,
            VideoCodec::H265 => hevc_sets(&track.config).ok_or(Error::Config("hvcC"))?,
            VideoCodec::Av1 => return Err(Error::Unsupported("AV1")),
            VideoCodec::Vp9 => return Err(Error::Unsupported("VP9")),
        };
        // An hvcC may hold SEI too.
        let is_set =
            |unit: &&[u8]| matches!(nal::kind(codec, unit), NalKind::Vps | NalKind::Sps | NalKind::Pps);
        Ok(Self { codec, parameter_sets: sets.into_iter().filter(is_set).collect() })
    }

    /// Bytes of the access unit that [`AccessUnits::write`] makes of `sample`; 0 if there is none in it.
    pub fn len(&self, sample: &[u8], sets: bool) -> usize {
        match len_of(self.body(sample, sets)) {
            0 => 0,
            body => len_of(self.head(sets)) + body,
        }
    }

    /// Appends an access unit that is given as 4-byte length-prefixed NAL units: with one delimiter, in front, in
    /// place of those it has, and with the track's parameter sets where `sets` says so. A NAL unit that is cut
    /// short ends it.
    pub fn write(&self, out: &mut Vec<u8>, sample: &[u8], sets: bool) {
        for nal in self.head(sets).chain(self.body(sample, sets)) {
            out.extend_from_slice(&START_CODE);
            out.extend_from_slice(nal);
        }
    }

    /// What stands in front.
    fn head(&self, sets: bool) -> impl Iterator<Item = &[u8]> {
        // A delimiter that allows any slice type.
        let delimiter: &[u8] = match self.codec {
            VideoCodec::H265 => &[0x46, 0x01, 0x50],
            _ => &[0x09, 0xF0],
        };
        let sets = if sets { &self.parameter_sets[..] } else { &[] };
        std::iter::once(delimiter).chain(sets.iter().copied())
    }

    /// What is left of the sample then.
    fn body<'b>(&'b self, sample: &'b [u8], sets: bool) -> impl Iterator<Item = &'b [u8]> {
        let in_front = move |unit: &&[u8]| {
            nal::kind(self.codec, unit) == NalKind::Aud || sets && self.parameter_sets.contains(unit)
        };
        nal::units(sample).map_while(Result::ok).filter(move |unit| !unit.is_empty() && !in_front(unit))
    }
}

fn len_of<'a>(nals: impl Iterator<Item = &'a [u8]>) -> usize {
    nals.map(|nal| START_CODE.len() + nal.len()).sum()
}

/// SPS and PPS of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1).
fn avc_sets(mut record: &[u8]) -> Option<Vec<&[u8]>> {
    split(&mut record, 5)?;
    let mut sets = Vec::new();
    let sps = record.try_get_u8().ok()? & 0x1F;
    with_lengths(&mut record, sps.into(), &mut sets)?;
    let pps = record.try_get_u8().ok()?;
    with_lengths(&mut record, pps.into(), &mut sets)?;
    Some(sets)
}

/// All NAL units of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1).
fn hevc_sets(mut record: &[u8]) -> Option<Vec<&[u8]>> {
    split(&mut record, 22)?;
    let mut sets = Vec::new();
    for _array in 0..record.try_get_u8().ok()? {
        let _kind = record.try_get_u8().ok()?;
        let count = record.try_get_u16().ok()?;
        with_lengths(&mut record, count, &mut sets)?;
    }
    Some(sets)
}

/// `count` NAL units, each behind its length in 16 bits.
fn with_lengths<'a>(record: &mut &'a [u8], count: u16, sets: &mut Vec<&'a [u8]>) -> Option<()> {
    for _ in 0..count {
        let len = record.try_get_u16().ok()?;
        sets.push(split(record, len.into())?);
    }
    Some(())
}

fn split<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(front)
}
