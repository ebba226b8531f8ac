//! The initialisation section: `ftyp` and a `moov` without samples.

use bytes::Bytes;
use kaibo_media::{AudioCodec, AudioTrack, Tracks, VideoCodec, VideoTrack};

use super::{
    AUDIO_ID, Error, NON_SYNC, SYNC, VIDEO_ID, VIDEO_TIMESCALE,
    boxes::{boxed, full, u16, u32, zeros},
};

/// Largest decoder configuration in bytes: parameter sets are a few hundred bytes, and this keeps every size
/// field of the boxes in range.
const MAX_CONFIG: usize = 64 * 1024;

/// Identity transformation (ISO/IEC 14496-12 §8.2.2.2).
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// The initialisation section of a stream (`EXT-X-MAP`). Its decoder configurations are `tracks`', byte for byte.
pub fn init(tracks: &Tracks) -> Result<Bytes, Error> {
    let video = tracks.video.as_ref().map(VideoEntry::new).transpose()?;
    let audio = tracks.audio.as_ref().map(AudioEntry::new).transpose()?;
    if video.is_none() && audio.is_none() {
        return Err(Error::NoTracks);
    }
    let mut out = Vec::with_capacity(2048);
    boxed(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        u32(out, 0);
        for brand in [b"iso6", b"cmfc", b"mp41"] {
            out.extend_from_slice(brand);
        }
    });
    boxed(&mut out, b"moov", |out| {
        movie_header(out);
        if let Some(video) = &video {
            video.trak(out);
        }
        if let Some(audio) = &audio {
            audio.trak(out);
        }
        boxed(out, b"mvex", |out| {
            if video.is_some() {
                track_defaults(out, VIDEO_ID, NON_SYNC);
            }
            if audio.is_some() {
                track_defaults(out, AUDIO_ID, SYNC);
            }
        });
    });
    Ok(out.into())
}

fn movie_header(out: &mut Vec<u8>) {
    full(out, b"mvhd", 0, 0, |out| {
        zeros(out, 8);
        u32(out, 1000);
        u32(out, 0); // no samples, no duration
        u32(out, 0x1_0000);
        u16(out, 0x0100);
        zeros(out, 10);
        MATRIX.iter().for_each(|&cell| u32(out, cell));
        zeros(out, 24);
        u32(out, AUDIO_ID + 1);
    });
}

fn track_defaults(out: &mut Vec<u8>, id: u32, flags: u32) {
    full(out, b"trex", 0, 0, |out| {
        for value in [id, 1, 0, 0, flags] {
            u32(out, value);
        }
    });
}

/// What differs between a video and an audio `trak`.
struct Trak<'a> {
    id: u32,
    timescale: u32,
    handler: &'a [u8; 4],
    name: &'a [u8],
    volume: u16,
    size: (u16, u16),
}

impl Trak<'_> {
    fn write(&self, out: &mut Vec<u8>, media_header: impl Fn(&mut Vec<u8>), entry: impl Fn(&mut Vec<u8>)) {
        boxed(out, b"trak", |out| {
            // Enabled, in the movie, in the preview.
            full(out, b"tkhd", 0, 7, |out| {
                zeros(out, 8);
                u32(out, self.id);
                zeros(out, 20);
                u16(out, self.volume);
                zeros(out, 2);
                MATRIX.iter().for_each(|&cell| u32(out, cell));
                u32(out, u32::from(self.size.0) << 16);
                u32(out, u32::from(self.size.1) << 16);
            });
            boxed(out, b"mdia", |out| {
                full(out, b"mdhd", 0, 0, |out| {
                    zeros(out, 8);
                    u32(out, self.timescale);
                    u32(out, 0);
                    u16(out, 0x55C4); // "und"
                    u16(out, 0);
                });
                full(out, b"hdlr", 0, 0, |out| {
                    u32(out, 0);
                    out.extend_from_slice(self.handler);
                    zeros(out, 12);
                    out.extend_from_slice(self.name);
                    out.push(0);
                });
                boxed(out, b"minf", |out| {
                    media_header(out);
                    boxed(out, b"dinf", |out| {
                        full(out, b"dref", 0, 0, |out| {
                            u32(out, 1);
                            full(out, b"url ", 0, 1, |_| {}); // the media is in this very file
                        });
                    });
                    boxed(out, b"stbl", |out| {
                        full(out, b"stsd", 0, 0, |out| {
                            u32(out, 1);
                            entry(out);
                        });
                        for table in [b"stts", b"stsc", b"stco"] {
                            full(out, table, 0, 0, |out| u32(out, 0));
                        }
                        full(out, b"stsz", 0, 0, |out| zeros(out, 8));
                    });
                });
            });
        });
    }
}

struct VideoEntry<'a> {
    track: &'a VideoTrack,
    size: (u16, u16),
}

impl<'a> VideoEntry<'a> {
    fn new(track: &'a VideoTrack) -> Result<Self, Error> {
        let (Ok(width), Ok(height)) = (u16::try_from(track.width), u16::try_from(track.height)) else {
            return Err(Error::Unsupported("picture larger than 65,535 pixels"));
        };
        if track.config.is_empty() || track.config.len() > MAX_CONFIG {
            return Err(Error::Unsupported("video configuration empty or over 64 KiB"));
        }
        Ok(Self { track, size: (width, height) })
    }

    fn trak(&self, out: &mut Vec<u8>) {
        let trak = Trak {
            id: VIDEO_ID,
            timescale: VIDEO_TIMESCALE,
            handler: b"vide",
            name: b"video",
            volume: 0,
            size: self.size,
        };
        trak.write(out, |out| full(out, b"vmhd", 0, 1, |out| zeros(out, 8)), |out| self.sample_entry(out));
    }

    /// ISO/IEC 14496-12 §12.1.3, 14496-15 §5.4.2 and §8.4.1, AV1-ISOBMFF §2.2, VP-ISOBMFF.
    fn sample_entry(&self, out: &mut Vec<u8>) {
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

struct AudioEntry<'a> {
    track: &'a AudioTrack,
    /// OpusHead after its magic, for Opus.
    opus: &'a [u8],
}

impl<'a> AudioEntry<'a> {
    fn new(track: &'a AudioTrack) -> Result<Self, Error> {
        if track.sample_rate == 0 {
            return Err(Error::Unsupported("audio without a sample rate"));
        }
        if track.config.is_empty() || track.config.len() > MAX_CONFIG {
            return Err(Error::Unsupported("audio configuration empty or over 64 KiB"));
        }
        let opus = match track.codec {
            AudioCodec::Aac => &[],
            AudioCodec::Opus => track
                .config
                .strip_prefix(b"OpusHead")
                .filter(|head| head.len() >= 11)
                .ok_or(Error::Unsupported("Opus configuration is no OpusHead"))?,
        };
        Ok(Self { track, opus })
    }

    fn trak(&self, out: &mut Vec<u8>) {
        let trak = Trak {
            id: AUDIO_ID,
            timescale: self.track.sample_rate,
            handler: b"soun",
            name: b"audio",
            volume: 0x0100,
            size: (0, 0),
        };
        trak.write(out, |out| full(out, b"smhd", 0, 0, |out| zeros(out, 4)), |out| self.sample_entry(out));
    }

    /// ISO/IEC 14496-12 §12.2.3.
    fn sample_entry(&self, out: &mut Vec<u8>) {
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
