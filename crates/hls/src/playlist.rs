//! Media playlists (RFC 8216 §4.3.3), with what low latency adds to them (rfc8216bis §4.4).

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use kaibo_container::segment::Part;
use kaibo_media::{Span, UnixMillis};

use crate::{
    dates::DateRange,
    pieces::Pieces,
    reach::Reach,
    time::{date_time, seconds},
    uris::{Format, Uris},
};

/// Part targets that a player stays behind the end (Apple's MUST; rfc8216bis §4.4.3.8 says two).
const PART_HOLD_BACK: u32 = 3;

/// Target durations before the end within which no delta update skips anything (rfc8216bis §4.4.3.8).
pub(crate) const SKIP_BOUNDARY: u32 = 6;

/// What may happen to a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Segments come at the end and leave at the head.
    Live,
    /// Segments only come.
    Event,
    /// Nothing changes any more.
    Vod,
}

/// One segment in a playlist.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its number, from which its URI is made.
    pub number: u64,
    /// Exact duration; none of a segment that is being made, of which only the parts are listed.
    pub duration: Option<Span>,
    /// Discontinuity sequence number: `EXT-X-DISCONTINUITY` stands where it changes.
    pub discontinuity: u64,
    /// Number of its initialisation section.
    pub init: u32,
    /// Wall clock of its start.
    pub wall: UnixMillis,
    /// Its parts, where they are to be listed: those before `duration` is reached, and near the end.
    pub parts: &'a [Arc<Part>],
}

/// What low latency adds to a live playlist.
#[derive(Clone, Copy, Debug)]
pub struct LowLatency<'a> {
    /// `EXT-X-PART-INF:PART-TARGET`: must never change, and no part may be longer.
    pub part_target: Span,
    /// Segment and index of the part that comes next; none once nothing comes any more.
    pub hint: Option<(u64, u32)>,
    /// How many entries at the head a delta update leaves out; 0 is the whole list.
    pub skipped: usize,
    /// How far the other renditions of the same broadcast are.
    pub reports: &'a [Report<'a>],
}

/// `EXT-X-RENDITION-REPORT`: how far another rendition is.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Its playlist, relative to this one.
    pub uri: &'a str,
    /// Segment and index of its newest part.
    pub newest: (u64, u32),
}

/// A media playlist, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Playlist<'a, I> {
    /// What may happen to it.
    pub kind: Kind,
    /// Nothing comes any more (always so in [`Kind::Vod`]).
    pub ended: bool,
    /// `EXT-X-TARGETDURATION` in seconds: must never change.
    pub target_duration: u32,
    /// Media sequence number of the first entry: how many left before it.
    pub media_sequence: u64,
    /// Discontinuity sequence number in front of the first entry: `EXT-X-DISCONTINUITY` stands before that one if its
    /// own differs.
    pub discontinuity_sequence: u64,
    /// Every entry begins with a keyframe.
    pub independent: bool,
    /// The timed events of the entries.
    pub date_ranges: &'a [DateRange],
    /// Players begin here, this far behind the start of the first entry, to the frame (`EXT-X-START`).
    pub start: Option<Span>,
    /// How the entries are named.
    pub uris: Uris<'a>,
    /// The entries; players give up on a playlist that has none.
    pub entries: I,
    /// None in a list of whole segments only.
    pub low_latency: Option<LowLatency<'a>>,
}

