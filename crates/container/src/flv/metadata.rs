//! Script tags: `onMetaData`, which players read first, and timed events.

use bytes::{BufMut, BytesMut};
use kaibo_media::{AudioCodec, Cue, Tracks, VideoCodec};

use super::{Flv, HevcForm};

const STRING: u8 = 2;
const OBJECT_END: [u8; 3] = [0, 0, 9];

/// What the script tags of timed events are called. Not `onTextData`: that makes a track of subtitles in FFmpeg and in the
/// players that are built on it, which show what is in it, or can't copy it.
const CUE: &str = "onTimedEvent";

/// AMF0 (FLV §E.4.4.2): the string `onMetaData` and an ECMA array. No duration: the stream has no end yet.
pub(super) fn write(flv: Flv, out: &mut BytesMut, tracks: &Tracks) {
    const ECMA_ARRAY: u8 = 8;

    out.put_u8(STRING);
    key(out, "onMetaData");
    out.put_u8(ECMA_ARRAY);
    let count_at = out.len();
    out.put_u32(0);
    let mut count = 0u32;
    let mut entry = |name: &str, value: Value<'_>| {
        key(out, name);
        value.write(out);
        count += 1;
    };

    // Players decide by these two which tracks to wait for.
    entry("hasVideo", Value::Boolean(tracks.video.is_some()));
    entry("hasAudio", Value::Boolean(tracks.audio.is_some()));
    if let Some(video) = &tracks.video {
        entry("width", Value::Number(video.width.into()));
        entry("height", Value::Number(video.height.into()));
        if let Some(rate) = video.frame_rate {
            entry("framerate", Value::Number(rate));
        }
        // E-RTMP: a FourCC is given as the number that its bytes make.
        let id = match (video.codec, flv.hevc) {
            (VideoCodec::H264, _) => 7,
            (VideoCodec::H265, HevcForm::Legacy) => 12,
            (VideoCodec::H265, HevcForm::FourCc) => u32::from_be_bytes(*b"hvc1"),
            (VideoCodec::Av1, _) => u32::from_be_bytes(*b"av01"),
            (VideoCodec::Vp9, _) => u32::from_be_bytes(*b"vp09"),
        };
        entry("videocodecid", Value::Number(id.into()));
    }
    if let Some(audio) = &tracks.audio {
        let id = match audio.codec {
            AudioCodec::Aac => 10,
            AudioCodec::Opus => u32::from_be_bytes(*b"Opus"),
        };
        entry("audiocodecid", Value::Number(id.into()));
        entry("audiosamplerate", Value::Number(audio.sample_rate.into()));
        entry("stereo", Value::Boolean(audio.channels >= 2));
    }

    out.put_slice(&OBJECT_END);
    if let Some(place) = out.get_mut(count_at..count_at + 4) {
        place.copy_from_slice(&count.to_be_bytes());
    }
}

/// A timed event: its name and an object. The payload is JSON, as it is everywhere else: AMF0 has no numbers but doubles.
pub(super) fn write_cue(out: &mut BytesMut, cue: &Cue) {
    const OBJECT: u8 = 3;
    out.put_u8(STRING);
    key(out, CUE);
    out.put_u8(OBJECT);
    for (name, value) in [
        ("id", Value::Text(&cue.id)),
        ("type", Value::Text(&cue.kind)),
        ("media_ms", Value::Number(cue.at.as_millis() as f64)),
        ("unix_ms", Value::Number(cue.wall.0 as f64)),
        ("payload", Value::Text(&cue.payload)),
    ] {
        key(out, name);
        value.write(out);
    }
    out.put_slice(&OBJECT_END);
}

enum Value<'a> {
    Number(f64),
    Boolean(bool),
    Text(&'a str),
}

impl Value<'_> {
    fn write(self, out: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                out.put_u8(0);
                out.put_f64(number);
            }
            Self::Boolean(boolean) => {
                out.put_u8(1);
                out.put_u8(boolean.into());
            }
            Self::Text(text) => {
                out.put_u8(STRING);
                key(out, text);
            }
        }
    }
}

/// A name or short string without a type marker. The names here are a few letters long, and payloads some KiB.
fn key(out: &mut BytesMut, text: &str) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}
