//! A checker of media playlists that knows only their text: it follows one playlist URL through its reloads and says
//! where what it sees breaks a rule that players rely on. It shares no code with what it checks.
//!
//! | rule | what | from |
//! |---|---|---|
//! | H1 | a rounded EXTINF is at most TARGETDURATION, which never changes | RFC 8216 §4.3.3.1, §6.2.1 |
//! | H2 | EXTINF has three decimals at least and is not zero | Apple 8.1 |
//! | H3 | MEDIA-SEQUENCE never goes back; a number keeps its URI | RFC 8216 §6.2.1 |
//! | H4 | a segment keeps its discontinuity number, and DISCONTINUITY-SEQUENCE is there | RFC 8216 §6.2.1, Apple 8.17 |
//! | H5 | segments only come at the end and leave at the head; nothing changes after ENDLIST | RFC 8216 §6.2.1 |
//! | H6 | three target durations and six segments stay | RFC 8216 §6.2.2, Apple 8.11 |
//! | H8 | every segment's date is known and follows from the one before | Apple 8.4 |
//! | H9 | only live playlists lose segments; VOD has ENDLIST | RFC 8216 §4.3.3.5 |
//! | H10 | VERSION is what is needed, no more | RFC 8216 §7 |
//! | H15 | URIs are relative and end as ffmpeg wants | ffmpeg's `allowed_segment_extensions` |
//! | H20 | there is a segment | players give up otherwise |

use std::collections::{BTreeMap, BTreeSet};

/// A media playlist as a player understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playlist {
    /// `EXT-X-PLAYLIST-TYPE`.
    pub kind: Option<String>,
    /// `EXT-X-ENDLIST` is there.
    pub ended: bool,
    /// Seconds.
    pub target_duration: u64,
    /// `EXT-X-INDEPENDENT-SEGMENTS` is there.
    pub independent: bool,
    /// The segments, at least one.
    pub segments: Vec<Segment>,
}

/// A segment as a player understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number.
    pub number: u64,
    /// Without its query, which may belong to the viewer.
    pub uri: String,
    /// Microseconds.
    pub duration: u64,
    /// Discontinuity sequence number.
    pub discontinuity: u64,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub tagged: bool,
    /// The `EXT-X-MAP` in force, without its query.
    pub map: Option<String>,
    /// `EXT-X-PROGRAM-DATE-TIME` in milliseconds since 1970, its own or reckoned from the segment before it.
    pub date: u64,
}

/// Every reload of one playlist URL, seen in order.
#[derive(Debug, Default)]
pub struct Checker {
    last: Option<Playlist>,
    /// Every segment ever seen, by its number.
    seen: BTreeMap<u64, Segment>,
}

impl Checker {
    /// Takes the next reload in.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn observe(&mut self, text: &str) -> Result<Playlist, String> {
        let playlist = parse(text).map_err(|error| format!("{error} in:\n{text}"))?;
        alone(&playlist).map_err(|error| format!("{error} in:\n{text}"))?;
        self.follows(&playlist).map_err(|error| format!("{error} in:\n{text}\nafter: {:#?}", self.last))?;
        self.seen.extend(playlist.segments.iter().map(|segment| (segment.number, segment.clone())));
        self.last = Some(playlist.clone());
        Ok(playlist)
    }

    fn follows(&self, new: &Playlist) -> Result<(), String> {
        for segment in &new.segments {
            if let Some(seen) = self.seen.get(&segment.number) {
                ensure(seen == segment, || format!("H3-H5: segment changed from {seen:?} to {segment:?}"))?;
            }
        }
        let Some(old) = &self.last else { return Ok(()) };
        ensure(old.target_duration == new.target_duration, || "H1: TARGETDURATION changed".into())?;
        ensure(old.kind == new.kind, || "H5: PLAYLIST-TYPE changed".into())?;
        ensure(old.independent || !new.independent, || "H5: INDEPENDENT-SEGMENTS came back".into())?;
        ensure(!old.ended || old == new, || "H5: changed after ENDLIST".into())?;
        let (Some(old_first), Some(old_last)) = (old.segments.first(), old.segments.last()) else {
            return Ok(());
        };
        let (Some(first), Some(last)) = (new.segments.first(), new.segments.last()) else { return Ok(()) };
        ensure(first.number >= old_first.number, || "H3: MEDIA-SEQUENCE went back".into())?;
        ensure(last.number >= old_last.number, || "H5: segments left at the end".into())?;
        ensure(first.discontinuity >= old_first.discontinuity, || {
            "H4: DISCONTINUITY-SEQUENCE went back".into()
        })?;
        if first.number > old_first.number {
            let stays: u64 = new.segments.iter().map(|segment| segment.duration).sum();
            ensure(new.kind.is_none(), || "H9: a segment left an EVENT or VOD playlist".into())?;
            ensure(stays >= 3 * new.target_duration * 1_000_000, || format!("H6: only {stays} us stay"))?;
            ensure(new.segments.len() >= 6, || "H6: fewer than six segments stay".into())?;
        }
        Ok(())
    }
}

