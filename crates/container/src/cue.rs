//! Timed events as bytes: an ID3 tag with one JSON text, which TS carries in packets of its own and fMP4 in an `emsg` box.
//!
//! ID3v2.4 (id3.org) §3, §4.2.6 `TXXX`; JSON is `{"id", "type", "media_ms", "unix_ms", "payload"}`. A tag is a pure function
//! of its event, so that every form of a segment carries the same one whenever it is made.

use kaibo_media::{Cue, MOST_PAYLOAD, Timestamp, UnixMillis, is_kind};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Tells our `TXXX` frame from others.
const DESCRIPTION: &[u8] = b"kaibo\0";

/// Text in UTF-8 (ID3v2.4 §4).
const UTF_8: u8 = 3;

/// The header of a tag, and that of a frame.
const HEADER: usize = 10;

/// The ID3 tag of an event.
pub(crate) fn tag(cue: &Cue) -> Vec<u8> {
    let json = json(cue);
    let body = 1 + DESCRIPTION.len() + json.len();
    let mut out = Vec::with_capacity(2 * HEADER + body);
    out.extend_from_slice(b"ID3\x04\0\0");
    out.extend_from_slice(&syncsafe(HEADER + body));
    out.extend_from_slice(b"TXXX");
    out.extend_from_slice(&syncsafe(body));
    out.extend_from_slice(&[0, 0, UTF_8]);
    out.extend_from_slice(DESCRIPTION);
    out.extend_from_slice(json.as_bytes());
    out
}

/// Ids and kinds need no quoting, and a payload is JSON.
fn json(Cue { id, kind, payload, at, wall, .. }: &Cue) -> String {
    let (media, unix) = (at.as_millis(), wall.0);
    format!(r#"{{"id":"{id}","type":"{kind}","media_ms":{media},"unix_ms":{unix},"payload":{payload}}}"#)
}

/// 28 bits, seven in each byte (ID3v2.4 §6.2). A tag has some KiB.
fn syncsafe(length: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (length >> shift) as u8 & 0x7F)
}

#[derive(Deserialize)]
struct Text<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    media_ms: i64,
    unix_ms: i64,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Reads a tag that [`tag`] wrote; none if it is another.
pub(crate) fn read(tag: &[u8]) -> Option<Cue> {
    let body = tag.strip_prefix(b"ID3\x04\0\0")?.get(4..)?.strip_prefix(b"TXXX")?.get(4..)?;
    let json = body.strip_prefix(&[0, 0, UTF_8])?.strip_prefix(DESCRIPTION)?;
    let Text { id, kind, media_ms, unix_ms, payload } = serde_json::from_slice(json).ok()?;
    let is_id =
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let payload = payload.get();
    if !is_id || !is_kind(kind) || payload.len() > MOST_PAYLOAD {
        return None;
    }
    Some(Cue {
        id: id.into(),
        kind: kind.into(),
        payload: payload.into(),
        at: Timestamp::from_millis(media_ms),
        wall: UnixMillis(unix_ms),
        script: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(payload: &str) -> Cue {
        Cue {
            id: "e-1".into(),
            kind: "product".into(),
            payload: payload.into(),
            at: Timestamp::from_millis(12_345),
            wall: UnixMillis(1_795_296_420_123),
            script: None,
        }
    }

    #[test]
    fn a_tag_is_one_text_of_the_users() {
        let tag = tag(&cue(r#"{"name":"茶"}"#));
        let json = r#"{"id":"e-1","type":"product","media_ms":12345,"unix_ms":1795296420123,"payload":{"name":"茶"}}"#;
        let size = 7 + json.len() as u8;
        let head =
            [b"ID3\x04\0\0\0\0\0", &[size + 10][..], b"TXXX\0\0\0", &[size], b"\0\0\x03kaibo\0"].concat();
        assert_eq!(tag, [&head[..], json.as_bytes()].concat());
    }

    #[test]
    fn what_is_written_is_read_whatever_its_length() {
        for length in [2, 100, 127, 128, 5000, MOST_PAYLOAD] {
            let cue = cue(&format!("\"{}\"", "x".repeat(length - 2)));
            assert_eq!(read(&tag(&cue)), Some(cue));
        }
    }

    #[test]
    fn no_damaged_tag_is_a_panic_and_no_torn_one_an_event() {
        let whole = tag(&cue(r#"{"a":[1,2.5,null]}"#));
        for torn in 0..whole.len() {
            assert_eq!(read(&whole[..torn]), None);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            let _either = read(&damaged);
        }
    }
}
