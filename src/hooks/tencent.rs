//! Callbacks in the form of Tencent Cloud Live, made of our own events (`event_type` and its fields as in its
//! documentation "Live stream callback", "Recording callback", "Recording event callback").

#![allow(clippy::indexing_slicing, reason = "a JSON value has null at every index that it has not")]

use kaibo_broadcast::Secret;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::sign::tencent_sign;

/// How long a receiver may take a callback for fresh, in seconds.
const VALID: i64 = 600;

/// What Tencent calls this event; none where it has no word for it.
fn event_type(kind: &str, data: &Value) -> Option<u16> {
    Some(match kind {
        "push.up" => 1,
        "push.down" => 0,
        "replay.ready" => 100,
        "snapshot.ready" => 200,
        _ if record_event(kind, data).is_some() => 332,
        _ => return None,
    })
}

/// What became of the recording.
fn record_event(kind: &str, data: &Value) -> Option<&'static str> {
    match kind {
        "broadcast.started" if data["recorded"] == true => Some("record_start_succeeded"),
        "replay.truncated" => Some("record_error"),
        _ if data["broadcast"]["replay"].is_null() => None,
        "broadcast.interrupted" => Some("record_paused"),
        "broadcast.resumed" => Some("record_resumed"),
        "broadcast.ended" => Some("record_ended"),
        _ => None,
    }
}

/// Receivers of this format are told of this event.
pub fn tells(kind: &str, data: &Value) -> bool {
    event_type(kind, data).is_some()
}

/// The callback for the stored event `body`, signed `now` (seconds since 1970).
pub fn callback(body: &str, secret: &Secret, now: i64) -> Option<String> {
    let event: Value = serde_json::from_str(body).ok()?;
    let (kind, data) = (event["type"].as_str()?, &event["data"]);
    let event_type = event_type(kind, data)?;
    let t = now.saturating_add(VALID);
    let broadcast = &data["broadcast"];
    let host = broadcast["play"]["rtmp"].as_str().map(host).unwrap_or_default();
    let mut fields = Map::new();
    let mut put = |more: Value| {
        if let Value::Object(more) = more {
            fields.extend(more);
        }
    };
    put(json!({
        "event_type": event_type, "t": t, "sign": tencent_sign(secret, t),
        "app": host, "appname": broadcast["app"],
        "stream_id": broadcast["stream"], "channel_id": broadcast["stream"],
    }));
    match event_type {
        100 => put(recording(broadcast, &data["replay"])),
        200 => put(snapshot(&data["snapshot"])),
        332 => put(json!({
            "event_time": seconds(&event["timestamp"]),
            "record_event": record_event(kind, data), "session_id": broadcast["id"],
        })),
        _ => {
            put(push(broadcast, data, host));
            put(json!({ "event_time": seconds(&event["timestamp"]) }));
        }
    }
    Some(Value::Object(fields).to_string())
}

fn push(broadcast: &Value, data: &Value, host: &str) -> Value {
    let push = &data["push"];
    // "18/501": Tencent has the second number in words only.
    let code =
        data["code"].as_str().and_then(|code| code.split('/').next()).and_then(|main| main.parse().ok());
    json!({
        "sequence": sequence(broadcast["id"].as_str().unwrap_or_default(), &data["epoch"]),
        "node": host,
        "user_ip": push["address"].as_str().unwrap_or_default(),
        "stream_param": push["query"].as_str().unwrap_or_default(),
        "push_duration": push["duration_ms"].as_i64().unwrap_or(0).to_string(),
        "errcode": code.unwrap_or(0_u16),
        "errmsg": data["reason"].as_str().unwrap_or("ok"),
        "width": push["width"].as_u64().unwrap_or(0),
        "height": push["height"].as_u64().unwrap_or(0),
    })
}

fn recording(broadcast: &Value, replay: &Value) -> Value {
    json!({
        "file_id": broadcast["id"], "task_id": broadcast["id"], "file_format": "hls",
        "start_time": seconds(&broadcast["started_at"]), "end_time": seconds(&broadcast["ended_at"]),
        "duration": replay["duration_ms"].as_i64().unwrap_or(0) / 1000,
        "file_size": replay["file_size"], "video_url": replay["hls"],
        // The timeline of a broadcast begins at 0.
        "media_start_time": 0,
    })
}

fn snapshot(snapshot: &Value) -> Value {
    let url = snapshot["url"].as_str().unwrap_or_default();
    // Behind the scheme and the host.
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    json!({
        "create_time": seconds(&snapshot["taken_at"]),
        "file_size": snapshot["file_size"], "width": snapshot["width"], "height": snapshot["height"],
        "pic_url": format!("/{path}"), "pic_full_url": url,
    })
}

/// A number for one push: the same in its start and its stop, another one in every other push. Receivers expect
/// decimal digits.
fn sequence(broadcast: &str, epoch: &Value) -> String {
    let digest = Sha256::digest(format!("{broadcast}/{epoch}"));
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // Within the range of a signed number.
    (number >> 1).to_string()
}