impl<'e, I: IntoIterator<Item = Entry<'e>>> Playlist<'_, I> {
    /// The playlist's text.
    pub fn render(self) -> String {
        self.pieces(&Reach::default()).into_string()
    }

    /// The same with `older` in front of its entries.
    pub(crate) fn pieces(self, older: &Reach) -> Pieces {
        let mut pieces = Pieces::new(self.uris.query);
        // Writing into a `String` cannot fail.
        let _ = self.write(older, &mut pieces);
        pieces
    }

    fn write(self, older: &Reach, pieces: &mut Pieces) -> fmt::Result {
        let skipped = self.low_latency.map_or(0, |low| low.skipped);
        self.write_header(skipped, pieces.text())?;
        let behind = older.write(&self.uris, skipped, pieces)?;
        let mut joints = behind.unwrap_or(Joints { discontinuity: self.discontinuity_sequence, init: None });
        let skipped = skipped.saturating_sub(older.len());
        let entries = self.entries.into_iter();
        let out = pieces.text();
        // About 110 bytes for each segment, and as many lines of 60 bytes again for parts.
        out.reserve(1024 + 128 * entries.size_hint().0.saturating_sub(skipped));
        for (at, entry) in entries.enumerate() {
            let (joint, new_init) = joints.pass(&entry);
            // What was skipped counts as said.
            if at >= skipped {
                write_entry(out, &self.uris, &entry, joint, new_init)?;
            }
        }
        if self.ended || self.kind == Kind::Vod {
            writeln!(out, "#EXT-X-ENDLIST")?;
        }
        let Some(LowLatency { hint, reports, .. }) = self.low_latency else { return Ok(()) };
        for Report { uri, newest: (segment, part) } in reports {
            writeln!(out, "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={segment},LAST-PART={part}")?;
        }
        // Always the last line: hls.js takes a segment that stands there for one that is being made.
        if let Some((segment, part)) = hint {
            let uri = self.uris.part(segment, part);
            writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{uri}\"")?;
        }
        Ok(())
    }

    fn write_header(&self, skipped: usize, out: &mut String) -> fmt::Result {
        // No version above what is needed (RFC 8216 §7, rfc8216bis §8): 3 for decimals in EXTINF, 6 for EXT-X-MAP, 9
        // for EXT-X-SKIP.
        let version = match self.uris.format {
            Format::Ts => 3,
            Format::Fmp4 if skipped > 0 => 9,
            Format::Fmp4 => 6,
        };
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}", self.target_duration)?;
        if let Some(low) = &self.low_latency {
            let hold_back = times(low.part_target, PART_HOLD_BACK);
            let skip_until = times(Span::from_scale(self.target_duration.into(), 1), SKIP_BOUNDARY);
            writeln!(
                out,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={},PART-HOLD-BACK={}",
                seconds(skip_until),
                seconds(hold_back)
            )?;
            writeln!(out, "#EXT-X-PART-INF:PART-TARGET={}", seconds(low.part_target))?;
        }
        match self.kind {
            Kind::Live => {}
            Kind::Event => writeln!(out, "#EXT-X-PLAYLIST-TYPE:EVENT")?,
            Kind::Vod => writeln!(out, "#EXT-X-PLAYLIST-TYPE:VOD")?,
        }
        if self.independent {
            writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        }
        if let Some(start) = self.start {
            writeln!(out, "#EXT-X-START:TIME-OFFSET={},PRECISE=YES", seconds(start))?;
        }
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence)?;
        writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence)?;
        if skipped > 0 {
            writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")?;
        }
        self.date_ranges.iter().try_for_each(|range| range.write(out))
    }
}

/// What the next entry of a list follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joints {
    /// Discontinuity sequence number of the entry before it.
    pub discontinuity: u64,
    /// Its initialisation section; none before the first entry.
    pub init: Option<u32>,
}

impl Joints {
    /// Whether `entry` stands behind a discontinuity, and whether its initialisation section is new. It is the one
    /// before the next now.
    fn pass(&mut self, entry: &Entry<'_>) -> (bool, bool) {
        let joint = std::mem::replace(&mut self.discontinuity, entry.discontinuity) != entry.discontinuity;
        (joint, self.init.replace(entry.init) != Some(entry.init))
    }
}

/// One entry's lines.
pub(crate) fn write_entry(
    out: &mut String,
    uris: &Uris<'_>,
    entry: &Entry<'_>,
    joint: bool,
    new_init: bool,
) -> fmt::Result {
    if joint {
        writeln!(out, "#EXT-X-DISCONTINUITY")?;
    }
    if let Some(uri) = uris.init(entry.init).filter(|_| new_init) {
        writeln!(out, "#EXT-X-MAP:URI=\"{uri}\"")?;
    }
    // On every segment: a date that came only when a segment has become the first would be an edit of what is
    // already listed (RFC 8216 §6.2.1).
    writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(entry.wall))?;
    for part in entry.parts {
        let (uri, duration) = (uris.part(entry.number, part.index), seconds(part.duration));
        let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
        writeln!(out, "#EXT-X-PART:DURATION={duration},URI=\"{uri}\"{independent}")?;
    }
    if let Some(duration) = entry.duration {
        writeln!(out, "#EXTINF:{},\n{}", seconds(duration), uris.segment(entry.number))?;
    }
    Ok(())
}

fn times(span: Span, times: u32) -> Span {
    (0..times).map(|_| span).sum()
}
