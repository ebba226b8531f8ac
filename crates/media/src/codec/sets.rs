//! The parameter sets of H.264 and H.265, out of band (`avcC`, `hvcC`) or in band.

use bytes::{BufMut, Bytes, BytesMut};

use super::{CodecError, h264, h265};
use crate::{
    VideoCodec, VideoTrack,
    nal::{self, NalKind},
};

/// Most sets of one kind. H.264 allows 32 SPS, H.265 16 VPS, 16 SPS and 64 PPS; more than 64 PPS is an attack.
const MAX_SETS: usize = 64;

/// The sets that a decoder needs before the first picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    codec: VideoCodec,
    /// H.265 only.
    video: Vec<Bytes>,
    sequence: Vec<Bytes>,
    picture: Vec<Bytes>,
}

impl ParameterSets {
    pub(crate) fn new(codec: VideoCodec) -> Self {
        Self { codec, video: Vec::new(), sequence: Vec::new(), picture: Vec::new() }
    }

    /// From `avcC`, `hvcC` or Annex B.
    pub(crate) fn from_record(codec: VideoCodec, record: &Bytes) -> Result<Self, CodecError> {
        let mut sets = Self::new(codec);
        if nal::starts_annex_b(record) {
            nal::annex_b(record).for_each(|unit| sets.add(unit));
            return Ok(sets);
        }
        let mut fields = Fields { record, at: 0 };
        match fields.number(1)? {
            1 => {}
            value => return Err(CodecError::Value { field: "configurationVersion", value: value as u64 }),
        }
        if codec == VideoCodec::H265 {
            fields.take(21)?;
            for _ in 0..fields.number(1)? {
                fields.take(1)?; // the sets themselves tell their kind
                for _ in 0..fields.number(2)? {
                    fields.set(&mut sets)?;
                }
            }
        } else {
            fields.take(4)?;
            for _ in 0..fields.number(1)? & 0x1f {
                fields.set(&mut sets)?;
            }
            for _ in 0..fields.number(1)? {
                fields.set(&mut sets)?;
            }
        }
        Ok(sets)
    }

