//! The lines of an index.

use std::io;

use kaibo_media::{Cue, Span, Timestamp, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{Edit, Id, Stretch, tracks::StoredTracks};

/// The longest line, in bytes. The first line of an excerpt has its stretches twice, of which there may be 1,000 with four
/// numbers of up to 15 digits; a timed event's has 8 KiB of JSON within JSON, where each quotation mark takes two bytes; an
/// initialisation section's has two decoder configurations in hexadecimal, a few hundred bytes each.
pub(crate) const LINE: usize = 128 << 10;

/// Media time in an index is counted in flicks, which hold every clock exactly.
const FLICKS: u32 = 705_600_000;

/// What a recording is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The app.
    pub app: String,
    /// The stream's name.
    pub stream: String,
    /// When it began, in milliseconds since 1970.
    #[serde(with = "wall")]
    pub started: UnixMillis,
    /// What it was cut out of, and how. None: it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

/// How a recording was cut out of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The recording that it was cut out of.
    #[serde(with = "name")]
    pub of: Id,
    /// What is shown of it, to the frame.
    #[serde(with = "edit")]
    pub edit: Edit,
    /// The same from keyframes on: each stretch begins with the one that its first picture needs. Stretches that touch
    /// by that are one.
    #[serde(with = "edit")]
    pub from_keyframes: Edit,
}

/// A stretch of the broadcast that was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The end of the last whole part before it.
    #[serde(with = "timestamp")]
    pub from: Timestamp,
    /// The start of the segment after it; none if nothing came after.
    #[serde(with = "maybe_timestamp")]
    pub until: Option<Timestamp>,
    /// Why, in words.
    pub why: String,
}

impl Loss {
    /// The fault alone, without the file that it happened to: where our folders are is nobody's business.
    pub fn reason(&self) -> &str {
        self.why.rsplit(": ").next().unwrap_or_default()
    }
}

/// What is known of a recording that is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Why the broadcast ended.
    pub reason: String,
    /// When, in milliseconds since 1970.
    #[serde(with = "wall")]
    pub wall: UnixMillis,
    /// Segments that publishers sent the media of; what filled the time between is no part of the replay.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their duration; of an excerpt that of what it shows.
    #[serde(with = "span")]
    pub duration: Span,
    /// Something is missing, see [`Loss`].
    pub truncated: bool,
}

/// One line of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fact {
    /// The first line.
    Opened(Meta),
    /// `init-NUMBER.mp4` is on the disk.
    Init { number: u32, len: u64, crc: u32, tracks: StoredTracks },
    /// `NUMBER.m4s` begins. Everything about the segments before it is on the disk.
    Begin {
        number: u64,
        init: u32,
        discontinuity: u64,
        #[serde(with = "timestamp")]
        start: Timestamp,
        #[serde(with = "wall")]
        wall: UnixMillis,
        independent: bool,
        /// Left out in recordings of versions that knew no filler.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        filler: bool,
    },
    /// A timed event in the part that the next line but those of other events is of.
    Cue {
        id: String,
        kind: String,
        #[serde(with = "timestamp")]
        at: Timestamp,
        #[serde(with = "wall")]
        wall: UnixMillis,
        /// JSON.
        payload: String,
    },
    /// The next part of the segment is written.
    Part {
        len: u64,
        crc: u32,
        #[serde(with = "span")]
        duration: Span,
    },
    /// The segment is complete. (A segment without this line ends with its last part.)
    End {
        target_duration: u32,
        /// Missing where a server wrote it that listed no parts.
        #[serde(default, with = "maybe_span", skip_serializing_if = "Option::is_none")]
        part_target: Option<Span>,
    },
    /// Found at a restart: only this many parts of the newest segment are whole.
    Torn { parts: usize },
    /// Nothing was recorded for a while.
    Lost(Loss),
    /// The live playlist went on to here with segments that no recording keeps.
    Skipped {
        next: u64,
        #[serde(with = "timestamp")]
        until: Timestamp,
    },
    /// The server started again.
    Reopened {
        #[serde(with = "wall")]
        wall: UnixMillis,
    },
    /// The last line.
    Finished(Finished),
}

impl From<&Cue> for Fact {
    fn from(Cue { id, kind, payload, at, wall, .. }: &Cue) -> Self {
        let (id, kind, payload) = (id.to_string(), kind.to_string(), payload.to_string());
        Self::Cue { id, kind, at: *at, wall: *wall, payload }
    }
}

impl Fact {
    /// The line, with its checksum and its end.
    pub fn line(&self) -> io::Result<Vec<u8>> {
        let fact = serde_json::to_vec(self)?;
        let mut line = format!("[{},", crc32fast::hash(&fact)).into_bytes();
        line.extend_from_slice(&fact);
        line.extend_from_slice(b"]\n");
        if line.len() > LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a line too long for the index"));
        }
        Ok(line)
    }
}