/// The host in a URL.
fn host(url: &str) -> &str {
    let authority = url.split('/').nth(2).unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Seconds since 1970 of a time in RFC 3339; 0 for none.
fn seconds(time: &Value) -> u64 {
    let time = time.as_str().and_then(|time| humantime::parse_rfc3339(time).ok());
    time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(kind: &str, more: Value) -> String {
        let mut data = json!({ "broadcast": {
            "id": "b1", "app": "live", "stream": "room", "started_at": "2026-01-02T03:04:05.678Z",
            "ended_at": "2026-01-02T03:05:05.678Z", "play": { "rtmp": "rtmp://push.example.com:1936/live/room" },
            "replay": { "status": "ready" },
        }});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "type": kind, "id": "evt_1", "timestamp": "2026-01-02T03:05:06.000Z", "data": data })
            .to_string()
    }

    fn told(kind: &str, more: Value) -> Value {
        let secret = Secret::new("key-of-the-callbacks");
        serde_json::from_str(&callback(&stored(kind, more), &secret, 1_700_000_000).unwrap()).unwrap()
    }

    #[test]
    fn a_push_that_ends_has_the_sequence_of_its_beginning() {
        let push = json!({ "address": "203.0.113.7", "query": "a=1", "duration_ms": 61_000, "width": 720, "height": 1280 });
        let up = told("push.up", json!({ "epoch": 3, "push": push }));
        let down =
            told("push.down", json!({ "epoch": 3, "push": push, "code": "21/100", "reason": "dropped" }));
        assert_eq!((&up["event_type"], &down["event_type"]), (&json!(1), &json!(0)));
        assert_eq!(up["sequence"], down["sequence"]);
        assert_ne!(up["sequence"], told("push.up", json!({ "epoch": 4 }))["sequence"]);
        assert!(up["sequence"].as_str().unwrap().parse::<i64>().is_ok());
        assert_eq!((&up["errcode"], &up["errmsg"]), (&json!(0), &json!("ok")));
        assert_eq!((&down["errcode"], &down["errmsg"]), (&json!(21), &json!("dropped")));
        assert_eq!(down["push_duration"], "61000", "text, as Tencent has it");
        assert_eq!((&down["width"], &down["height"]), (&json!(720), &json!(1280)));
        assert_eq!((&down["app"], &down["appname"]), (&json!("push.example.com"), &json!("live")));
        assert_eq!((&down["stream_id"], &down["channel_id"]), (&json!("room"), &json!("room")));
        assert_eq!((&down["user_ip"], &down["stream_param"]), (&json!("203.0.113.7"), &json!("a=1")));
        assert_eq!(down["event_time"], 1_767_323_106);
        assert_eq!(down["t"], 1_700_000_600);
        // The test vector of `sign`.
        assert_eq!(down["sign"], "7b430e98fdcc261c96eb1c8456592b2a");
    }

    #[test]
    fn a_replay_is_one_recording() {
        let replay = json!({ "duration_ms": 60_500, "file_size": 1234, "hls": "http://a/replay/b1.m3u8" });
        let told = told("replay.ready", json!({ "replay": replay }));
        assert_eq!(told["event_type"], 100);
        assert_eq!((&told["file_id"], &told["task_id"]), (&json!("b1"), &json!("b1")));
        assert_eq!((&told["duration"], &told["file_size"]), (&json!(60), &json!(1234)));
        assert_eq!((&told["start_time"], &told["end_time"]), (&json!(1_767_323_045), &json!(1_767_323_105)));
        assert_eq!(told["video_url"], "http://a/replay/b1.m3u8");
    }

    #[test]
    fn a_snapshot_says_where_its_picture_is() {
        let snapshot = json!({ "url": "https://live.example.com/live/room.jpg", "taken_at": "2026-01-02T03:04:06.700Z",
            "media_ms": 1000, "width": 720, "height": 1280, "file_size": 54_321 });
        let told = told("snapshot.ready", json!({ "snapshot": snapshot }));
        assert_eq!((&told["event_type"], &told["create_time"]), (&json!(200), &json!(1_767_323_046)));
        assert_eq!((&told["width"], &told["height"]), (&json!(720), &json!(1280)));
        assert_eq!((&told["stream_id"], &told["file_size"]), (&json!("room"), &json!(54_321)));
        assert_eq!(told["pic_url"], "/live/room.jpg");
        assert_eq!(told["pic_full_url"], "https://live.example.com/live/room.jpg");
    }

    #[test]
    fn the_recording_follows_the_broadcast() {
        for (kind, more, expected) in [
            ("broadcast.started", json!({ "recorded": true }), "record_start_succeeded"),
            ("broadcast.interrupted", json!({}), "record_paused"),
            ("broadcast.resumed", json!({}), "record_resumed"),
            ("replay.truncated", json!({}), "record_error"),
            ("broadcast.ended", json!({}), "record_ended"),
        ] {
            let told = told(kind, more);
            assert_eq!((&told["event_type"], &told["record_event"]), (&json!(332), &json!(expected)));
            assert_eq!(told["session_id"], "b1");
        }
        let unrecorded = json!({ "recorded": false, "broadcast": { "replay": null } });
        for kind in ["broadcast.started", "broadcast.ended", "broadcast.created", "push.rejected"] {
            assert!(!tells(kind, &unrecorded), "{kind}");
        }
    }
}
