//! Media playlists (RFC 8216 §4.3.3).

use std::fmt::{self, Write};

use kaibo_media::{Span, UnixMillis};

use crate::{
    time::{date_time, seconds},
    uris::{Format, Uris},
};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from which its URI is made.
    pub number: u64,
    /// Exact duration.
    pub duration: Span,
    /// Discontinuity sequence number: `EXT-X-DISCONTINUITY` stands where it changes.
    pub discontinuity: u64,
    /// Number of its initialisation section.
    pub init: u32,
    /// Wall clock of its start.
    pub wall: UnixMillis,
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
    /// How the entries are named.
    pub uris: Uris<'a>,
    /// The entries; players give up on a playlist that has none.
    pub entries: I,
}

impl<I: IntoIterator<Item = Entry>> Playlist<'_, I> {
    /// The playlist's text.
    pub fn render(self) -> String {
        let mut text = String::new();
        // Writing into a `String` cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(self, out: &mut String) -> fmt::Result {
        let entries = self.entries.into_iter();
        // A header, and about 110 bytes for each segment.
        out.reserve(256 + 128 * entries.size_hint().0);
        // No version above what is needed (RFC 8216 §7): 3 for decimals in EXTINF, 6 for EXT-X-MAP.
        let version = match self.uris.format {
            Format::Ts => 3,
            Format::Fmp4 => 6,
        };
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}", self.target_duration)?;
        match self.kind {
            Kind::Live => {}
            Kind::Event => writeln!(out, "#EXT-X-PLAYLIST-TYPE:EVENT")?,
            Kind::Vod => writeln!(out, "#EXT-X-PLAYLIST-TYPE:VOD")?,
        }
        if self.independent {
            writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        }
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence)?;
        writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence)?;
        let (mut discontinuity, mut init) = (self.discontinuity_sequence, None);
        for entry in entries {
            if entry.discontinuity != discontinuity {
                discontinuity = entry.discontinuity;
                writeln!(out, "#EXT-X-DISCONTINUITY")?;
            }
            if init != Some(entry.init) {
                init = Some(entry.init);
                if let Some(uri) = self.uris.init(entry.init) {
                    writeln!(out, "#EXT-X-MAP:URI=\"{uri}\"")?;
                }
            }
            // On every segment: a date that came only when a segment has become the first would be an edit of what is
            // already listed (RFC 8216 §6.2.1).
            writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(entry.wall))?;
            writeln!(out, "#EXTINF:{},\n{}", seconds(entry.duration), self.uris.segment(entry.number))?;
        }
        if self.ended || self.kind == Kind::Vod {
            writeln!(out, "#EXT-X-ENDLIST")?;
        }
        Ok(())
    }
}
