//! How a playlist names what it lists.

use std::fmt;

/// Which form of the segments a playlist lists: the same frames under other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CMAF: fragmented MP4 with initialisation sections.
    Fmp4,
    /// MPEG-TS.
    Ts,
}

/// The URIs of a playlist's segments, relative to it. Made from numbers that are never reused, so a URI means the same
/// bytes for ever; the paths end in `.m4s`, `.mp4` or `.ts`, because ffmpeg refuses others.
#[derive(Clone, Copy, Debug)]
pub struct Uris<'a> {
    /// What stands in front of each name: empty, or a folder with its slash.
    pub prefix: &'a str,
    /// The form of the segments.
    pub format: Format,
    /// A query for each URI without its question mark, e.g. a viewer's session; empty for none. Written as it is: the
    /// server makes it, not a client.
    pub query: &'a str,
}

impl Uris<'_> {
    /// The URI of a segment.
    pub fn segment(&self, number: u64) -> impl fmt::Display {
        let extension = match self.format {
            Format::Fmp4 => "m4s",
            Format::Ts => "ts",
        };
        fmt::from_fn(move |f| {
            write!(f, "{}{number}.{extension}", self.prefix)?;
            self.write_query(f)
        })
    }

    /// The URI of a part: fMP4 alone has them.
    pub fn part(&self, segment: u64, part: u32) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "{}{segment}.{part}.m4s", self.prefix)?;
            self.write_query(f)
        })
    }

    /// The URI of an initialisation section, where the format has them.
    pub fn init(&self, number: u32) -> Option<impl fmt::Display> {
        (self.format == Format::Fmp4).then(|| {
            fmt::from_fn(move |f| {
                write!(f, "{}init-{number}.mp4", self.prefix)?;
                self.write_query(f)
            })
        })
    }

    fn write_query(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}
