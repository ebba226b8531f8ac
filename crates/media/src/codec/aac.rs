//! AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1, §4.4.1).

use bytes::Bytes;

use super::{CodecError, bits::BitReader};
use crate::{AudioCodec, AudioTrack};

/// Table 1.18; index 15 stands for an explicit rate.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

const SBR: u32 = 5;
const PS: u32 = 29;
/// Low delay and enhanced low delay: frames of half the length.
const LOW_DELAY: [u32; 2] = [23, 39];

pub(super) fn track(config: Bytes) -> Result<AudioTrack, CodecError> {
    let mut bits = BitReader::new(&config);
    let announced = object_type(&mut bits)?;
    let sample_rate = rate(&mut bits)?;
    let layout = bits.bits(4)?;
    let mut core = announced;
    if matches!(announced, SBR | PS) {
        rate(&mut bits)?; // of the output; the frames follow the core's
        core = object_type(&mut bits)?;
    }
    if !matches!(core, 1..=4 | 17 | 23 | 39) {
        return Err(CodecError::Value { field: "audioObjectType", value: core.into() });
    }
    let short = bits.flag()?; // frameLengthFlag
    if bits.flag()? {
        bits.skip(14)?; // coreCoderDelay
    }
    bits.flag()?; // extensionFlag
    let channels = match layout {
        0 => program_channels(&mut bits)?,
        1..=6 => layout as u8,
        7 | 12 | 14 => 8,
        11 => 7,
        _ => return Err(CodecError::Value { field: "channelConfiguration", value: layout.into() }),
    };
    let object = if announced == core { trailing_object_type(&mut bits).unwrap_or(core) } else { announced };
    let samples = if short { 960 } else { 1024 };
    Ok(AudioTrack {
        codec: AudioCodec::Aac,
        sample_rate,
        channels,
        samples_per_frame: if LOW_DELAY.contains(&core) { samples / 2 } else { samples },
        codecs: format!("mp4a.40.{object}"),
        config,
    })
}

fn object_type(bits: &mut BitReader) -> Result<u32, CodecError> {
    Ok(match bits.bits(5)? {
        31 => 32 + bits.bits(6)?,
        object => object,
    })
}

fn rate(bits: &mut BitReader) -> Result<u32, CodecError> {
    let index = bits.bits(4)?;
    let rate = match RATES.get(index as usize) {
        Some(&rate) => rate,
        None if index == 15 => bits.bits(24)?,
        None => return Err(CodecError::Value { field: "samplingFrequencyIndex", value: index.into() }),
    };
    match rate {
        // The lowest rate of the table, and twice the highest, as SBR may have.
        7350..=192_000 => Ok(rate),
        _ => Err(CodecError::Value { field: "samplingFrequency", value: rate.into() }),
    }
}

/// Channels of a `program_config_element` (§4.4.1.1).
fn program_channels(bits: &mut BitReader) -> Result<u8, CodecError> {
    bits.skip(4 + 2 + 4)?; // instance, profile, rate
    let [front, side, back, lfe] = [bits.bits(4)?, bits.bits(4)?, bits.bits(4)?, bits.bits(2)?];
    let [data, coupling] = [bits.bits(3)?, bits.bits(4)?];
    for width in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(width)?; // mixdown
        }
    }
    let mut channels = lfe;
    for _ in 0..front + side + back {
        channels += if bits.flag()? { 2 } else { 1 };
        bits.skip(4)?;
    }
    bits.skip(4 * (lfe + data) as usize + 5 * coupling as usize)?;
    bits.align();
    let comment = bits.bits(8)?;
    bits.skip(8 * comment as usize)?;
    match channels {
        1..=24 => Ok(channels as u8),
        _ => Err(CodecError::Value { field: "channels of the program", value: channels.into() }),
    }
}

/// SBR and PS as the backward compatible tail announces them (§1.6.5.3); ffmpeg writes one that denies both.
fn trailing_object_type(bits: &mut BitReader) -> Option<u32> {
    if bits.left() < 16 || bits.bits(11).ok()? != 0x2b7 || object_type(bits).ok()? != SBR {
        return None;
    }
    if !bits.flag().ok()? {
        return None;
    }
    rate(bits).ok()?;
    let ps = bits.left() >= 12 && bits.bits(11).ok()? == 0x548 && bits.flag().ok()?;
    Some(if ps { PS } else { SBR })
}
