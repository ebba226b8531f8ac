//! Filler as FLV players need it: what the server makes while a publisher is away.

use bytes::{BufMut, Bytes, BytesMut};
use kaibo_media::{Frame, TrackId, VideoCodec, VideoTrack};

/// mpegts.js takes a stream in pieces of 4 KiB: thinner media reaches the player in clumps, and trips those that chase
/// the live edge. At 10 pictures per second this much in each makes 48 KiB/s, at which none was seen to seek.
const PICTURE: usize = 4920;

/// The same for keyframes, which may be all that there is: at least 4 per second, or large ones.
const KEYFRAME: usize = 12 << 10;

/// `user_data_unregistered` (ITU-T H.264 §D.1.7, H.265 §D.2.7).
const USER_DATA: u8 = 5;

/// Says whose user data it is (§D.2.7): to be skipped by everybody. Of this server, made at random.
const OWNER: [u8; 16] =
    [0x5b, 0xd3, 0x9e, 0x1c, 0x72, 0xa4, 0x4f, 0xe8, 0x91, 0x2d, 0xc6, 0x38, 0x7f, 0xb5, 0x4a, 0xe1];

/// The data of a filler `frame` for FLV: keyframes bring their parameter sets along, since mpegts.js appends the last
/// picture before a change of parameters behind it; and pictures are padded to a rate that keeps players calm.
pub(super) fn data(frame: &Frame) -> Bytes {
    let video = frame.tracks.video.as_ref().filter(|_| frame.track == TrackId::Video);
    let Some(video) = video else { return frame.data.clone() };
    let mut out = BytesMut::with_capacity(KEYFRAME.max(frame.data.len()) + 512);
    if frame.keyframe {
        // A record that can't be read has gone to viewers as it is, and they play or they don't.
        for set in video.parameter_sets().unwrap_or_default() {
            out.put_u32(set.len() as u32);
            out.put_slice(&set);
        }
    }
    let least = if frame.keyframe { KEYFRAME } else { PICTURE };
    let missing = least.saturating_sub(out.len() + frame.data.len());
    pad(&mut out, video, missing);
    out.put_slice(&frame.data);
    out.freeze()
}

/// Appends an SEI message of about `len` bytes; nothing where that is too short for one.
fn pad(out: &mut BytesMut, video: &VideoTrack, len: usize) {
    let header: &[u8] = match video.codec {
        VideoCodec::H264 => &[6],
        VideoCodec::H265 => &[39 << 1, 1],
        VideoCodec::Av1 | VideoCodec::Vp9 => return,
    };
    let Some(payload) = len.checked_sub(4 + header.len() + 2).filter(|payload| *payload > OWNER.len()) else {
        return;
    };
    // The payload's size counts 255 per byte, and these bytes count too; so it is a little less than asked for.
    let payload = payload - payload / 256;
    let size = payload / 255 + 1;
    out.put_u32((header.len() + 1 + size + payload + 1) as u32);
    out.put_slice(header);
    out.put_u8(USER_DATA);
    out.put_bytes(0xFF, payload / 255);
    out.put_u8((payload % 255) as u8);
    out.put_slice(&OWNER);
    // Nothing that could look like a start code.
    out.put_bytes(0xA5, payload - OWNER.len());
    out.put_u8(0x80);
}