/// The rules for one playlist by itself.
fn alone(playlist: &Playlist) -> Result<(), String> {
    for segment in &playlist.segments {
        let number = segment.number;
        ensure(segment.duration > 0, || format!("H2: segment {number} lasts no time"))?;
        ensure((segment.duration + 500_000) / 1_000_000 <= playlist.target_duration, || {
            format!("H1: segment {number} is longer than TARGETDURATION")
        })?;
    }
    for (one, next) in playlist.segments.iter().zip(playlist.segments.iter().skip(1)) {
        let number = next.number;
        let off = next.date.abs_diff(one.date + one.duration / 1000);
        ensure(next.tagged || off < 50, || format!("H8: date of segment {number} is {off} ms off"))?;
        ensure(next.tagged || next.map == one.map, || {
            format!("H4: new MAP without DISCONTINUITY at {number}")
        })?;
    }
    let uris: BTreeSet<_> = playlist.segments.iter().map(|segment| &segment.uri).collect();
    ensure(uris.len() == playlist.segments.len(), || "H3: a URI stands twice".into())?;
    ensure(playlist.kind.as_deref() != Some("VOD") || playlist.ended, || "H9: VOD without ENDLIST".into())
}

fn parse(text: &str) -> Result<Playlist, String> {
    let mut lines = text.lines();
    ensure(lines.next() == Some("#EXTM3U"), || "does not begin with #EXTM3U".into())?;
    ensure(text.ends_with('\n'), || "the last line has no end".into())?;
    let mut header = BTreeMap::new();
    let mut segments: Vec<Segment> = Vec::new();
    let (mut duration, mut tagged, mut date, mut map) = (None, false, None, None);
    let (mut ended, mut decimals) = (false, false);
    for line in lines {
        ensure(!ended, || format!("`{line}` after ENDLIST"))?;
        if let Some(tag) = line.strip_prefix('#') {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            match name {
                "EXTINF" => {
                    duration = Some(micros(value)?);
                    decimals |= value.contains('.');
                }
                "EXT-X-DISCONTINUITY" => tagged = true,
                "EXT-X-PROGRAM-DATE-TIME" => date = Some(millis_since_1970(value)?),
                "EXT-X-MAP" => {
                    let uri = value.strip_prefix("URI=\"").and_then(|rest| rest.strip_suffix('"'));
                    map = Some(path(uri.ok_or_else(|| format!("MAP {value}"))?)?);
                }
                "EXT-X-ENDLIST" => ended = true,
                "EXT-X-VERSION"
                | "EXT-X-TARGETDURATION"
                | "EXT-X-PLAYLIST-TYPE"
                | "EXT-X-INDEPENDENT-SEGMENTS"
                | "EXT-X-MEDIA-SEQUENCE"
                | "EXT-X-DISCONTINUITY-SEQUENCE" => {
                    ensure(segments.is_empty() && duration.is_none() && !tagged, || {
                        format!("{name} among segments")
                    })?;
                    ensure(header.insert(name, value).is_none(), || format!("{name} stands twice"))?;
                }
                _ => return Err(format!("unknown tag {line}")),
            }
            continue;
        }
        let number = |name| header.get(name).map_or(Ok(0), |value| whole(value));
        let before = segments.last();
        let reckoned = before.filter(|_| !tagged).map(|before| before.date + before.duration / 1000);
        segments.push(Segment {
            number: before.map_or(number("EXT-X-MEDIA-SEQUENCE"), |before| Ok(before.number + 1))?,
            uri: path(line)?,
            duration: duration.take().ok_or_else(|| format!("{line} without EXTINF"))?,
            discontinuity: before
                .map_or(number("EXT-X-DISCONTINUITY-SEQUENCE"), |before| Ok(before.discontinuity))?
                + u64::from(tagged),
            tagged,
            map: map.clone(),
            date: date.take().or(reckoned).ok_or_else(|| format!("H8: {line} has no date"))?,
        });
        tagged = false;
    }
    ensure(duration.is_none() && !tagged && date.is_none(), || "tags that belong to no segment".into())?;
    ensure(!segments.is_empty(), || "H20: no segment".into())?;
    let kind = header.get("EXT-X-PLAYLIST-TYPE").map(ToString::to_string);
    ensure(matches!(kind.as_deref(), None | Some("EVENT" | "VOD")), || format!("PLAYLIST-TYPE {kind:?}"))?;
    ensure(kind.is_some() || header.contains_key("EXT-X-DISCONTINUITY-SEQUENCE"), || {
        "H4: no DISCONTINUITY-SEQUENCE".into()
    })?;
    let needed = if map.is_some() {
        6
    } else if decimals {
        3
    } else {
        1
    };
    let version = header.get("EXT-X-VERSION").map_or(Ok(1), |value| whole(value))?;
    ensure(version == needed, || format!("H10: version {version} where {needed} is needed"))?;
    let target_duration = whole(header.get("EXT-X-TARGETDURATION").ok_or("no TARGETDURATION")?)?;
    let independent = header.contains_key("EXT-X-INDEPENDENT-SEGMENTS");
    Ok(Playlist { kind, ended, target_duration, independent, segments })
}

