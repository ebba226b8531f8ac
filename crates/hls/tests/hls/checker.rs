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
//! | H19 | a DATERANGE's ID is one event's for ever, and its START-DATE within the dates of the list | RFC 8216 §4.3.2.7 |
//! | H20 | there is a segment | players give up otherwise |
//! | L1 | PART-TARGET never changes; no part is longer, none but a segment's last is below 85 % of it | rfc8216bis §4.4.3.7 |
//! | L2 | SERVER-CONTROL offers blocking and deltas, and never changes | rfc8216bis §4.4.3.8 |
//! | L3 | parts make up their segment, come in order, never change, and are listed near the end only | rfc8216bis §6.2.2 |
//! | L4 | the first part of an independent segment is independent | rfc8216bis §4.4.4.9 |
//! | L5 | a PRELOAD-HINT is the last line until ENDLIST, and names the next part | rfc8216bis §4.4.5.3, hls.js |
//! | L7 | a delta update stands for the whole list | rfc8216bis §6.2.5.1 |

// Other tests take this file by its path: then, too, what it consists of is beside it.
#[path = "checker/parsing.rs"]
mod parsing;

use std::collections::{BTreeMap, BTreeSet};

use self::parsing::{decimal, parse};

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
    /// What only low latency has.
    pub low_latency: Option<LowLatency>,
    /// Parts by segment and index.
    pub parts: BTreeMap<(u64, u64), Part>,
    /// What stands in front of the parts of the segment that is being made.
    pub open: Option<Open>,
    /// The `EXT-X-DATERANGE` tags by `ID`.
    pub events: BTreeMap<String, Event>,
}

/// An event as a player understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `START-DATE` in milliseconds since 1970.
    pub date: u64,
    /// All attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Tags that make a playlist one of low latency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowLatency {
    /// Microseconds.
    pub part_target: u64,
    /// `EXT-X-SERVER-CONTROL`.
    pub control: BTreeMap<String, String>,
    /// The part that comes next.
    pub hint: Option<String>,
}

/// A part as a player understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Without its query.
    pub uri: String,
    /// Microseconds.
    pub duration: u64,
    /// It holds a keyframe.
    pub independent: bool,
}

/// The segment that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Media sequence number that it will have.
    pub number: u64,
    pub tagged: bool,
    pub map: Option<String>,
    pub date: u64,
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
    /// Every part ever seen, by segment and index.
    parts: BTreeMap<(u64, u64), Part>,
    /// Every event ever seen.
    events: BTreeMap<String, Event>,
}

impl Checker {
    /// Takes the next reload in.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn observe(&mut self, text: &str) -> Result<Playlist, String> {
        let playlist = parse(text, None).map_err(|error| format!("{error} in:\n{text}"))?;
        alone(&playlist).map_err(|error| format!("{error} in:\n{text}"))?;
        self.follows(&playlist).map_err(|error| format!("{error} in:\n{text}\nafter: {:#?}", self.last))?;
        self.seen.extend(playlist.segments.iter().map(|segment| (segment.number, segment.clone())));
        self.parts.extend(playlist.parts.iter().map(|(place, part)| (*place, part.clone())));
        self.events.extend(playlist.events.clone());
        self.last = Some(playlist.clone());
        Ok(playlist)
    }

    /// What a delta update stands for, to somebody who has seen everything before it.
    ///
    /// # Errors
    /// If it leaves out what was never seen, or breaks a rule by itself.
    pub fn expand(&self, delta: &str) -> Result<Playlist, String> {
        parse(delta, Some(&self.seen)).map_err(|error| format!("{error} in:\n{delta}"))
    }

    fn follows(&self, new: &Playlist) -> Result<(), String> {
        for segment in &new.segments {
            if let Some(seen) = self.seen.get(&segment.number) {
                ensure(seen == segment, || format!("H3-H5: segment changed from {seen:?} to {segment:?}"))?;
            }
        }
        for (place, part) in &new.parts {
            let seen = self.parts.get(place).unwrap_or(part);
            ensure(seen == part, || format!("L3: part {place:?} changed from {seen:?} to {part:?}"))?;
        }
        for (id, event) in &new.events {
            let seen = self.events.get(id).unwrap_or(event);
            ensure(seen == event, || format!("H19: event {id} changed from {seen:?} to {event:?}"))?;
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
        low_latency_follows(old, new)
    }
}

/// Low latency from one reload to the next.
fn low_latency_follows(old: &Playlist, new: &Playlist) -> Result<(), String> {
    let fixed =
        |playlist: &Playlist| playlist.low_latency.as_ref().map(|low| (low.part_target, low.control.clone()));
    ensure(fixed(old) == fixed(new), || "L1, L2: PART-TARGET or SERVER-CONTROL changed".into())?;
    let (before, now) = (next_part(old), next_part(new));
    ensure(now >= before, || format!("L3: the next part was {before:?} and is {now:?}"))?;
    if let (Some(hint), Some(part)) =
        (old.low_latency.as_ref().and_then(|low| low.hint.as_ref()), new.parts.get(&before))
    {
        ensure(*hint == part.uri, || format!("L5: {hint} was announced, {} came", part.uri))?;
    }
    let announces = |playlist: &Playlist| playlist.low_latency.as_ref().is_none_or(|low| low.hint.is_some());
    ensure(announces(old) || (now == before && !announces(new)), || {
        "L5: something came that was not announced".into()
    })?;
    for segment in &old.segments {
        let (was, is) = (has_parts(old, segment.number), has_parts(new, segment.number));
        ensure(was || !is, || format!("L3: parts of segment {} came back", segment.number))?;
    }
    Ok(())
}

