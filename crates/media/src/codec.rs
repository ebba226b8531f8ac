//! Decoder parameters as publishers send them: checked, measured and brought to the form of [`VideoTrack`] and
//! [`AudioTrack`].

mod aac;
mod av1;
pub mod bits;
pub mod h264;
mod h265;
mod opus;
mod sets;
#[cfg(test)]
pub(crate) mod tests;
mod vp9;

use bytes::Bytes;

pub(crate) use self::sets::{ParameterSets, length_size};
use crate::{AudioCodec, AudioTrack, VideoCodec, VideoTrack};

/// Longest side of a picture in pixels. Levels 6.2 of H.264 and H.265 end at 16,888 (Table A-8); nobody streams
/// more, while broken parameter sets readily claim 65,535.
const MAX_SIDE: u64 = 16_384;

/// Why decoder parameters were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A field or a length reaches past the end.
    #[error("ends within the field at byte {at}")]
    Truncated {
        /// Byte offset of the field, in the record or in the parameter set's payload.
        at: usize,
    },
    /// An Exp-Golomb code of more than 32 bits (ITU-T H.264 §9.1).
    #[error("Exp-Golomb code of more than 32 bits at byte {at}")]
    ExpGolomb {
        /// Byte offset in the parameter set's payload.
        at: usize,
    },
    /// A value that the format does not allow.
    #[error("{field} is {value}")]
    Value {
        /// Name of the field in its specification.
        field: &'static str,
        /// What was found.
        value: u64,
    },
    /// A parameter set that decoding needs is missing.
    #[error("no {0}")]
    Missing(&'static str),
    /// A picture with a side of zero or of more than 16,384 pixels.
    #[error("picture of {width}x{height} pixels")]
    PictureSize {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },
    /// An AV1 or VP9 header that does not parse.
    #[error("{0}")]
    Header(String),
}

impl VideoTrack {
    /// From the decoder configuration record of `codec`.
    pub fn from_record(codec: VideoCodec, record: Bytes) -> Result<Self, CodecError> {
        match codec {
            VideoCodec::H264 | VideoCodec::H265 => {
                ParameterSets::from_record(codec, &record)?.track(Some(record))
            }
            VideoCodec::Av1 => av1::track(record),
            VideoCodec::Vp9 => vp9::track(record),
        }
    }

    /// From an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1) or, as some encoders send in its place,
    /// from parameter sets in Annex B form.
    pub fn from_avcc(record: Bytes) -> Result<Self, CodecError> {
        Self::from_record(VideoCodec::H264, record)
    }

    /// From an `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3.1) or parameter sets in Annex B form.
    pub fn from_hvcc(record: Bytes) -> Result<Self, CodecError> {
        Self::from_record(VideoCodec::H265, record)
    }

    /// From an `AV1CodecConfigurationRecord` (AV1-ISOBMFF §2.3) with its sequence header.
    pub fn from_av1c(record: Bytes) -> Result<Self, CodecError> {
        Self::from_record(VideoCodec::Av1, record)
    }

    /// From a `VPCodecConfigurationRecord`, with or without the version and flags that `vpcC` puts in front
    /// (VP-ISOBMFF §2.2); [`VideoTrack::config`] has them. The record does not tell the size of the picture, which
    /// is 0x0 until a keyframe is seen: [`VideoTrack::measure_vp9`].
    pub fn from_vpcc(record: Bytes) -> Result<Self, CodecError> {
        Self::from_record(VideoCodec::Vp9, record)
    }

    /// The parameter sets in [`VideoTrack::config`], as NAL units: none in codecs without them.
    pub fn parameter_sets(&self) -> Result<Vec<Bytes>, CodecError> {
        match self.codec {
            VideoCodec::H264 | VideoCodec::H265 => {
                Ok(ParameterSets::from_record(self.codec, &self.config)?.into_units())
            }
            VideoCodec::Av1 | VideoCodec::Vp9 => Ok(Vec::new()),
        }
    }

    /// Takes the size of a VP9 picture from its keyframe.
    pub fn measure_vp9(&mut self, keyframe: &[u8]) -> Result<(), CodecError> {
        (self.width, self.height) = vp9::size(keyframe)?;
        Ok(())
    }
}

impl AudioTrack {
    /// From the decoder configuration of `codec`.
    pub fn from_config(codec: AudioCodec, config: Bytes) -> Result<Self, CodecError> {
        match codec {
            AudioCodec::Aac => aac::track(config),
            AudioCodec::Opus => opus::track(config),
        }
    }

    /// From an `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
    pub fn from_asc(config: Bytes) -> Result<Self, CodecError> {
        Self::from_config(AudioCodec::Aac, config)
    }

    /// From an `OpusHead` (RFC 7845 §5.1).
    pub fn from_opus_head(config: Bytes) -> Result<Self, CodecError> {
        Self::from_config(AudioCodec::Opus, config)
    }

    /// Samples that `packet` decodes to: what an Opus packet says of itself, else
    /// [`AudioTrack::samples_per_frame`].
    pub fn samples_in(&self, packet: &[u8]) -> u32 {
        match self.codec {
            AudioCodec::Aac => self.samples_per_frame,
            AudioCodec::Opus => opus::samples(packet).unwrap_or(self.samples_per_frame),
        }
    }
}

/// The sides of a picture, if they are believable.
fn picture_size(width: u64, height: u64) -> Result<(u32, u32), CodecError> {
    let side = |side: u64| u32::try_from(side).ok().filter(|_| (1..=MAX_SIDE).contains(&side));
    side(width).zip(side(height)).ok_or(CodecError::PictureSize { width, height })
}

/// Frames per second, if they are believable: encoders write nonsense like 1/90000 into timing fields.
fn frame_rate(pictures: u64, units: u64) -> Option<f64> {
    let rate = pictures as f64 / units as f64;
    (1.0..=1000.0).contains(&rate).then_some(rate)
}
