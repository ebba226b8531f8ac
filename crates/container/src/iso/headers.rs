//! The headers of a movie, its tracks and their media.

use super::{
    AUDIO_ID, VIDEO_ID, VIDEO_TIMESCALE,
    boxes::{boxed, full, u16, u32, u64, zeros},
};

/// Identity transformation (§8.2.2.2).
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// `mvhd`: ticks per second, and the duration in them.
pub fn movie_header(out: &mut Vec<u8>, timescale: u32, duration: u64) {
    full(out, b"mvhd", version(duration), 0, |out| {
        times(out, duration, |out| u32(out, timescale));
        u32(out, 0x1_0000);
        u16(out, 0x0100);
        zeros(out, 10);
        MATRIX.iter().for_each(|&cell| u32(out, cell));
        zeros(out, 24);
        u32(out, AUDIO_ID + 1);
    });
}

/// What a track's headers say.
pub struct Header {
    id: u32,
    pub timescale: u32,
    pub handler: &'static [u8; 4],
    name: &'static [u8],
    volume: u16,
    size: (u16, u16),
}

impl Header {
    pub fn video(size: (u16, u16)) -> Self {
        let timescale = VIDEO_TIMESCALE;
        Self { id: VIDEO_ID, timescale, handler: b"vide", name: b"video", volume: 0, size }
    }

    pub fn audio(timescale: u32) -> Self {
        Self { id: AUDIO_ID, timescale, handler: b"soun", name: b"audio", volume: 0x0100, size: (0, 0) }
    }

    /// `tkhd`; the duration is in the movie's ticks.
    pub fn track(&self, out: &mut Vec<u8>, duration: u64) {
        // Enabled, in the movie, in the preview.
        full(out, b"tkhd", version(duration), 7, |out| {
            times(out, duration, |out| {
                u32(out, self.id);
                zeros(out, 4);
            });
            zeros(out, 12);
            u16(out, self.volume);
            zeros(out, 2);
            MATRIX.iter().for_each(|&cell| u32(out, cell));
            u32(out, u32::from(self.size.0) << 16);
            u32(out, u32::from(self.size.1) << 16);
        });
    }

    /// `mdhd` and `hdlr`; the duration is in the track's ticks.
    pub fn media(&self, out: &mut Vec<u8>, duration: u64) {
        full(out, b"mdhd", version(duration), 0, |out| {
            times(out, duration, |out| u32(out, self.timescale));
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
    }
}

/// What stands in `minf` before the tables: the header of the kind of media, and where the media is.
pub fn media_information(out: &mut Vec<u8>, handler: &[u8; 4]) {
    match handler {
        b"vide" => full(out, b"vmhd", 0, 1, |out| zeros(out, 8)),
        _ => full(out, b"smhd", 0, 0, |out| zeros(out, 4)),
    }
    boxed(out, b"dinf", |out| {
        full(out, b"dref", 0, 0, |out| {
            u32(out, 1);
            full(out, b"url ", 0, 1, |_| {}); // the media is in this very file
        });
    });
}

/// Durations beyond 32 bits take version 1.
fn version(duration: u64) -> u8 {
    u8::from(u32::try_from(duration).is_err())
}

/// When it was made and changed, which nobody knows; what stands between; the duration.
fn times(out: &mut Vec<u8>, duration: u64, between: impl FnOnce(&mut Vec<u8>)) {
    match u32::try_from(duration) {
        Ok(duration) => {
            zeros(out, 8);
            between(out);
            u32(out, duration);
        }
        Err(_) => {
            zeros(out, 16);
            between(out);
            u64(out, duration);
        }
    }
}