fn has_parts(playlist: &Playlist, segment: u64) -> bool {
    playlist.parts.contains_key(&(segment, 0))
}

/// Segment and index of the part that comes next.
fn next_part(playlist: &Playlist) -> (u64, u64) {
    let next = playlist.segments.last().map_or(0, |last| last.number + 1);
    (next, playlist.parts.range((next, 0)..).count() as u64)
}

/// Low latency in one playlist by itself.
fn low_latency(playlist: &Playlist) -> Result<(), String> {
    let Some(low) = &playlist.low_latency else {
        return ensure(playlist.parts.is_empty(), || "L1: parts without PART-INF".into());
    };
    let target = low.part_target;
    let control = |name: &str| low.control.get(name).ok_or_else(|| format!("L2: no {name}"));
    ensure(control("CAN-BLOCK-RELOAD")? == "YES", || "L2: no blocking".into())?;
    ensure(decimal(control("PART-HOLD-BACK")?)? >= 3 * target, || "L2: PART-HOLD-BACK is too short".into())?;
    ensure(decimal(control("CAN-SKIP-UNTIL")?)? >= 6_000_000 * playlist.target_duration, || {
        "L2: CAN-SKIP-UNTIL is too short".into()
    })?;
    ensure(low.hint.is_none() || !playlist.ended, || "L5: a hint at the end".into())?;
    // None before the end either, once nothing follows but the end.
    ensure(low.hint.is_some() || playlist.open.is_none(), || "L5: no hint".into())?;
    let hinted_is_listed = playlist.parts.values().any(|part| Some(&part.uri) == low.hint.as_ref());
    ensure(!hinted_is_listed, || "L5: the hint names a listed part".into())?;
    let uris: BTreeSet<_> = playlist.parts.values().map(|part| &part.uri).collect();
    ensure(uris.len() == playlist.parts.len(), || "L3: a part's URI stands twice".into())?;
    for ((segment, index), part) in &playlist.parts {
        let name = format!("part {segment}.{index}");
        ensure(part.duration > 0 && part.duration <= target, || {
            format!("L1: {name} lasts {} us of {target}", part.duration)
        })?;
        let last = !playlist.parts.contains_key(&(*segment, index + 1));
        ensure(last || part.duration * 100 >= target * 85, || format!("L1: {name} is below 85 %"))?;
        ensure(*index > 0 || !playlist.independent || part.independent, || {
            format!("L4: {name} is not independent")
        })?;
    }
    let mut behind: u64 =
        playlist.parts.range(next_part_of_open(playlist)..).map(|(_, part)| part.duration).sum();
    let mut later = true;
    for segment in playlist.segments.iter().rev() {
        let number = segment.number;
        let durations: Vec<u64> =
            playlist.parts.range((number, 0)..(number + 1, 0)).map(|(_, part)| part.duration).collect();
        let sum: u64 = durations.iter().sum();
        ensure(sum == 0 || sum.abs_diff(segment.duration) <= durations.len() as u64 + 1, || {
            format!("L3: the parts of segment {number} last {sum} us")
        })?;
        ensure(sum == 0 || later, || format!("L3: a segment behind {number} has no parts"))?;
        // A few microseconds for what is rounded.
        ensure(sum == 0 || behind < 3_000_000 * playlist.target_duration + 100, || {
            format!("L3: the parts of segment {number} are {behind} us before the end")
        })?;
        later = sum > 0;
        behind += segment.duration;
    }
    Ok(())
}

fn next_part_of_open(playlist: &Playlist) -> (u64, u64) {
    (playlist.segments.last().map_or(0, |last| last.number + 1), 0)
}

/// Events are within the time that is listed.
fn events(playlist: &Playlist) -> Result<(), String> {
    let (Some(first), Some(last)) = (playlist.segments.first(), playlist.segments.last()) else {
        return Ok(());
    };
    let end = match &playlist.open {
        Some(open) => {
            open.date
                + playlist.parts.range((open.number, 0)..).map(|(_, part)| part.duration).sum::<u64>() / 1000
        }
        None => last.date + last.duration / 1000,
    };
    for (id, event) in &playlist.events {
        // A millisecond for what is rounded.
        ensure((first.date..=end + 1).contains(&event.date), || {
            format!("H19: event {id} is at {} of {} to {end}", event.date, first.date)
        })?;
    }
    Ok(())
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
    low_latency(playlist)?;
    events(playlist)?;
    if let (Some(open), Some(last)) = (&playlist.open, playlist.segments.last()) {
        let off = open.date.abs_diff(last.date + last.duration / 1000);
        ensure(open.tagged || off < 50, || format!("H8: date of the open segment is {off} ms off"))?;
        ensure(open.tagged || open.map == last.map, || {
            "H4: new MAP without DISCONTINUITY at the end".into()
        })?;
    }
    ensure(playlist.kind.as_deref() != Some("VOD") || playlist.ended, || "H9: VOD without ENDLIST".into())
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
