//! Streams for the fMP4 and segmenter tests. Decoder parameters are those of real encoders.
#![allow(dead_code, reason = "each test binary uses its own half")]

use std::sync::Arc;

use bytes::Bytes;
use kaibo_media::{
    AudioCodec, AudioTrack, Frame, Item, Run, Span, Timestamp, TrackId, Tracks, UnixMillis, VideoCodec,
    VideoTrack,
};

/// `avcC` of x264, High, 320x180.
pub const AVCC: &str =
    "0164000dffe1001a6764000dacd941419f9f0110000003001000000303c0f142996001000668ebe3cb22c0fdf8f800";
/// `hvcC` of x265, Main, 320x180.
pub const HVCC: &str = "0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff016000000300900000030000\
    03003c959809a10001002b42010101600000030090000003000003003ca00a080b9f796566924caf0168080000030008000003\
    00f040a2000100074401c172b46240";
/// `av1C` of libaom.
pub const AV1C: &str = "81000c000a0b000000043cfeccdaf90040";
/// `vpcC` of libvpx-vp9, with its full-box header.
pub const VPCC: &str = "01000000000b820202020000";
/// AudioSpecificConfig of ffmpeg: AAC-LC, 48 kHz, stereo.
pub const AAC: &str = "1190";
/// OpusHead of libopus: stereo, pre-skip 312.
pub const OPUS: &str = "4f707573486561640102380180bb0000000000";

pub fn unhex(digits: &str) -> Bytes {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

pub fn video(codec: VideoCodec, config: &str) -> VideoTrack {
    VideoTrack {
        codec,
        config: unhex(config),
        width: 320,
        height: 180,
        frame_rate: None,
        codecs: "avc1.64000d".into(),
    }
}

pub fn aac() -> AudioTrack {
    AudioTrack {
        codec: AudioCodec::Aac,
        config: unhex(AAC),
        sample_rate: 48_000,
        channels: 2,
        samples_per_frame: 1024,
        codecs: "mp4a.40.2".into(),
    }
}

pub fn h264_aac() -> Arc<Tracks> {
    Arc::new(Tracks { video: Some(video(VideoCodec::H264, AVCC)), audio: Some(aac()) })
}

pub fn h264() -> Arc<Tracks> {
    Arc::new(Tracks { video: Some(video(VideoCodec::H264, AVCC)), audio: None })
}

pub fn aac_only() -> Arc<Tracks> {
    Arc::new(Tracks { video: None, audio: Some(aac()) })
}

pub fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn span(millis: i64) -> Span {
    Span::from_millis(millis)
}

/// A publisher: makes frames that carry their number.
pub struct Publisher {
    pub tracks: Arc<Tracks>,
    pub run: Run,
    pub made: u64,
}

impl Publisher {
    pub fn new(tracks: Arc<Tracks>) -> Self {
        Self { tracks, run: Run { wall: UnixMillis(1_700_000_000_000), ..Run::default() }, made: 0 }
    }

    pub fn frame(&mut self, track: TrackId, dts: Timestamp, keyframe: bool) -> Frame {
        self.made += 1;
        Frame {
            tracks: self.tracks.clone(),
            run: self.run,
            track,
            dts,
            pts_offset: Span::ZERO,
            keyframe,
            filler: false,
            data: self.made.to_be_bytes().to_vec().into(),
        }
    }

    pub fn picture(&mut self, dts: i64, keyframe: bool) -> Item {
        Item::Frame(Arc::new(self.frame(TrackId::Video, ms(dts), keyframe)))
    }

    pub fn sound(&mut self, dts: i64) -> Item {
        let keyframe = self.tracks.video.is_none();
        Item::Frame(Arc::new(self.frame(TrackId::Audio, ms(dts), keyframe)))
    }
}
