//! Decoder parameters of a stream.

use bytes::Bytes;

/// The decoder parameters of every track of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tracks {
    /// The picture, if there is one.
    pub video: Option<VideoTrack>,
    /// The sound, if there is some.
    pub audio: Option<AudioTrack>,
}

/// A video codec that Kaibo carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
    /// AV1.
    Av1,
    /// VP9.
    Vp9,
}

/// An audio codec that Kaibo carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC, any object type of an AudioSpecificConfig.
    Aac,
    /// Opus.
    Opus,
}

/// Decoder parameters of the video track.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoTrack {
    /// The codec.
    pub codec: VideoCodec,
    /// The decoder configuration record as MP4 carries it: `avcC`, `hvcC`, `av1C` or `vpcC` payload (ISO/IEC
    /// 14496-15 §5.3.3.1, §8.3.3.1; AV1-ISOBMFF §2.3; VP-ISOBMFF). Its NAL length size is always 4.
    pub config: Bytes,
    /// Width of the shown picture in pixels, after cropping.
    pub width: u32,
    /// Height of the shown picture in pixels, after cropping.
    pub height: u32,
    /// Frames per second where the parameter sets say so.
    pub frame_rate: Option<f64>,
    /// RFC 6381 string, e.g. `avc1.64001f`.
    pub codecs: String,
}

/// Decoder parameters of the audio track.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioTrack {
    /// The codec.
    pub codec: AudioCodec,
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) or OpusHead (RFC 7845 §5.1, with its magic).
    pub config: Bytes,
    /// Output samples per second (for HE-AAC that of the core coder, whose grid the frames follow).
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Samples in one frame at [`AudioTrack::sample_rate`] (AAC: 1024 or 960; Opus varies: the usual 960).
    pub samples_per_frame: u32,
    /// RFC 6381 string, e.g. `mp4a.40.2`.
    pub codecs: String,
}
