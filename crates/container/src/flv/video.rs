//! Video tag bodies (FLV §E.4.3; E-RTMP "Enhanced Video").

use bytes::Bytes;
use kaibo_media::VideoCodec;

use super::{
    Error,
    cursor::Cursor,
    extended::{self, CODED_FRAMES, SEQUENCE_END, SEQUENCE_START},
};

/// What a video tag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Video {
    /// Decoder parameters.
    Config {
        /// The codec.
        codec: VideoCodec,
        /// The decoder configuration record (`avcC`, `hvcC`, `av1C` or `vpcC` payload), unchecked.
        record: Bytes,
    },
    /// A coded picture.
    Frame {
        /// The codec.
        codec: VideoCodec,
        /// Presentation time minus the message's time, in milliseconds.
        composition_ms: i32,
        /// To be added to the message's time, in nanoseconds: 0 to 999,999.
        nanos: u32,
        /// What the encoder says, unchecked.
        keyframe: bool,
        /// The picture as the codec's configuration record frames it; a slice of the body.
        data: Bytes,
    },
    /// The encoder says that no picture follows.
    End,
    /// Nothing to decode: empty, a command, metadata, another track, a packet type from the future.
    Ignored,
}

const KEYFRAME: u8 = 1;
const COMMAND: u8 = 5;

// Packet types that only video has.
const CODED_FRAMES_X: u8 = 3;
const METADATA: u8 = 4;
const MULTITRACK: u8 = 6;

/// Reads the body of a video tag or of an RTMP video message.
pub fn parse_video(body: Bytes) -> Result<Video, Error> {
    let mut cursor = Cursor::new("the video tag", body);
    if cursor.is_empty() {
        return Ok(Video::Ignored);
    }
    let first = cursor.u8()?;
    if first & 0x80 == 0 { legacy(&mut cursor, first) } else { enhanced(&mut cursor, first) }
}

fn legacy(cursor: &mut Cursor, first: u8) -> Result<Video, Error> {
    let (frame_type, id) = (first >> 4, first & 0x0F);
    if frame_type == COMMAND {
        return Ok(Video::Ignored);
    }
    let codec = match id {
        7 => VideoCodec::H264,
        // Not in any specification, but what Chinese CDNs and encoders agreed on before E-RTMP.
        12 => VideoCodec::H265,
        _ => return Err(Error::Unsupported(format!("video codec id {id}{}", legacy_name(id)))),
    };
    match cursor.u8()? {
        SEQUENCE_START => {
            cursor.i24()?;
            Ok(config(codec, cursor.rest()))
        }
        CODED_FRAMES => {
            let composition_ms = cursor.i24()?;
            Ok(frame(codec, composition_ms, 0, frame_type == KEYFRAME, cursor.rest()))
        }
        SEQUENCE_END => Ok(Video::End),
        _ => Ok(Video::Ignored),
    }
}

fn enhanced(cursor: &mut Cursor, first: u8) -> Result<Video, Error> {
    let frame_type = (first >> 4) & 0x07;
    let (kind, nanos) = extended::packet_type(cursor, first & 0x0F)?;
    // A metadata packet's frame type means nothing, and a command has no FourCC.
    if kind == METADATA || frame_type == COMMAND {
        return Ok(Video::Ignored);
    }
    let Some(packet) = extended::packet(cursor, kind, MULTITRACK)? else {
        return Ok(Video::Ignored);
    };
    let codec = match &packet.four_cc {
        b"avc1" => VideoCodec::H264,
        b"hvc1" => VideoCodec::H265,
        b"av01" => VideoCodec::Av1,
        b"vp09" => VideoCodec::Vp9,
        other => return Err(Error::Unsupported(format!("video FourCC {}", other.escape_ascii()))),
    };
    let mut body = Cursor::new("the video packet", packet.body);
    match packet.kind {
        SEQUENCE_START => Ok(config(codec, body.rest())),
        CODED_FRAMES => {
            let composition_ms = match codec {
                VideoCodec::H264 | VideoCodec::H265 => body.i24()?,
                VideoCodec::Av1 | VideoCodec::Vp9 => 0,
            };
            Ok(frame(codec, composition_ms, nanos, frame_type == KEYFRAME, body.rest()))
        }
        CODED_FRAMES_X => Ok(frame(codec, 0, nanos, frame_type == KEYFRAME, body.rest())),
        SEQUENCE_END => Ok(Video::End),
        _ => Ok(Video::Ignored),
    }
}

fn config(codec: VideoCodec, record: Bytes) -> Video {
    if record.is_empty() { Video::Ignored } else { Video::Config { codec, record } }
}

fn frame(codec: VideoCodec, composition_ms: i32, nanos: u32, keyframe: bool, data: Bytes) -> Video {
    if data.is_empty() {
        return Video::Ignored;
    }
    Video::Frame { codec, composition_ms, nanos, keyframe, data }
}

fn legacy_name(id: u8) -> &'static str {
    match id {
        2 => " (Sorenson H.263)",
        3 | 6 => " (Screen Video)",
        4 | 5 => " (VP6)",
        _ => "",
    }
}
