//! `av1C` (AV1-ISOBMFF §2.3).

use bytes::Bytes;
use shiguredo_mp4::bitstream::av1::{Av1ObuParseContext, Av1ObuType, parse_obus, parse_sequence_header};

use super::{CodecError, picture_size};
use crate::{VideoCodec, VideoTrack};

pub(super) fn track(config: Bytes) -> Result<VideoTrack, CodecError> {
    let Some((&[marker, _, _, _], obus)) = config.split_first_chunk() else {
        return Err(CodecError::Truncated { at: config.len() });
    };
    if marker != 0x81 {
        return Err(CodecError::Value { field: "marker and version", value: marker.into() });
    }
    let header = |error: shiguredo_mp4::Error| CodecError::Header(error.reason);
    let obus = parse_obus(obus, Av1ObuParseContext::ConfigObus).map_err(header)?;
    let sequence = obus.iter().find(|obu| obu.obu_type == Av1ObuType::SequenceHeader);
    let sequence = sequence.ok_or(CodecError::Missing("sequence header"))?;
    let sequence = parse_sequence_header(sequence.payload).map_err(header)?;
    let (width, height) = picture_size(sequence.max_frame_width.into(), sequence.max_frame_height.into())?;
    let tier = if sequence.seq_tier_0 == 0 { 'M' } else { 'H' };
    let depth = match (sequence.high_bitdepth, sequence.twelve_bit) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    // AV1-ISOBMFF §5
    let codecs = format!("av01.{}.{:02}{tier}.{depth:02}", sequence.seq_profile, sequence.seq_level_idx_0);
    Ok(VideoTrack { codec: VideoCodec::Av1, width, height, frame_rate: None, codecs, config })
}
