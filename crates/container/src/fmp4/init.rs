//! The initialisation section: `ftyp` and a `moov` without samples.

use bytes::Bytes;
use kaibo_media::Tracks;

use super::{Error, NON_SYNC, SYNC};
use crate::iso::{
    AUDIO_ID, AudioEntry, Header, VIDEO_ID, VideoEntry,
    boxes::{boxed, full, u32, zeros},
    media_information, movie_header,
};

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
        movie_header(out, 1000, 0); // no samples, no duration
        if let Some(video) = &video {
            track(out, &Header::video(video.size), |out| video.write(out));
        }
        if let Some(audio) = &audio {
            track(out, &Header::audio(audio.sample_rate()), |out| audio.write(out));
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

fn track_defaults(out: &mut Vec<u8>, id: u32, flags: u32) {
    full(out, b"trex", 0, 0, |out| {
        for value in [id, 1, 0, 0, flags] {
            u32(out, value);
        }
    });
}

fn track(out: &mut Vec<u8>, header: &Header, entry: impl Fn(&mut Vec<u8>)) {
    boxed(out, b"trak", |out| {
        header.track(out, 0);
        boxed(out, b"mdia", |out| {
            header.media(out, 0);
            boxed(out, b"minf", |out| {
                media_information(out, header.handler);
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