/// A URI without its query; relative, and with an ending that ffmpeg takes (H15).
fn path(uri: &str) -> Result<String, String> {
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    let known = [".m4s", ".mp4", ".ts"].iter().any(|extension| path.ends_with(extension));
    ensure(known && !path.starts_with('/') && !path.contains("://"), || format!("H15: URI {uri}"))?;
    Ok(path.into())
}

/// `SECONDS.DECIMALS,` with at least three decimals (H2).
fn micros(value: &str) -> Result<u64, String> {
    let bad = || format!("H2: EXTINF {value}");
    let (seconds, decimals) =
        value.strip_suffix(',').and_then(|number| number.split_once('.')).ok_or_else(bad)?;
    ensure((3..=6).contains(&decimals.len()), bad)?;
    Ok(whole(seconds)? * 1_000_000 + whole(&format!("{decimals:0<6}"))?)
}

fn whole(digits: &str) -> Result<u64, String> {
    ensure(digits.bytes().all(|byte| byte.is_ascii_digit()), || format!("no number: {digits}"))?;
    digits.parse().map_err(|error| format!("{digits}: {error}"))
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, counted day by day from year to year.
fn millis_since_1970(value: &str) -> Result<u64, String> {
    let shape: String = value.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    ensure(shape == "0000-00-00T00:00:00.000Z", || format!("H8: date {value}"))?;
    let fields: Result<Vec<u64>, String> =
        value.split(['-', 'T', ':', '.', 'Z']).take(7).map(whole).collect();
    let &[year, month, day, hour, minute, second, milli] = fields?.as_slice() else {
        return Err(value.into());
    };
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let length = |month| match month {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    ensure((1..=12).contains(&month) && (1..=length(month)).contains(&day), || {
        format!("H8: no day {value}")
    })?;
    ensure(year >= 1970 && hour < 24 && minute < 60 && second < 60, || format!("H8: no time {value}"))?;
    let days = (1970..year).map(|year| 365 + u64::from(leap(year))).sum::<u64>()
        + (1..month).map(length).sum::<u64>()
        + (day - 1);
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli)
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
