//! OpusHead (RFC 7845 §5.1) and the length of Opus packets (RFC 6716 §3.1).

use bytes::Bytes;

use super::CodecError;
use crate::{AudioCodec, AudioTrack};

/// Opus counts in samples of 48 kHz whatever went into the encoder (RFC 7845 §4).
const RATE: u32 = 48_000;

pub(super) fn track(config: Bytes) -> Result<AudioTrack, CodecError> {
    if !config.starts_with(b"OpusHead") {
        return Err(CodecError::Missing("OpusHead"));
    }
    let &[.., version, channels, _, _, _, _, _, _, _, _, family] =
        config.get(..19).ok_or(CodecError::Truncated { at: config.len() })?
    else {
        return Err(CodecError::Truncated { at: config.len() });
    };
    let bad = |field, value: u8| Err(CodecError::Value { field, value: value.into() });
    // The upper four bits are the incompatible part of the version.
    if version >> 4 != 0 {
        return bad("version", version);
    }
    // Family 0 is mono or stereo; family 1, surround, ends at 8 channels and has a mapping table.
    match (family, channels) {
        (0, 1..=2) => {}
        (1, 1..=8) if config.len() >= 21 + usize::from(channels) => {}
        (1, 1..=8) => return Err(CodecError::Truncated { at: config.len() }),
        (0 | 1, _) => return bad("channel count", channels),
        _ => return bad("channel mapping family", family),
    }
    Ok(AudioTrack {
        codec: AudioCodec::Opus,
        sample_rate: RATE,
        channels,
        samples_per_frame: 960,
        codecs: "opus".to_owned(),
        config,
    })
}

/// Samples of a packet at 48 kHz: frame size by configuration number, times the number of frames. A packet has at
/// most 120 ms.
pub(super) fn samples(packet: &[u8]) -> Option<u32> {
    let first = *packet.first()?;
    let frame = match first >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880].get(usize::from(config % 4)),
        config @ 12..=15 => [480, 960].get(usize::from(config % 2)),
        config => [120, 240, 480, 960].get(usize::from(config % 4)),
    }?;
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame * frames).filter(|samples| (1..=5760).contains(samples))
}
