//! Pieces of recorded segments, as bytes.

use std::sync::Arc;

use bytes::Bytes;
use kaibo_container::{
    fmp4::{self, Timed, fragments},
    segment::Init,
};
use kaibo_media::{Frame, Run, Span, Timestamp, TrackId, Tracks};

use crate::Piece;

/// Before everything.
const EVER: Timestamp = Timestamp::from_millis(i64::MIN);

impl Piece {
    /// What it shows of its segment's `bytes`, which need `init`, as one part. What is cut off is left out to the frame,
    /// by decoding time, and the last picture lasts until the piece ends. None of bytes that are no segment.
    pub fn cut(&self, bytes: &Bytes, init: &Init) -> Option<Bytes> {
        cut(bytes, self, &init.tracks).ok()
    }
}

/// The frames of `piece` among those of its segment.
fn cut(segment: &Bytes, piece: &Piece, tracks: &Arc<Tracks>) -> Result<Bytes, fmp4::Error> {
    let (mut video, mut audio) = (Vec::new(), Vec::new());
    let (mut at, mut sequence, mut cues) = (0, None, Vec::new());
    for fragment in fragments(segment, tracks) {
        let fragment = fragment?;
        sequence.get_or_insert(fragment.sequence);
        cues.extend(fragment.cues.iter().cloned());
        for sample in &fragment.samples {
            let range = at + sample.range.start as usize..at + sample.range.end as usize;
            let frame = Frame {
                tracks: tracks.clone(),
                run: Run::default(),
                track: sample.track,
                dts: sample.dts,
                pts_offset: sample.pts_offset,
                keyframe: sample.keyframe,
                filler: false,
                data: segment.slice(range),
            };
            match sample.track {
                TrackId::Video => video.push(frame),
                _ => audio.push(frame),
            }
        }
        at += fragment.len;
    }
    // Sound is heard when it is due, pictures are seen later: what the first keyframe waits.
    let delay = video.iter().find(|frame| frame.keyframe).map_or(Span::ZERO, |frame| frame.pts_offset);
    let frame = tracks
        .audio
        .as_ref()
        .map_or(Span::ZERO, |audio| Span::from_scale(audio.samples_per_frame.into(), audio.sample_rate));
    let last_sound = audio.last().map_or(Timestamp::ZERO, |last| last.dts + frame);
    // Whatever belongs to the segment where that is not cut: sound that came late may be due before it begins.
    let (from, to) = (piece.from.unwrap_or(EVER), piece.to.unwrap_or(Timestamp::MAX));
    let video = within(video, from, to, piece.segment.end(), true);
    let audio = within(audio, from + delay, to + delay, last_sound, tracks.video.is_none());
    cues.retain(|cue| from <= cue.at && cue.at < to);
    Ok(fmp4::part(sequence.unwrap_or(0), tracks, &video, &audio, &cues).0)
}

/// Those of `frames` of one track that are due within `[from, to)`. The last one lasts until `end`, or (`cut`) until `to`.
fn within(frames: Vec<Frame>, from: Timestamp, to: Timestamp, end: Timestamp, cut: bool) -> Vec<Timed> {
    let mut timed = Vec::new();
    let mut frames = frames.into_iter().peekable();
    while let Some(frame) = frames.next() {
        let next = frames.peek().map_or(end, |next| next.dts);
        let next = if cut { next.min(to) } else { next };
        if frame.dts >= from && frame.dts < to {
            timed.push(Timed { frame: Arc::new(frame), end: next });
        }
    }
    timed
}