    /// Adds `unit` if it is a parameter set that is not there yet. Zeros at its end are padding of Annex B.
    pub(crate) fn add(&mut self, unit: &[u8]) {
        let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let unit = unit.get(..end).unwrap_or_default();
        let list = match nal::kind(self.codec, unit) {
            NalKind::Vps => &mut self.video,
            NalKind::Sps => &mut self.sequence,
            NalKind::Pps => &mut self.picture,
            _ => return,
        };
        if list.len() < MAX_SETS && unit.len() <= usize::from(u16::MAX) && list.iter().all(|set| set != unit)
        {
            list.push(Bytes::copy_from_slice(unit));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists().iter().all(|list| list.is_empty())
    }

    /// Takes over the sets that came in band, which win against those of the sequence header: encoders exist whose
    /// header is wrong. Answers whether anything changed.
    pub(crate) fn override_with(&mut self, in_band: Self) -> bool {
        let mut changed = false;
        let own = [&mut self.video, &mut self.sequence, &mut self.picture];
        for (own, in_band) in own.into_iter().zip([in_band.video, in_band.sequence, in_band.picture]) {
            if in_band.iter().any(|set| !own.contains(set)) {
                *own = in_band;
                changed = true;
            }
        }
        changed
    }

    /// The track that the sets describe, with the publisher's own `record` if there is one.
    pub(crate) fn track(&self, record: Option<Bytes>) -> Result<VideoTrack, CodecError> {
        let first = self.sequence.first().ok_or(CodecError::Missing("SPS"))?;
        if self.picture.is_empty() {
            return Err(CodecError::Missing("PPS"));
        }
        let record = record.filter(|record| !nal::starts_annex_b(record));
        let config = |length_at, build: &dyn Fn() -> Bytes| {
            record.map_or_else(build, |record| with_four_byte_lengths(record, length_at))
        };
        let codec = self.codec;
        Ok(if codec == VideoCodec::H265 {
            let sps = h265::Sps::parse(first)?;
            if self.video.is_empty() {
                return Err(CodecError::Missing("VPS"));
            }
            let (width, height, frame_rate) = (sps.width, sps.height, sps.frame_rate);
            let codecs = format!("hvc1.{}", sps.profile_string());
            VideoTrack { codec, config: config(21, &|| self.hvcc(&sps)), width, height, frame_rate, codecs }
        } else {
            let sps = h264::Sps::parse(first)?;
            let (width, height, frame_rate) = (sps.width, sps.height, sps.frame_rate);
            let codecs = format!("avc1.{:02x}{:02x}{:02x}", sps.profile, sps.constraints, sps.level);
            VideoTrack { codec, config: config(4, &|| self.avcc(&sps)), width, height, frame_rate, codecs }
        })
    }

    /// All of them, in the order in which a decoder needs them.
    pub(crate) fn into_units(self) -> Vec<Bytes> {
        [self.video, self.sequence, self.picture].concat()
    }

    fn lists(&self) -> [&Vec<Bytes>; 3] {
        [&self.video, &self.sequence, &self.picture]
    }

    /// ISO/IEC 14496-15 §5.3.3.1.2
    fn avcc(&self, sps: &h264::Sps) -> Bytes {
        let mut record = BytesMut::new();
        record.put_slice(&[1, sps.profile, sps.constraints, sps.level, 0xff]);
        let sequence = self.sequence.get(..31).unwrap_or(&self.sequence);
        record.put_u8(0xe0 | sequence.len() as u8);
        sequence.iter().for_each(|set| put_set(&mut record, set));
        record.put_u8(self.picture.len() as u8);
        self.picture.iter().for_each(|set| put_set(&mut record, set));
        if !matches!(sps.profile, 66 | 77 | 88) {
            record.put_slice(&[0xfc | sps.chroma_format, 0xf8 | sps.luma_depth, 0xf8 | sps.chroma_depth, 0]);
        }
        record.freeze()
    }

    /// ISO/IEC 14496-15 §8.3.3.1.2
    fn hvcc(&self, sps: &h265::Sps) -> Bytes {
        let mut record = BytesMut::new();
        record.put_u8(1);
        record.put_slice(&sps.profile);
        // No spatial segmentation, parallelism unknown.
        record.put_slice(&[0xf0, 0, 0xfc]);
        record.put_slice(&[0xfc | sps.chroma_format, 0xf8 | sps.luma_depth, 0xf8 | sps.chroma_depth]);
        // Frame rate unspecified, layers, lengths of 4 bytes.
        record.put_slice(&[0, 0, sps.sub_layers << 3 | u8::from(sps.nested) << 2 | 3, 3]);
        for (kind, list) in [32, 33, 34].into_iter().zip(self.lists()) {
            record.put_u8(0x80 | kind); // complete
            record.put_u16(list.len() as u16);
            list.iter().for_each(|set| put_set(&mut record, set));
        }
        record.freeze()
    }
}

fn put_set(record: &mut BytesMut, set: &[u8]) {
    record.put_u16(set.len() as u16);
    record.put_slice(set);
}

/// The record with `lengthSizeMinusOne`, in the low bits of the byte at `at`, set to 3.
fn with_four_byte_lengths(record: Bytes, at: usize) -> Bytes {
    match record.get(at) {
        Some(byte) if byte & 3 != 3 => {
            let mut record = BytesMut::from(record);
            record.iter_mut().skip(at).take(1).for_each(|byte| *byte |= 3);
            record.freeze()
        }
        _ => record,
    }
}

/// How many bytes the lengths of a publisher's NAL units have, by its record.
pub(crate) fn length_size(codec: VideoCodec, record: &[u8]) -> usize {
    let at = if codec == VideoCodec::H265 { 21 } else { 4 };
    match record.get(at) {
        Some(byte) if !nal::starts_annex_b(record) => usize::from(byte & 3) + 1,
        _ => 4,
    }
}

/// Walks the fields of a record.
struct Fields<'a> {
    record: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let field = self.record.get(self.at..).and_then(|rest| rest.get(..count));
        let field = field.ok_or(CodecError::Truncated { at: self.at })?;
        self.at += count;
        Ok(field)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, CodecError> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn set(&mut self, sets: &mut ParameterSets) -> Result<(), CodecError> {
        let length = self.number(2)?;
        sets.add(self.take(length)?);
        Ok(())
    }
}
