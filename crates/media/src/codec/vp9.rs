//! `vpcC` (VP-ISOBMFF §2.2) and the size of VP9 pictures.

use bytes::{BufMut, Bytes, BytesMut};
use shiguredo_mp4::bitstream::vp9::{Vp9FrameSize, parse_frame_header};

use super::{CodecError, picture_size};
use crate::{VideoCodec, VideoTrack};

/// Version and flags of `vpcC`.
const VERSION_1: [u8; 4] = [1, 0, 0, 0];

pub(super) fn track(config: Bytes) -> Result<VideoTrack, CodecError> {
    // A bare record cannot begin so: its bit depth would be 0.
    let config = if config.starts_with(&VERSION_1) {
        config
    } else {
        let mut whole = BytesMut::with_capacity(VERSION_1.len() + config.len());
        whole.put_slice(&VERSION_1);
        whole.put(config);
        whole.freeze()
    };
    let &[_, _, _, _, profile, level, depth, _, _, _, _, _] =
        config.get(..12).ok_or(CodecError::Truncated { at: config.len() })?
    else {
        return Err(CodecError::Truncated { at: config.len() });
    };
    if profile > 3 {
        return Err(CodecError::Value { field: "profile", value: profile.into() });
    }
    let depth = match depth >> 4 {
        depth @ (8 | 10 | 12) => depth,
        depth => return Err(CodecError::Value { field: "bitDepth", value: depth.into() }),
    };
    // VP-ISOBMFF §2.4
    let codecs = format!("vp09.{profile:02}.{level:02}.{depth:02}");
    Ok(VideoTrack { codec: VideoCodec::Vp9, width: 0, height: 0, frame_rate: None, codecs, config })
}

/// Width and height of a keyframe.
pub(super) fn size(keyframe: &[u8]) -> Result<(u32, u32), CodecError> {
    match parse_frame_header(keyframe).map_err(|error| CodecError::Header(error.reason))?.frame_size {
        Vp9FrameSize::Resolved { width, height } => picture_size(width.into(), height.into()),
        _ => Err(CodecError::Missing("frame size")),
    }
}
