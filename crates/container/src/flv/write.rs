//! Writing tags.

use bytes::{BufMut, Bytes, BytesMut};
use kaibo_media::{AudioCodec, AudioTrack, Cue, Frame, Timestamp, TrackId, Tracks, VideoCodec, VideoTrack};

use super::{
    Error, Format, Prefix, TagKind,
    extended::{CODED_FRAMES, FourCc, SEQUENCE_START},
    filler, metadata,
};

/// How HEVC is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HevcForm {
    /// As E-RTMP says: FourCC `hvc1`.
    #[default]
    FourCc,
    /// Codec id 12, which flv.js forks and older players of Chinese CDNs expect.
    Legacy,
}

/// Writes FLV. H.264 and AAC are always written the old way, as many players know no other; HEVC as [`HevcForm`]
/// says; AV1 and Opus with their FourCC. VP9 is left out: no player opens it in FLV.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flv {
    /// How HEVC is written.
    pub hevc: HevcForm,
}

/// The largest tag body: its size field has 24 bits.
const MAX_BODY: usize = 0xFF_FFFF;

impl Flv {
    /// Whether FLV carries these tracks; the error names the codec that it doesn't.
    pub fn carries(self, tracks: &Tracks) -> Result<(), Error> {
        match &tracks.video {
            Some(VideoTrack { codec: VideoCodec::Vp9, .. }) => {
                Err(Error::Unsupported("VP9 in FLV".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// What a file or a joining viewer's stream begins with: the file header, whose flags tell the tracks that there
    /// are (a player waits in vain for one that is announced and never comes), `onMetaData`, and the decoder
    /// parameters at the time of the first frame that follows, in milliseconds.
    ///
    /// `onMetaData` itself is at 0, always: ffmpeg takes one at any other time for a track of subtitles.
    pub fn header(self, tracks: &Tracks, time_ms: u32) -> Result<Bytes, Error> {
        self.carries(tracks)?;
        let mut out = BytesMut::with_capacity(512);
        out.put_slice(b"FLV\x01");
        out.put_u8(u8::from(tracks.audio.is_some()) << 2 | u8::from(tracks.video.is_some()));
        out.put_u32(9);
        out.put_u32(0);
        write(&mut out, TagKind::Script, 0, &[], &Self::metadata(self, tracks));
        self.write_sequence_headers(&mut out, tracks, time_ms);
        Ok(out.freeze())
    }

    /// The body of an `onMetaData` script tag: AMF0.
    pub fn metadata(self, tracks: &Tracks) -> Bytes {
        let mut body = BytesMut::with_capacity(256);
        metadata::write(self, &mut body, tracks);
        body.freeze()
    }

    /// The tags with the decoder parameters, for a change in mid-stream.
    pub fn sequence_headers(self, tracks: &Tracks, time_ms: u32) -> Bytes {
        let mut out = BytesMut::new();
        self.write_sequence_headers(&mut out, tracks, time_ms);
        out.freeze()
    }

    fn write_sequence_headers(self, out: &mut BytesMut, tracks: &Tracks, time_ms: u32) {
        for (kind, prefix, record) in self.config_bodies(tracks) {
            write(out, kind, time_ms, &prefix, record);
        }
    }

    /// The bodies of the tags (or RTMP messages) with the decoder parameters: each a prefix and a record.
    pub fn config_bodies(self, tracks: &Tracks) -> impl Iterator<Item = (TagKind, Prefix, &Bytes)> {
        let video = tracks.video.as_ref().and_then(move |VideoTrack { codec, config, .. }| {
            Some((TagKind::Video, self.video_prefix(*codec, SEQUENCE_START, true, 0)?, config))
        });
        let audio = tracks.audio.as_ref().map(|AudioTrack { codec, config, .. }| {
            (TagKind::Audio, audio_prefix(*codec, SEQUENCE_START), config)
        });
        video.into_iter().chain(audio)
    }

    /// What stands before the data of `frame` in the body of its tag (or RTMP message). None if FLV doesn't carry
    /// the codec.
    pub fn body_prefix(self, frame: &Frame) -> Option<(TagKind, Prefix)> {
        match frame.track {
            TrackId::Video => {
                let codec = frame.tracks.video.as_ref()?.codec;
                // Both times are rounded, not their difference, so that the presentation time is right to 1/2 ms.
                let composition = frame.pts().as_millis() - frame.dts.as_millis();
                let prefix = self.video_prefix(codec, CODED_FRAMES, frame.keyframe, composition)?;
                Some((TagKind::Video, prefix))
            }
            TrackId::Audio => {
                let codec = frame.tracks.audio.as_ref()?.codec;
                Some((TagKind::Audio, audio_prefix(codec, CODED_FRAMES)))
            }
            TrackId::Data => Some((TagKind::Script, Prefix::default())),
        }
    }

    /// What follows there: the data of `frame`, with what players of filler need.
    pub fn body(self, frame: &Frame) -> Bytes {
        if frame.filler { filler::data(frame) } else { frame.data.clone() }
    }

    /// Appends a frame as a tag. Left out: what FLV doesn't carry ([`Flv::carries`]) and a frame of 16 MiB or more,
    /// which RTMP couldn't have brought either.
    pub fn write_tag(self, out: &mut BytesMut, frame: &Frame) {
        if let Some((kind, prefix)) = self.body_prefix(frame) {
            write(out, kind, millis(frame.dts), &prefix, &self.body(frame));
        }
    }

    /// The body of the script tag (or RTMP message) of a timed event: AMF0.
    pub fn cue_body(self, cue: &Cue) -> Bytes {
        cue.script.clone().unwrap_or_else(|| {
            let mut body = BytesMut::with_capacity(256 + cue.payload.len());
            metadata::write_cue(&mut body, cue);
            body.freeze()
        })
    }

    fn video_prefix(self, codec: VideoCodec, packet: u8, keyframe: bool, composition: i64) -> Option<Prefix> {
        let frame_type = if keyframe { 1 } else { 2 };
        let [_, offset @ ..] = (composition.clamp(-0x80_0000, 0x7F_FFFF) as i32).to_be_bytes();
        let legacy = |id: u8| Prefix::default().push(&[frame_type << 4 | id, packet]).push(&offset);
        let enhanced =
            |four_cc: &FourCc| Prefix::default().push(&[0x80 | frame_type << 4 | packet]).push(four_cc);
        match (codec, self.hevc) {
            (VideoCodec::H264, _) => Some(legacy(7)),
            (VideoCodec::H265, HevcForm::Legacy) => Some(legacy(12)),
            (VideoCodec::H265, HevcForm::FourCc) if packet == SEQUENCE_START => Some(enhanced(b"hvc1")),
            (VideoCodec::H265, HevcForm::FourCc) => Some(enhanced(b"hvc1").push(&offset)),
            (VideoCodec::Av1, _) => Some(enhanced(b"av01")),
            (VideoCodec::Vp9, _) => None,
        }
    }
}

impl Format for Flv {
    fn frame(&self, out: &mut BytesMut, frame: &Frame) {
        self.write_tag(out, frame);
    }

    fn cue(&self, out: &mut BytesMut, cue: &Cue) {
        write(out, TagKind::Script, millis(cue.at), &[], &self.cue_body(cue));
    }

    fn headers(&self, out: &mut BytesMut, tracks: &Tracks, time: Timestamp) {
        self.write_sequence_headers(out, tracks, millis(time));
    }
}

/// Time in a tag or RTMP message: milliseconds, held within 31 bits.
pub fn millis(time: Timestamp) -> u32 {
    time.as_millis().clamp(0, i32::MAX.into()) as u32
}

fn audio_prefix(codec: AudioCodec, packet: u8) -> Prefix {
    match codec {
        // Of AAC's rate, size and channels all bits are always set (FLV §E.4.2.1).
        AudioCodec::Aac => Prefix::default().push(&[0xAF, packet]),
        AudioCodec::Opus => Prefix::default().push(&[0x90 | packet]).push(b"Opus"),
    }
}

/// Appends a tag and the size of it that follows (FLV §E.3, §E.4.1).
fn write(out: &mut BytesMut, kind: TagKind, time_ms: u32, prefix: &[u8], data: &[u8]) {
    let size = prefix.len() + data.len();
    if size > MAX_BODY {
        return;
    }
    let size = size as u32;
    out.reserve(prefix.len() + data.len() + 15);
    out.put_u8(kind as u8);
    out.put_uint(size.into(), 3);
    out.put_uint((time_ms & 0xFF_FFFF).into(), 3);
    out.put_u8((time_ms >> 24) as u8);
    out.put_uint(0, 3); // Stream id.
    out.put_slice(prefix);
    out.put_slice(data);
    out.put_u32(size + 11);
}
