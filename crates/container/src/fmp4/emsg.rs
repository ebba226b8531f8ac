//! Timed events in parts: `emsg` boxes, version 1 (ISO/IEC 23009-1 §5.10.3.3), with ID3 tags as AOM's "Carriage of ID3 Timed
//! Metadata in the Common Media Application Format" §2 has them: hls.js, Shaka and AVPlayer hand those to the page.

use kaibo_media::{Cue, Timestamp};

use super::VIDEO_TIMESCALE;
use crate::{
    cue,
    iso::boxes::{full, u32, u64},
};

const SCHEME: &[u8] = b"https://aomedia.org/emsg/ID3\0";

/// Bytes of a box beside the payload and whatever length its names have, more or less.
pub(super) const LEN: usize = 256;

/// Appends the box of an event.
pub(super) fn write(out: &mut Vec<u8>, cue: &Cue) {
    full(out, b"emsg", 1, 0, |out| {
        u32(out, VIDEO_TIMESCALE);
        // No broadcast begins before its own timeline.
        u64(out, cue.at.in_scale(VIDEO_TIMESCALE).max(0) as u64);
        // It happens at once.
        u32(out, 0);
        u32(out, number(&cue.id));
        out.extend_from_slice(SCHEME);
        out.extend_from_slice(cue.kind.as_bytes());
        out.push(0);
        out.extend_from_slice(&cue::tag(cue));
    });
}

/// Reads what is in a box that [`write`] wrote; none if it is another.
pub(super) fn read(body: &[u8]) -> Option<Cue> {
    let (version, rest) = body.split_first_chunk::<4>()?;
    let (scale, rest) = rest.split_first_chunk::<4>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let rest = rest.get(8..)?.strip_prefix(SCHEME)?;
    let value = rest.iter().position(|byte| *byte == 0)?;
    let cue = cue::read(rest.get(value + 1..)?)?;
    let time = i64::try_from(u64::from_be_bytes(*time)).ok()?;
    let known = *version == [1, 0, 0, 0]
        && u32::from_be_bytes(*scale) == VIDEO_TIMESCALE
        && Timestamp::from_scale(time, VIDEO_TIMESCALE) == cue.at
        && rest.get(..value) == Some(cue.kind.as_bytes());
    known.then_some(cue)
}

/// What tells the events of a kind apart in 32 bits: FNV-1a of the name.
fn number(id: &str) -> u32 {
    id.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
