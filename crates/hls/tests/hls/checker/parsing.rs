//! What a playlist's text says, and the rules that a single line can break.

use std::collections::BTreeMap;

use super::{Event, LowLatency, Open, Part, Playlist, Segment, ensure};

/// `skippable` are the segments that a delta update may leave out; none if it is to be a whole list.
pub(super) fn parse(text: &str, skippable: Option<&BTreeMap<u64, Segment>>) -> Result<Playlist, String> {
    let mut lines = text.lines();
    ensure(lines.next() == Some("#EXTM3U"), || "does not begin with #EXTM3U".into())?;
    ensure(text.ends_with('\n'), || "the last line has no end".into())?;
    let mut header: BTreeMap<&str, &str> = BTreeMap::new();
    let mut segments: Vec<Segment> = Vec::new();
    let (mut duration, mut tagged, mut date, mut map) = (None, false, None, None);
    let (mut ended, mut decimals, mut skips) = (false, false, false);
    let (mut part_target, mut control, mut hint) = (None, None, None);
    // Of the segment that is being read.
    let mut open_parts: Vec<Part> = Vec::new();
    let mut parts = BTreeMap::new();
    let mut events = BTreeMap::new();
    for line in lines {
        ensure(hint.is_none(), || format!("L5: `{line}` after the hint"))?;
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
                "EXT-X-START" => {
                    let offset = attributes(value)?.remove("TIME-OFFSET").ok_or("a start without a time")?;
                    ensure(segments.is_empty() && decimal(&offset)? > 0, || line.into())?;
                }
                "EXT-X-PART" => {
                    let attributes = attributes(value)?;
                    let of = |name: &str| attributes.get(name).ok_or_else(|| format!("PART {value}"));
                    ensure(duration.is_none() && date.is_some(), || format!("L3: tags after `{line}`"))?;
                    let independent = attributes.get("INDEPENDENT").is_some_and(|value| value == "YES");
                    let part =
                        Part { uri: path(of("URI")?)?, duration: decimal(of("DURATION")?)?, independent };
                    open_parts.push(part);
                }
                "EXT-X-PRELOAD-HINT" => {
                    let attributes = attributes(value)?;
                    ensure(attributes.get("TYPE").is_some_and(|kind| kind == "PART"), || line.into())?;
                    hint = Some(path(attributes.get("URI").ok_or("L5: a hint of nothing")?)?);
                }
                "EXT-X-RENDITION-REPORT" => {
                    let attributes = attributes(value)?;
                    for name in ["URI", "LAST-MSN", "LAST-PART"] {
                        ensure(attributes.contains_key(name), || format!("L8: `{line}` has no {name}"))?;
                    }
                }
                "EXT-X-DATERANGE" => {
                    let attributes = attributes(value)?;
                    let of =
                        |name: &str| attributes.get(name).ok_or_else(|| format!("H19: {line} has no {name}"));
                    let (id, date) = (of("ID")?.clone(), millis_since_1970(of("START-DATE")?)?);
                    let twice = events.insert(id, Event { date, attributes });
                    ensure(twice.is_none(), || format!("H19: {line} stands twice"))?;
                }
                "EXT-X-SKIP" => {
                    let known = skippable.ok_or("L7: EXT-X-SKIP in a whole list")?;
                    ensure(segments.is_empty() && !skips, || "L7: EXT-X-SKIP among segments".into())?;
                    let first = header.get("EXT-X-MEDIA-SEQUENCE").map_or(Ok(0), |value| whole(value))?;
                    let count =
                        attributes(value)?.get("SKIPPED-SEGMENTS").map_or(Ok(0), |count| whole(count))?;
                    ensure(count > 0, || "L7: nothing is skipped".into())?;
                    for number in first..first + count {
                        let segment = known.get(&number);
                        segments.push(segment.ok_or_else(|| format!("L7: who knows {number}?"))?.clone());
                    }
                    map = segments.last().and_then(|last| last.map.clone());
                    (skips, decimals) = (true, true);
                }
                "EXT-X-PART-INF" => {
                    let target = attributes(value)?.remove("PART-TARGET").ok_or("L1: no PART-TARGET")?;
                    ensure(part_target.replace(decimal(&target)?).is_none(), || {
                        format!("{name} stands twice")
                    })?;
                }
                "EXT-X-SERVER-CONTROL" => {
                    ensure(control.replace(attributes(value)?).is_none(), || format!("{name} stands twice"))?;
                }
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
        let place = before.map_or(number("EXT-X-MEDIA-SEQUENCE"), |before| Ok(before.number + 1))?;
        parts.extend((0..).zip(open_parts.drain(..)).map(|(index, part)| ((place, index), part)));
        segments.push(Segment {
            number: place,
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
    ensure(!segments.is_empty(), || "H20: no segment".into())?;
    let number = segments.last().map_or(0, |last| last.number + 1);
    let open = match date.take() {
        Some(date) if !open_parts.is_empty() => Some(Open { number, tagged, map: map.clone(), date }),
        date => {
            ensure(duration.is_none() && !tagged && date.is_none(), || {
                "tags that belong to no segment".into()
            })?;
            None
        }
    };
    parts.extend((0..).zip(open_parts).map(|(index, part)| ((number, index), part)));
    let low_latency = match (part_target, control) {
        (Some(part_target), Some(control)) => Some(LowLatency { part_target, control, hint }),
        (None, None) => None,
        _ => return Err("L2: PART-INF or SERVER-CONTROL alone".into()),
    };
    let kind = header.get("EXT-X-PLAYLIST-TYPE").map(ToString::to_string);
    ensure(matches!(kind.as_deref(), None | Some("EVENT" | "VOD")), || format!("PLAYLIST-TYPE {kind:?}"))?;
    ensure(kind.is_some() || header.contains_key("EXT-X-DISCONTINUITY-SEQUENCE"), || {
        "H4: no DISCONTINUITY-SEQUENCE".into()
    })?;
    let needed = if skips {
        9
    } else if map.is_some() {
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
    Ok(Playlist { kind, ended, target_duration, independent, segments, low_latency, parts, open, events })
}

/// `NAME=VALUE,…`; a value in quotation marks may have commas in it.
fn attributes(value: &str) -> Result<BTreeMap<String, String>, String> {
    let mut attributes = BTreeMap::new();
    let mut quoted = false;
    let comma = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    for attribute in value.split(comma) {
        let (name, value) = attribute.split_once('=').ok_or_else(|| format!("attribute {attribute}"))?;
        let twice = attributes.insert(name.into(), value.trim_matches('"').into());
        ensure(twice.is_none(), || format!("{name} stands twice"))?;
    }
    Ok(attributes)
}

/// Seconds as microseconds.
pub(super) fn decimal(value: &str) -> Result<u64, String> {
    micros(&format!("{value},"))
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
