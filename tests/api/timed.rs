//! Timed events: told once, seen by everybody at the same time of the media.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use bytes::BytesMut;
use kaibo_container::flv::{Tag, TagKind};
use kaibo_rtmp::{
    amf0::{self, Value as Amf},
    chunk::{self, Limits, Message, Reader, kind},
    play::STREAM,
};
use serde_json::{Value, json};

use crate::{
    backend::{Answer, call, call_with, command},
    events::listen,
    support::{
        Kaibo, clip, flv, hls, hls_checker::Checker, http, push, rtmp, seconds, server::API_TOKEN, wait_for,
    },
};

const CONFIG: &str = "hls.segment = \"1s\"";

/// Times in milliseconds by the ids of events.
type Times = BTreeMap<String, i64>;

/// Half a picture of the clips that are pushed.
const HALF_A_FRAME_MS: i64 = 16;

fn tell(server: &Kaibo, broadcast: &Value, event: Value) -> Answer {
    command(server, broadcast, "events", event)
}

fn listed(server: &Kaibo, broadcast: &Value) -> Vec<Value> {
    server.api(&format!("/broadcasts/{}/events", broadcast["id"].as_str().unwrap()))["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// When the API says that they were.
fn told(events: &[Value]) -> Times {
    let time =
        |event: &Value| (event["id"].as_str().unwrap().to_owned(), event["media_ms"].as_i64().unwrap());
    events.iter().map(time).collect()
}

/// A push of a clip with subtitles, which ffmpeg sends as `onTextData` after 1.5 s.
fn push_with_text(server: &Kaibo, stream: &str) -> push::Pusher {
    let subtitles = server.scratch("text.srt");
    fs::write(&subtitles, "1\n00:00:01,500 --> 00:00:02,000\nhello\n").unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "info", "-re", "-i"]).arg(clip::long()).arg("-i").arg(subtitles);
    ffmpeg.args(["-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "copy", "-c:s", "text"]);
    // Else it holds everything back for as long as there might be another text: 10 s.
    ffmpeg.args(["-max_interleave_delta", "100000", "-f", "flv", &server.push_url(stream)]);
    push::start(&mut ffmpeg)
}

/// The script tags behind the first, which is `onMetaData`.
fn scripts(tags: &[Tag]) -> Vec<&Tag> {
    tags.iter()
        .filter(|tag| tag.kind == TagKind::Script && !tag.body.starts_with(b"\x02\0\x0AonMetaData"))
        .collect()
}

/// The times of the tags that carry events, and how many others there are.
fn flv_times(tags: &[Tag]) -> (Times, usize) {
    let mut times = Times::new();
    let scripts = scripts(tags);
    for tag in &scripts {
        let Some(rest) = tag.body.strip_prefix(b"\x02\0\x0ConTimedEvent\x03\0\x02id\x02\0".as_slice()) else {
            continue;
        };
        let id = String::from_utf8(rest[1..=usize::from(rest[0])].to_vec()).unwrap();
        times.insert(id, tag.time_ms.into());
    }
    let others = scripts.len() - times.len();
    (times, others)
}

/// The events in the `emsg` boxes of `segments`.
fn emsg_times<'a>(segments: impl IntoIterator<Item = &'a Vec<u8>>) -> Times {
    let mut times = Times::new();
    for segment in segments {
        let mut rest = segment.as_slice();
        while let Some((head, _)) = rest.split_first_chunk::<8>() {
            let size = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
            let body = &rest[8..size];
            if &head[4..] == b"emsg" {
                assert_eq!(u32::from_be_bytes(body[4..8].try_into().unwrap()), 90_000);
                let time = i64::from_be_bytes(body[8..16].try_into().unwrap()) / 90;
                let text = String::from_utf8_lossy(body);
                let json: Value = serde_json::from_str(&text[text.find("{\"id\"").unwrap()..]).unwrap();
                assert_eq!(json["media_ms"], time);
                times.insert(json["id"].as_str().unwrap().into(), time);
            }
            rest = &rest[size..];
        }
    }
    times
}

fn final_list(broadcast: &Value) -> String {
    let url = broadcast["replay"]["hls"].as_str().unwrap();
    wait_for("the final replay", seconds(5), || {
        let text = http::get(url, &[]).text();
        text.contains("#EXT-X-ENDLIST").then_some(text)
    })
}

/// The server-sent events of `/status/live/STREAM`: kind and data.
fn status_stream(server: &Kaibo, stream: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    let mut socket = TcpStream::connect(&server.at.http).unwrap();
    socket.set_read_timeout(Some(seconds(15))).unwrap();
    write!(socket, "GET /status/live/{stream} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        .unwrap();
    let mut kind = String::new();
    BufReader::new(socket).lines().map_while(Result::ok).filter_map(move |line| {
        if let Some(name) = line.strip_prefix("event: ") {
            kind = name.to_owned();
        }
        let data = serde_json::from_str(line.strip_prefix("data: ")?).unwrap();
        Some((std::mem::take(&mut kind), data))
    })
}

#[test]
fn an_event_has_one_time_in_every_output_and_in_the_replay() {
    let mut server = Kaibo::start(CONFIG);
    let encoder = push_with_text(&server, "room");
    let live = server.wait_for_state("room", "live", seconds(10));
    let player = rtmp_player(&server);
    let viewer = flv::Viewer::open(&server, "room");
    let websocket = flv::Viewer::open_websocket(&server, "room");
    let mut status = status_stream(&server, "room");
    assert_eq!(status.next().unwrap().1["state"], "live");
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");

    let now =
        tell(&server, &live, json!({ "type": "product", "payload": { "name": "茶 100%", "price": 9.9 } }))
            .ok();
    let at_ms = now["media_ms"].as_i64().unwrap() + 1510;
    let later = tell(&server, &live, json!({ "type": "coupon", "payload": [1], "at_ms": at_ms })).ok();
    assert_eq!((&later["media_ms"], &later["at"]), (&at_ms.into(), &Value::Null));
    let clock = at(&now, 2000);
    let by_clock = tell(&server, &live, json!({ "type": "notice", "payload": "hi", "at": clock })).ok();
    assert_eq!((&by_clock["media_ms"], &by_clock["at"]), (&Value::Null, &clock.into()));

    let all = wait_for("all events", seconds(10), || {
        let all = listed(&server, &live);
        (all.len() == 4).then_some(all)
    });
    let times = told(&all);
    let of = |event: &Value| times[event["id"].as_str().unwrap()];
    assert_eq!((of(&now), of(&later), of(&by_clock)), (at_ms - 1510, at_ms, at_ms - 1510 + 2000));
    let text = all.iter().find(|event| event["type"] == "onTextData").unwrap();
    assert_eq!(text["payload"]["text"], "hello");
    // Its clock begins with its sound, up to a frame before the picture that the timeline begins with.
    assert!((text["media_ms"].as_i64().unwrap() - 1500).abs() <= 50, "{text}");
    let heard: Vec<_> = status.filter(|(kind, _)| kind == "timed").map(|(_, event)| event).take(4).collect();
    assert_eq!(heard, all);

    let newest = u32::try_from(of(&by_clock)).unwrap();
    fmp4.wait_for("the segment of the last", seconds(10), |seen| {
        emsg_times(seen.segments.values().map(|(_, b)| b)).len() == 4
    });
    viewer.wait_for_time(newest + 200);
    let own: Times =
        times.iter().filter(|(id, _)| text["id"] != **id).map(|(id, time)| (id.clone(), *time)).collect();
    for (name, tags) in
        [("HTTP", viewer.tags()), ("WebSocket", websocket.tags()), ("RTMP", player.lock().unwrap().clone())]
    {
        let (seen, _) = flv_times(&tags);
        assert_eq!(seen, own, "{name}");
    }
    let sent = viewer.tags().into_iter().find(|tag| tag.body.starts_with(b"\x02\0\x0AonTextData"));
    if let Some(sent) = sent {
        assert_eq!(i64::from(sent.time_ms), told(std::slice::from_ref(text))[text["id"].as_str().unwrap()]);
    }

    // The lists have them at the dates that the segments around them have, checked with every reload.
    let seen = fmp4.seen();
    let playlist = seen.playlist.as_ref().unwrap();
    let first = &playlist.segments[0];
    let (began, start) = (first.date as i64, tfdt(&seen.segments[&first.number].1));
    for event in &all {
        let id = event["id"].as_str().unwrap();
        let listed = &playlist.events[id];
        assert_eq!(listed.attributes["X-TYPE"], event["type"].as_str().unwrap());
        assert!(
            (listed.date as i64 - began - (times[id] - start)).abs() <= HALF_A_FRAME_MS,
            "{listed:?} {times:?}"
        );
    }
    assert_eq!(emsg_times(seen.segments.values().map(|(_, bytes)| bytes)), times);
    let ts = ts.wait_for("TS of the last", seconds(10), |ts| {
        seen.segments.keys().all(|number| ts.segments.contains_key(number))
    });
    let mut sorted: Vec<_> = times.values().copied().collect();
    sorted.sort_unstable();
    assert_eq!(id3_times(&server, &ts.joined()), sorted);

    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    let list = final_list(&ended);
    assert!(list.contains("X-PAYLOAD=\"{%22name%22:%22茶 100%25%22,%22price%22:9.9}\""), "{list}");
    let replay = Checker::default().observe(&list).unwrap();
    let url = ended["replay"]["hls"].as_str().unwrap();
    let stored: Vec<_> =
        replay.segments.iter().map(|segment| http::get(&hls::beside(url, &segment.uri), &[]).body).collect();
    assert_eq!(emsg_times(&stored), times);
    for (id, event) in &replay.events {
        let around =
            replay.segments.iter().zip(&stored).rfind(|(segment, _)| segment.date <= event.date).unwrap();
        let media = tfdt(around.1) + (event.date - around.0.date) as i64;
        assert!((media - times[id]).abs() <= HALF_A_FRAME_MS, "{id}: {media} and {}", times[id]);
    }
    assert_eq!(replay.events.len(), 4);

    // What is on the disk says the same.
    server.kill9();
    server.restart();
    assert_eq!(told(&listed(&server, &live)), times);
    let path = format!("/replay/{}.m3u8", live["id"].as_str().unwrap());
    assert_eq!(server.get(&path).text(), list);
}

#[test]
fn what_is_told_while_the_picture_is_held_stands_where_the_replay_goes_on() {
    let mut server = Kaibo::start(CONFIG);
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    fmp4.wait_for_segment(2);
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    let held = tell(&server, &live, json!({ "type": "notice", "payload": "a moment, please" })).ok();
    let at = held["media_ms"].as_i64().unwrap();
    viewer.wait_for_time(u32::try_from(at).unwrap() + 300);
    assert_eq!(flv_times(&viewer.tags()).0, told(std::slice::from_ref(&held)));
    fmp4.wait_for("the event in the list", seconds(10), |seen| {
        seen.playlist.as_ref().is_some_and(|playlist| playlist.events.len() == 1)
    });
    // A server that is killed meanwhile goes on with what it has told.
    server.kill9();
    server.restart();
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(5));
    let newest = *fmp4.seen().segments.last_key_value().unwrap().0;
    fmp4.wait_for_segment(newest + 2);
    assert_eq!(told(&listed(&server, &live)), told(std::slice::from_ref(&held)));
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    let replay = Checker::default().observe(&final_list(&ended)).unwrap();
    let joint = replay.segments.iter().find(|segment| segment.tagged).unwrap();
    let dates: Vec<_> = replay.events.values().map(|event| event.date).collect();
    assert_eq!(dates, [joint.date]);
}

#[test]
fn what_is_no_event_is_refused_and_a_call_again_tells_nothing_again() {
    let server = Kaibo::start("");
    let made = crate::backend::create(&server, json!({ "stream": "room", "auto_start": true }));
    let event = json!({ "type": "notice", "payload": null });
    assert_eq!(tell(&server, &made, event.clone()).refusal(), (409, "not_started"));
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(500);
    for refused in [
        json!({}),
        json!({ "type": "" }),
        json!({ "type": "a b" }),
        json!({ "type": "x", "payload": "x".repeat(8191) }),
        json!({ "type": "x", "at_ms": -1 }),
        json!({ "type": "x", "at_ms": 1, "at": "2026-01-01T00:00:00Z" }),
        json!({ "type": "x", "more": 1 }),
    ] {
        assert_eq!(tell(&server, &live, refused.clone()).refusal(), (422, "invalid"), "{refused}");
    }
    let past = json!({ "type": "x", "at": "2026-01-01T00:00:00Z" });
    assert_eq!(tell(&server, &live, past).refusal(), (409, "too_late"));
    let far = json!({ "type": "x", "at_ms": i64::MAX });
    assert_eq!(tell(&server, &live, far).refusal(), (409, "too_far_ahead"));
    let nobody = call(&server, "POST", "/api/v1/broadcasts/b-none/events", event.clone());
    assert_eq!(nobody.refusal(), (404, "no_such_broadcast"));

    let path = format!("/api/v1/broadcasts/{}/events", live["id"].as_str().unwrap());
    let backend = listen(&server, None);
    let token = format!("Bearer {API_TOKEN}");
    let headers = [("authorization", token.as_str()), ("idempotency-key", "card-7")];
    let largest = json!({ "type": "x", "payload": "x".repeat(8190) });
    let once = call_with(&server, "POST", &path, largest.clone(), &headers).ok();
    assert_eq!(call_with(&server, "POST", &path, largest, &headers).ok(), once);
    assert_eq!(listed(&server, &live), std::slice::from_ref(&once));
    let heard = backend.iter().find(|(_, kind, _)| kind == "timed").unwrap().2;
    assert_eq!(heard, json!({ "broadcast": live["id"], "event": once }));
    let answers: Vec<_> = (0..30).map(|_| tell(&server, &live, event.clone())).collect();
    let fast = answers.iter().find(|answer| answer.status != 201).expect("30 within a second or two");
    assert_eq!(fast.refusal(), (429, "too_fast"));
    command(&server, &live, "stop", Value::Null).ok();
    assert_eq!(tell(&server, &live, event).refusal(), (409, "over"));
}

/// The clock `millis` after an event, as the API writes it.
fn at(event: &Value, millis: i64) -> String {
    let text = event["at"].as_str().unwrap();
    let time = humantime_millis(text) + millis;
    let seconds = std::time::Duration::from_millis(time.try_into().unwrap());
    humantime::format_rfc3339_millis(std::time::SystemTime::UNIX_EPOCH + seconds).to_string()
}

fn humantime_millis(text: &str) -> i64 {
    let time = humantime::parse_rfc3339(text).unwrap().duration_since(std::time::SystemTime::UNIX_EPOCH);
    time.unwrap().as_millis().try_into().unwrap()
}

/// The first decoding time of the pictures in a segment: its first `tfdt`.
fn tfdt(segment: &[u8]) -> i64 {
    let at = segment.windows(4).position(|kind| kind == b"tfdt").unwrap();
    i64::from_be_bytes(segment[at + 8..at + 16].try_into().unwrap()) / 90
}

/// The data messages that an RTMP player of `live/room` gets.
fn rtmp_player(server: &Kaibo) -> Arc<Mutex<Vec<Tag>>> {
    let mut socket = rtmp::shake_hands(server);
    let mut out = BytesMut::new();
    let app = Amf::object([
        ("app", "live".into()),
        ("tcUrl", format!("rtmp://{}/live", server.at.rtmp).as_str().into()),
    ]);
    for (stream, values) in [
        (0, vec!["connect".into(), 1.0.into(), app]),
        (0, vec!["createStream".into(), 2.0.into(), Amf::Null]),
        (STREAM, vec!["play".into(), 3.0.into(), Amf::Null, "room".into()]),
    ] {
        let mut body = BytesMut::new();
        values.iter().for_each(|value| amf0::write(&mut body, value));
        assert!(chunk::write(&mut out, 128, 3, kind::COMMAND, stream, 0, &[&body]));
    }
    socket.write_all(&out).unwrap();
    let heard = Arc::<Mutex<Vec<Tag>>>::default();
    let player = heard.clone();
    thread::spawn(move || {
        let bounds = Limits {
            chunk_streams: 64,
            partial_messages: 8,
            message_bytes: 16 << 20,
            partial_bytes: 32 << 20,
        };
        let (mut reader, mut input, mut piece) = (Reader::new(bounds, 0), BytesMut::new(), [0; 4096]);
        // An error is a test that is over.
        while let Ok(length @ 1..) = socket.read(&mut piece) {
            input.extend_from_slice(&piece[..length]);
            while let Some(Message { kind, time_ms, body, .. }) = reader.read(&mut input).unwrap() {
                if kind == kind::DATA {
                    player.lock().unwrap().push(Tag { kind: TagKind::Script, time_ms, body });
                }
            }
        }
    });
    heard
}

/// When ffprobe finds ID3 in MPEG-TS, whose clock begins at 10 s.
fn id3_times(server: &Kaibo, ts: &[u8]) -> Vec<i64> {
    let file = server.scratch("joined.ts");
    fs::write(&file, ts).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-select_streams", "d", "-show_streams", "-show_packets"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["streams"][0]["codec_name"], "timed_id3");
    let time = |packet: &Value| packet["pts"].as_i64().unwrap() / 90 - 10_000;
    json["packets"].as_array().unwrap().iter().map(time).collect()
}
