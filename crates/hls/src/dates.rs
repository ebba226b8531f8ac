//! Timed events in playlists: `EXT-X-DATERANGE` (rfc8216bis §4.4.5.1).
//!
//! They stand together in front of the segments: which belongs where is said by their dates, not by their place, and a delta
//! update that leaves segments out has to have all of them (rfc8216bis §4.4.5.2).

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use kaibo_media::{Cue, UnixMillis};

use crate::time::date_time;

/// Events in a live list, of which every viewer has all in every reload: the newest.
const MOST: usize = 100;

/// Bytes of their payloads, for the same reason; the newest one is always there.
const BYTES: usize = 64 << 10;

/// The meaning of our own attributes.
const CLASS: &str = "kaibo.event";

/// A timed event where a playlist has it.
#[derive(Clone, Debug)]
pub struct DateRange {
    /// The event.
    pub cue: Arc<Cue>,
    /// `START-DATE`, within the dates of the list's segments.
    pub start: UnixMillis,
}

impl DateRange {
    pub(crate) fn write(&self, out: &mut String) -> fmt::Result {
        let Cue { id, kind, payload, at, .. } = &*self.cue;
        let (start, media) = (date_time(self.start), at.as_millis());
        // It happens at one moment, which is what no duration says.
        write!(out, "#EXT-X-DATERANGE:ID=\"{id}\",CLASS=\"{CLASS}\",START-DATE=\"{start}\",DURATION=0")?;
        writeln!(out, ",X-TYPE=\"{kind}\",X-MEDIA-MS={media},X-PAYLOAD=\"{}\"", quoted(payload))
    }
}

/// As a quoted string may have it: what it may not have, and `%`, as in URIs (RFC 3986 §2.1).
fn quoted(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for character in text.chars() {
            match character {
                '"' | '%' | '\0'..' ' | '\x7F' => write!(f, "%{:02X}", u32::from(character))?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    })
}

/// The events of a live list that reaches from `from` to `to`, of all that are `known`, oldest first.
pub(crate) fn listed<'a>(
    known: impl DoubleEndedIterator<Item = &'a Arc<Cue>>,
    from: UnixMillis,
    to: UnixMillis,
) -> Vec<DateRange> {
    let mut room = BYTES;
    let within = known.rev().filter(|cue| cue.wall >= from && cue.wall < to).take(MOST);
    let mut listed: Vec<_> = within
        .enumerate()
        .map_while(|(at, cue)| {
            let left = room.checked_sub(cue.payload.len());
            room = left.or((at == 0).then_some(0))?;
            Some(DateRange { cue: Arc::clone(cue), start: cue.wall })
        })
        .collect();
    listed.reverse();
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(number: i64, payload: String) -> Arc<Cue> {
        Arc::new(Cue {
            id: format!("e-{number}").into(),
            kind: "product".into(),
            payload: payload.into(),
            at: kaibo_media::Timestamp::from_millis(number),
            wall: UnixMillis(number),
            script: None,
        })
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let mut out = String::new();
        let cue = cue(1500, "{\"name\":\"茶 100%\",\"line\":\"a\\n\"}\r\n".into());
        DateRange { cue, start: UnixMillis(1_795_296_420_123) }.write(&mut out).unwrap();
        assert_eq!(
            out,
            "#EXT-X-DATERANGE:ID=\"e-1500\",CLASS=\"kaibo.event\",START-DATE=\"2026-11-21T21:27:00.123Z\",DURATION=0,\
             X-TYPE=\"product\",X-MEDIA-MS=1500,\
             X-PAYLOAD=\"{%22name%22:%22茶 100%25%22,%22line%22:%22a\\n%22}%0D%0A\"\n"
        );
    }

    #[test]
    fn a_list_has_the_newest_events_of_its_time_within_bounds() {
        let ids = |cues: &[Arc<Cue>], from, to| -> Vec<i64> {
            let listed = listed(cues.iter(), UnixMillis(from), UnixMillis(to));
            listed.iter().map(|range| range.start.0).collect()
        };
        let small: Vec<_> = (0..1000).map(|number| cue(number, "1".into())).collect();
        assert_eq!(ids(&small, 10, 14), [10, 11, 12, 13]);
        assert_eq!(ids(&small, 0, 1000), (900..1000).collect::<Vec<_>>());
        let large: Vec<_> = (0..20).map(|number| cue(number, "1".repeat(8 << 10))).collect();
        assert_eq!(ids(&large, 0, 1000), (12..20).collect::<Vec<_>>());
        assert_eq!(ids(&[cue(3, "1".repeat(1 << 20))], 0, 1000), [3]);
    }
}
