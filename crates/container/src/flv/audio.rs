//! Audio tag bodies (FLV §E.4.2; E-RTMP "Enhanced Audio").

use bytes::Bytes;
use kaibo_media::AudioCodec;

use super::{
    Error,
    cursor::Cursor,
    extended::{self, CODED_FRAMES, SEQUENCE_END, SEQUENCE_START},
};

/// What an audio tag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audio {
    /// Decoder parameters.
    Config {
        /// The codec.
        codec: AudioCodec,
        /// AudioSpecificConfig or OpusHead, unchecked.
        record: Bytes,
    },
    /// A coded packet.
    Frame {
        /// The codec.
        codec: AudioCodec,
        /// To be added to the message's time, in nanoseconds: 0 to 999,999.
        nanos: u32,
        /// One raw AAC frame or Opus packet; a slice of the body.
        data: Bytes,
    },
    /// The encoder says that no sound follows.
    End,
    /// Nothing to decode: empty (E-RTMP's marker of silence), a channel layout, another track, a packet type from
    /// the future.
    Ignored,
}

const AAC: u8 = 10;
const EXTENDED: u8 = 9;

/// Packet type that wraps several tracks; video has another number for it.
const MULTITRACK: u8 = 5;

/// Reads the body of an audio tag or of an RTMP audio message.
pub fn parse_audio(body: Bytes) -> Result<Audio, Error> {
    let mut cursor = Cursor::new("the audio tag", body);
    if cursor.is_empty() {
        return Ok(Audio::Ignored);
    }
    let first = cursor.u8()?;
    match first >> 4 {
        // Rate, size and channels in the low bits mean nothing for AAC.
        AAC => {
            let kind = cursor.u8()?;
            Ok(packet(AudioCodec::Aac, kind, 0, cursor.rest()))
        }
        EXTENDED => enhanced(&mut cursor, first),
        id => Err(Error::Unsupported(format!("audio format {id}{}", legacy_name(id)))),
    }
}

fn enhanced(cursor: &mut Cursor, first: u8) -> Result<Audio, Error> {
    let (kind, nanos) = extended::packet_type(cursor, first & 0x0F)?;
    let Some(found) = extended::packet(cursor, kind, MULTITRACK)? else {
        return Ok(Audio::Ignored);
    };
    let codec = match &found.four_cc {
        b"mp4a" => AudioCodec::Aac,
        b"Opus" => AudioCodec::Opus,
        other => return Err(Error::Unsupported(format!("audio FourCC {}", other.escape_ascii()))),
    };
    Ok(packet(codec, found.kind, nanos, found.body))
}

/// AAC's two old packet types carry the same numbers as the extended ones.
fn packet(codec: AudioCodec, kind: u8, nanos: u32, data: Bytes) -> Audio {
    match kind {
        SEQUENCE_START if !data.is_empty() => Audio::Config { codec, record: data },
        CODED_FRAMES if !data.is_empty() => Audio::Frame { codec, nanos, data },
        SEQUENCE_END => Audio::End,
        _ => Audio::Ignored,
    }
}

fn legacy_name(id: u8) -> &'static str {
    match id {
        0 | 3 => " (PCM)",
        1 => " (ADPCM)",
        2 | 14 => " (MP3)",
        4..=6 => " (Nellymoser)",
        7 | 8 => " (G.711)",
        11 => " (Speex)",
        _ => "",
    }
}
