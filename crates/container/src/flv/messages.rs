//! The same tag bodies as RTMP messages, for players of RTMP.

use bytes::{Bytes, BytesMut};
use kaibo_media::{Cue, Frame, Timestamp, Tracks};
use kaibo_rtmp::play::write_message;

use super::{Flv, Format, TagKind, millis};

/// FLV tag bodies in the chunks that every RTMP player is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Messages(Flv);

impl Messages {
    /// What a player gets before its first block, and where the tracks change.
    pub fn opening(&self, tracks: &Tracks, time: Timestamp) -> Bytes {
        let mut out = BytesMut::new();
        // At 0, always: ffmpeg takes metadata at any other time for a track of subtitles.
        write_message(&mut out, TagKind::Script as u8, 0, &[&self.0.metadata(tracks)]);
        self.headers(&mut out, tracks, time);
        out.freeze()
    }
}

impl Format for Messages {
    fn frame(&self, out: &mut BytesMut, frame: &Frame) {
        if let Some((kind, prefix)) = self.0.body_prefix(frame) {
            write_message(out, kind as u8, millis(frame.dts), &[&prefix, &self.0.body(frame)]);
        }
    }

    fn cue(&self, out: &mut BytesMut, cue: &Cue) {
        write_message(out, TagKind::Script as u8, millis(cue.at), &[&self.0.cue_body(cue)]);
    }

    fn headers(&self, out: &mut BytesMut, tracks: &Tracks, time: Timestamp) {
        for (kind, prefix, record) in self.0.config_bodies(tracks) {
            write_message(out, kind as u8, millis(time), &[&prefix, record]);
        }
    }
}
