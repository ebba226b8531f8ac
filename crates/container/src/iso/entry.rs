//! Sample entries: which decoder a track needs, and how it is set up.

use kaibo_media::{AudioCodec, AudioTrack, VideoCodec, VideoTrack};

use super::boxes::{boxed, full, u16, u32, zeros};

/// Largest decoder configuration in bytes: parameter sets are a few hundred bytes, and this keeps every size
/// field of the boxes in range.
const MAX_CONFIG: usize = 64 * 1024;

/// A decoder parameter that MP4 can't carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub &'static str);

/// The sample entry of a video track.
pub struct VideoEntry<'a> {
    track: &'a VideoTrack,
    /// Width and height in pixels.
    pub size: (u16, u16),
}

impl<'a> VideoEntry<'a> {
    pub fn new(track: &'a VideoTrack) -> Result<Self, Unsupported> {
        let (Ok(width), Ok(height)) = (u16::try_from(track.width), u16::try_from(track.height)) else {
            return Err(Unsupported("picture larger than 65,535 pixels"));
        };
        if track.config.is_empty() || track.config.len() > MAX_CONFIG {
            return Err(Unsupported("video configuration empty or over 64 KiB"));
        }
        Ok(Self { track, size: (width, height) })
    }

    /// ISO/IEC 14496-12 §12.1.3, 14496-15 §5.4.2 and §8.4.1, AV1-ISOBMFF §2.2, VP-ISOBMFF.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (entry, config) = match self.track.codec {
            VideoCodec::H264 => (b"avc1", b"avcC"),
            VideoCodec::H265 => (b"hvc1", b"hvcC"),
            VideoCodec::Av1 => (b"av01", b"av1C"),
            VideoCodec::Vp9 => (b"vp09", b"vpcC"),
        };
        boxed(out, entry, |out| {
            zeros(out, 6);
            u16(out, 1); // data reference
            zeros(out, 16);
            u16(out, self.size.0);
            u16(out, self.size.1);
            u32(out, 72 << 16); // dots per inch, as every file says
            u32(out, 72 << 16);
            zeros(out, 4);
            u16(out, 1); // frames per sample
            zeros(out, 32);
            u16(out, 0x18); // colour without alpha
            u16(out, 0xFFFF);
            boxed(out, config, |out| {
                // `vpcC` alone is a full box; a record that came over RTMP may lack that header. The two can't be
                // confused: read as a record, the header would mean 0 bits per sample.
                if self.track.codec == VideoCodec::Vp9 && !self.track.config.starts_with(&[1, 0, 0, 0]) {
                    u32(out, 1 << 24);
                }
                out.extend_from_slice(&self.track.config);
            });
        });
    }
}

/// The sample entry of an audio track.
pub struct AudioEntry<'a> {
    track: &'a AudioTrack,
    /// OpusHead after its magic, for Opus.
    opus: &'a [u8],
}

impl<'a> AudioEntry<'a> {
    pub fn new(track: &'a AudioTrack) -> Result<Self, Unsupported> {
        if track.sample_rate == 0 {
            return Err(Unsupported("audio without a sample rate"));
        }
        if track.config.is_empty() || track.config.len() > MAX_CONFIG {
            return Err(Unsupported("audio configuration empty or over 64 KiB"));
        }
        let opus = match track.codec {
            AudioCodec::Aac => &[],
            AudioCodec::Opus => track
                .config
                .strip_prefix(b"OpusHead")
                .filter(|head| head.len() >= 11)
                .ok_or(Unsupported("Opus configuration is no OpusHead"))?,
        };
        Ok(Self { track, opus })
    }

    /// Samples per second.
    pub fn sample_rate(&self) -> u32 {
        self.track.sample_rate
    }

    /// ISO/IEC 14496-12 §12.2.3.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (entry, rate) = match self.track.codec {
            // 16 bits can't hold 88.2 and 96 kHz; the decoder reads the rate from the configuration anyway.
            AudioCodec::Aac => (b"mp4a", u16::try_from(self.track.sample_rate).unwrap_or(0)),
            AudioCodec::Opus => (b"Opus", 48_000),
        };
        boxed(out, entry, |out| {
            zeros(out, 6);
            u16(out, 1); // data reference
            zeros(out, 8);
            u16(out, u16::from(self.track.channels));
            u16(out, 16); // bits per sample, as every file says
            zeros(out, 4);
            u16(out, rate);
            u16(out, 0);
            match self.track.codec {
                AudioCodec::Aac => elementary_stream(out, &self.track.config),
                AudioCodec::Opus => opus_config(out, self.opus),
            }
        });
    }
}

/// `esds` (ISO/IEC 14496-14 §6.7.2) around an AudioSpecificConfig.
fn elementary_stream(out: &mut Vec<u8>, config: &[u8]) {
    let config_len = config.len() as u32; // at most MAX_CONFIG
    full(out, b"esds", 0, 0, |out| {
        descriptor(out, 0x03, 3 + (5 + 13) + (5 + config_len) + (5 + 1)); // ES_Descriptor
        u16(out, 0); // ES_ID: 0 within MP4
        out.push(0);
        descriptor(out, 0x04, 13 + (5 + config_len)); // DecoderConfigDescriptor
        out.extend_from_slice(&[0x40, 0x15]); // MPEG-4 audio, an audio stream
        zeros(out, 11); // buffer size and bit rates unknown
        descriptor(out, 0x05, config_len); // DecoderSpecificInfo
        out.extend_from_slice(config);
        descriptor(out, 0x06, 1); // SLConfigDescriptor
        out.push(2); // for use in MP4
    });
}

/// A descriptor's tag and its length in the four-byte form (ISO/IEC 14496-1 §8.3.3).
fn descriptor(out: &mut Vec<u8>, tag: u8, len: u32) {
    out.push(tag);
    for shift in [21, 14, 7] {
        out.push((len >> shift & 0x7F) as u8 | 0x80);
    }
    out.push((len & 0x7F) as u8);
}

/// `dOps` (Opus in ISOBMFF §4.3.2): the fields of OpusHead in big-endian order, version 0.
fn opus_config(out: &mut Vec<u8>, head: &[u8]) {
    let &[_, channels, skip_low, skip_high, r0, r1, r2, r3, gain_low, gain_high, ref mapping @ ..] = head
    else {
        return; // `AudioEntry::new` made sure of it
    };
    boxed(out, b"dOps", |out| {
        out.extend_from_slice(&[0, channels, skip_high, skip_low, r3, r2, r1, r0, gain_high, gain_low]);
        out.extend_from_slice(mapping); // family, and where that is not 0 stream counts and table
    });
}
