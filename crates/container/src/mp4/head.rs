//! What stands before the media: `ftyp`, `moov` and the header of the `mdat`.

use kaibo_media::Span;

use super::{
    edits::{self, Line},
    pieces::Pieces,
    track::Track,
};
use crate::iso::{
    Header,
    boxes::{boxed, full, u32, u64},
    media_information, movie_header,
};

/// Ticks per second of the movie's own clock: that of video, so that an edit list can say exactly where a picture is.
const TIMESCALE: u32 = crate::iso::VIDEO_TIMESCALE;

/// Bytes that are added up in 32 bits.
const NARROW: u64 = u32::MAX as u64;

/// A track, and what only the whole movie knows of it.
struct Planned<'a> {
    track: &'a Track,
    header: Header,
    lines: Vec<Line>,
    /// In the movie's ticks.
    duration: u64,
}

/// The head of a movie with `media` bytes in its `mdat`, and how long it lasts. It begins at zero if its beginning was
/// `cut`, else where the first of its tracks is seen.
pub fn head(video: &Track, audio: &Track, media: u64, cut: bool) -> (Pieces, Span) {
    let in_movie = |track: &Track, ticks: i64| Span::from_scale(ticks, track.timescale).in_scale(TIMESCALE);
    let tracks = [(video, true), (audio, false)].into_iter().filter(|(track, _)| track.samples > 0);
    let starts = tracks.clone().filter_map(|(track, _)| track.edits.start().map(|at| in_movie(track, at)));
    let start = if cut { 0 } else { starts.min().unwrap_or(0) };
    let planned: Vec<Planned<'_>> = tracks
        .map(|(track, is_video)| {
            let header = if is_video { Header::video(track.size) } else { Header::audio(track.timescale) };
            let (lines, duration) = track.edits.lines(start, track.first(), |ticks| in_movie(track, ticks));
            Planned { track, header, lines, duration }
        })
        .collect();
    let duration = planned.iter().map(|planned| planned.duration).max().unwrap_or(0);

    let mut head = Pieces::from(file_type());
    let mdat = mdat_header(media);
    let len = |wide| head.len() + movie(&planned, duration, 0, wide).len() + mdat.len() as u64;
    let wide = len(false) + media > NARROW;
    let moov = movie(&planned, duration, len(wide), wide);
    head.append(moov);
    head.extend(&mdat);
    (head, Span::from_scale(i64::try_from(duration).unwrap_or(i64::MAX), TIMESCALE))
}

fn file_type() -> Vec<u8> {
    let mut out = Vec::new();
    boxed(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"isom");
        u32(out, 0x200);
        // Composition offsets below zero came with `iso4`.
        for brand in [b"isom", b"iso4", b"mp41", b"mp42"] {
            out.extend_from_slice(brand);
        }
    });
    out
}

/// `mdat` around `media` bytes, of which it holds only the header.
fn mdat_header(media: u64) -> Vec<u8> {
    let mut out = Vec::new();
    match u32::try_from(media + 8) {
        Ok(size) => {
            u32(&mut out, size);
            out.extend_from_slice(b"mdat");
        }
        Err(_) => {
            u32(&mut out, 1);
            out.extend_from_slice(b"mdat");
            u64(&mut out, media + 16);
        }
    }
    out
}

/// `moov`. The media begins at `base` of the file; `wide` offsets have 64 bits.
fn movie(tracks: &[Planned<'_>], duration: u64, base: u64, wide: bool) -> Pieces {
    let mut moov = of(|out| movie_header(out, TIMESCALE, duration));
    for planned in tracks {
        let Planned { track, header, lines, duration } = planned;
        let mut trak = of(|out| {
            header.track(out, *duration);
            edit_list(out, lines);
        });
        let mut mdia = of(|out| header.media(out, track.duration()));
        let mut minf = of(|out| media_information(out, header.handler));
        minf.boxed(b"stbl", tables(track, base, wide));
        mdia.boxed(b"minf", minf);
        trak.boxed(b"mdia", mdia);
        moov.boxed(b"trak", trak);
    }
    let mut out = Pieces::default();
    out.boxed(b"moov", moov);
    out
}

fn edit_list(out: &mut Vec<u8>, lines: &[Line]) {
    if edits::is_plain(lines) {
        return;
    }
    let fits = |line: &Line| u32::try_from(line.duration).is_ok() && i32::try_from(line.media_time).is_ok();
    let narrow = lines.iter().all(fits);
    boxed(out, b"edts", |out| {
        full(out, b"elst", u8::from(!narrow), 0, |out| {
            u32(out, count(lines.len()));
            for line in lines {
                if narrow {
                    u32(out, line.duration as u32);
                    u32(out, line.media_time as i32 as u32);
                } else {
                    u64(out, line.duration);
                    u64(out, line.media_time as u64);
                }
                u32(out, 0x1_0000); // at its own speed
            }
        });
    });
}

/// What is in `stbl` (§8.5 to §8.7).
fn tables(track: &Track, base: u64, wide: bool) -> Pieces {
    let mut stbl = of(|out| {
        full(out, b"stsd", 0, 0, |out| {
            u32(out, count(track.descriptions.len()));
            track.descriptions.iter().for_each(|entry| out.extend_from_slice(entry));
        });
    });
    let mut deltas = track.deltas.clone();
    deltas.push(track.last_duration());
    let (entries, deltas) = deltas.finish();
    table(&mut stbl, b"stts", 0, &[entries], deltas);
    if track.is_reordered {
        let (entries, offsets) = track.compositions.clone().finish();
        table(&mut stbl, b"ctts", u32::from(track.is_negative) << 24, &[entries], offsets);
    }
    if track.keyframes < track.samples {
        table(&mut stbl, b"stss", 0, &[track.keyframes], track.syncs.clone());
    }
    table(&mut stbl, b"stsc", 0, &[track.chunk_run_count], track.chunk_runs.clone());
    table(&mut stbl, b"stsz", 0, &[0, track.samples], track.sizes.clone());
    let mut chunks = Pieces::default();
    for chunk in &track.chunks {
        match wide {
            true => chunks.extend(&(base + chunk).to_be_bytes()),
            // Whoever decided on narrow ones has added them up.
            false => chunks.extend(&u32::try_from(base + chunk).unwrap_or(u32::MAX).to_be_bytes()),
        }
    }
    table(&mut stbl, if wide { b"co64" } else { b"stco" }, 0, &[count(track.chunks.len())], chunks);
    stbl
}

fn table(stbl: &mut Pieces, kind: &[u8; 4], version: u32, fields: &[u32], entries: Pieces) {
    let mut content = of(|out| {
        u32(out, version);
        fields.iter().for_each(|&field| u32(out, field));
    });
    content.append(entries);
    stbl.boxed(kind, content);
}

fn of(write: impl FnOnce(&mut Vec<u8>)) -> Pieces {
    let mut out = Vec::new();
    write(&mut out);
    out.into()
}

/// Entries are counted in 32 bits; [`super::MOST_SAMPLES`] is far below.
fn count(entries: usize) -> u32 {
    u32::try_from(entries).unwrap_or(u32::MAX)
}