/// Reads a line. `None` if it is torn or was never written; an error if it was, but makes no sense.
pub(crate) fn read(line: &[u8]) -> Option<Result<Fact, serde_json::Error>> {
    let line = line.strip_prefix(b"[")?.strip_suffix(b"]\n")?;
    let comma = line.iter().position(|byte| *byte == b',')?;
    let (crc, fact) = (line.get(..comma)?, line.get(comma + 1..)?);
    let crc: u32 = std::str::from_utf8(crc).ok()?.parse().ok()?;
    (crc32fast::hash(fact) == crc).then(|| serde_json::from_slice(fact))
}

mod wall {
    use super::{Deserialize, UnixMillis};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(wall: &UnixMillis, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(wall.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UnixMillis, D::Error> {
        i64::deserialize(from).map(UnixMillis)
    }
}

mod name {
    use super::{Deserialize, Id};
    use serde::{Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(id: &Id, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Id, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The flicks at which the stretches begin and end.
mod edit {
    use super::{Deserialize, Edit, FLICKS, Stretch, Timestamp};
    use serde::{Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(edit: &Edit, to: S) -> Result<S::Ok, S::Error> {
        let flicks = |at: Timestamp| at.in_scale(FLICKS);
        to.collect_seq(edit.stretches().iter().map(|stretch| (flicks(stretch.from), flicks(stretch.to))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Edit, D::Error> {
        let at = |flicks| Timestamp::from_scale(flicks, FLICKS);
        let stretches = Vec::<(i64, i64)>::deserialize(from)?;
        Edit::new(stretches.into_iter().map(|(from, to)| Stretch { from: at(from), to: at(to) }))
            .map_err(D::Error::custom)
    }
}

mod timestamp {
    use super::{Deserialize, FLICKS, Timestamp};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.in_scale(FLICKS))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(|flicks| Timestamp::from_scale(flicks, FLICKS))
    }
}

mod maybe_timestamp {
    use super::{Deserialize, FLICKS, Serialize, Timestamp};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.in_scale(FLICKS)).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(|flicks| Timestamp::from_scale(flicks, FLICKS)))
    }
}

mod maybe_span {
    use super::{Deserialize, FLICKS, Serialize, Span};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(span: &Option<Span>, to: S) -> Result<S::Ok, S::Error> {
        span.map(|span| span.in_scale(FLICKS)).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Span>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(|flicks| Span::from_scale(flicks, FLICKS)))
    }
}

mod span {
    use super::{Deserialize, FLICKS, Span};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(span: &Span, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(span.in_scale(FLICKS))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        i64::deserialize(from).map(|flicks| Span::from_scale(flicks, FLICKS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Fact {
        Fact::Part { len: 61_231, crc: 7, duration: Span::from_scale(1001, 60_000) }
    }

    #[test]
    fn a_line_is_json_with_a_checksum() {
        let line = part().line().unwrap();
        let line = std::str::from_utf8(&line).unwrap();
        assert_eq!(line, "[2208201530,{\"part\":{\"len\":61231,\"crc\":7,\"duration\":11771760}}]\n");
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
        assert_eq!(read(line.as_bytes()).unwrap().unwrap(), part());
    }

    #[test]
    fn no_part_of_a_line_and_no_damaged_line_counts() {
        let line = part().line().unwrap();
        for torn in 0..line.len() {
            assert!(read(&line[..torn]).is_none());
        }
        for at in 0..line.len() {
            for flip in 1..=255 {
                let mut damaged = line.clone();
                damaged[at] ^= flip;
                assert!(read(&damaged).is_none(), "{:?}", String::from_utf8_lossy(&damaged));
            }
        }
    }

    #[test]
    fn a_segment_is_no_filler_unless_its_line_says_so() {
        let old =
            br#"{"begin":{"number":7,"init":0,"discontinuity":1,"start":0,"wall":5,"independent":true}}"#;
        let begin = |filler| Fact::Begin {
            number: 7,
            init: 0,
            discontinuity: 1,
            start: Timestamp::ZERO,
            wall: UnixMillis(5),
            independent: true,
            filler,
        };
        assert_eq!(serde_json::from_slice::<Fact>(old).unwrap(), begin(false));
        assert_eq!(serde_json::to_vec(&begin(false)).unwrap(), old);
        let line = begin(true).line().unwrap();
        assert_eq!(read(&line).unwrap().unwrap(), begin(true));
    }

    #[test]
    fn what_was_meant_but_makes_no_sense_is_an_error() {
        let fact = br#"{"future":{}}"#;
        let line = [format!("[{},", crc32fast::hash(fact)).as_bytes(), fact, b"]\n"].concat();
        assert!(read(&line).unwrap().is_err());
    }
}
