//! Clips and edited versions, cut out while a broadcast lasts and afterwards.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    backend::{Answer, at, call, command},
    events::listen,
    support::{Kaibo, clip, flv, hls, hls_checker::Checker, http, probe, push, seconds, wait_for},
};

/// A frame of the clips that are pushed, in seconds.
const FRAME: f64 = 1.0 / 30.0;

fn cut(server: &Kaibo, broadcast: &Value, wanted: Value) -> Value {
    let made = command(server, broadcast, "clips", wanted);
    assert_eq!(made.status, 201, "{}", made.body);
    made.body
}

fn path(clip: &Value) -> String {
    let kind = if clip["id"].as_str().unwrap().starts_with("v-") { "versions" } else { "clips" };
    format!("/api/v1/{kind}/{}", clip["id"].as_str().unwrap())
}

/// Where the media of `clip` is, which is ready.
fn hls(clip: &Value) -> String {
    assert_eq!(clip["state"], "ready", "{clip}");
    clip["urls"]["hls"].as_str().unwrap().to_owned()
}

fn ms(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The stretches of a broadcast, as the API has them.
fn timeline(server: &Kaibo, broadcast: &Value) -> Vec<Value> {
    let timeline = call(server, "GET", &format!("{}/timeline", at(broadcast)), Value::Null).ok();
    timeline["stretches"].as_array().unwrap().clone()
}

/// What is hidden of the first segment, and how long all of them last, in seconds.
fn hidden_and_listed(url: &str) -> (f64, f64) {
    let list = http::get(url, &[]);
    assert_eq!(list.status, 200, "{}", list.text());
    let playlist = Checker::default().observe(&list.text()).unwrap();
    assert!(playlist.ended && playlist.independent);
    let text = list.text();
    let hidden = text.lines().find_map(|line| line.strip_prefix("#EXT-X-START:TIME-OFFSET="));
    let hidden = hidden.map_or(0.0, |rest| rest.strip_suffix(",PRECISE=YES").unwrap().parse().unwrap());
    let listed: u64 = playlist.segments.iter().map(|segment| segment.duration).sum();
    (hidden, listed as f64 / 1e6)
}

/// It decodes from its first frame on without a complaint, and shows `duration_ms`, to the frame.
fn assert_plays(url: &str, duration_ms: i64) {
    let (hidden, listed) = hidden_and_listed(url);
    let wanted = duration_ms as f64 / 1000.0;
    assert!(
        (listed - hidden - wanted).abs() < 0.002,
        "{listed} s listed, {hidden} s hidden, {wanted} s wanted"
    );
    let pictures = probe::packets(url, "v");
    assert!(pictures[0].keyframe);
    let shown = pictures.len() as f64 * FRAME;
    assert!((shown - listed).abs() <= FRAME + 0.001, "{shown} s of pictures, {listed} s listed");
    let sound = probe::packets(url, "a").len() as f64 * 1024.0 / 44_100.0;
    assert!((sound - listed).abs() <= 0.1, "{sound} s of sound, {listed} s listed");
    assert_eq!(probe::decoding_complaints(url), "");
}

/// As one file it shows `duration_ms`, to the frame; of as many `stretches`.
fn assert_file_plays(clip: &Value, duration_ms: i64, stretches: usize) {
    let url = clip["urls"]["mp4"].as_str().unwrap();
    let (shown, wanted) = (shown_pictures(url) as f64 * FRAME, duration_ms as f64 / 1000.0);
    let most = FRAME * stretches as f64 + 0.001;
    assert!((shown - wanted).abs() <= most, "{shown} s of pictures, {wanted} s wanted");
    let said = duration(url);
    assert!((said - wanted).abs() <= most, "{said} s said, {wanted} s wanted");
    assert_eq!(probe::decoding_complaints(url), "");
}

/// How long ffprobe says a file is, in seconds.
fn duration(source: &str) -> f64 {
    let asked = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", source];
    let said = Command::new("ffprobe").args(asked).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
}

/// How many pictures ffmpeg shows of a file: without those that an edit list hides.
fn shown_pictures(source: &str) -> usize {
    let every = ["-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framemd5", "-"];
    let input = ["-v", "error", "-nostdin", "-i", source];
    let shown = Command::new("ffmpeg").args(input).args(every).output().unwrap();
    String::from_utf8(shown.stdout).unwrap().lines().filter(|line| !line.starts_with('#')).count()
}

/// A broadcast whose publisher was away for a while, over: two stretches and a held one.
fn interrupted(server: &Kaibo) -> (Value, Vec<Value>) {
    let url = server.push_url("room");
    let (encoder, _) = hls::on_air(server, &url);
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    push::ffmpeg(&clip::short(), &url).wait();
    let ended = server.wait_for_state("room", "ended", seconds(3));
    let timeline = wait_for("the final recording", seconds(3), || {
        let list = server.get(&format!("/replay/{}.m3u8", ended["id"].as_str().unwrap())).text();
        list.contains("#EXT-X-ENDLIST").then(|| timeline(server, &ended))
    });
    (ended, timeline)
}

#[test]
fn a_clip_across_an_interruption_is_exact_and_outlives_its_replay() {
    let server = Kaibo::start("");
    let (broadcast, timeline) = interrupted(&server);
    let [first, held, second] = &timeline[..] else { panic!("{timeline:?}") };
    assert_eq!([&first["held"], &held["held"], &second["held"]], [false, true, false]);
    assert!((ms(&held["media_ms"]) - ms(&first["duration_ms"])).abs() <= 1, "{timeline:?}");
    assert_eq!((&held["replay_ms"], &second["replay_ms"]), (&first["duration_ms"], &first["duration_ms"]));

    // From the middle of a group of pictures to the middle of another one.
    let (from, to) = (1500, ms(&second["media_ms"]) + 1500);
    let made = cut(&server, &broadcast, json!({ "from_ms": from, "to_ms": to, "title": "Both sides" }));
    assert_eq!((ms(&made["from_ms"]), ms(&made["to_ms"])), (from, to));
    assert_eq!(made["title"], "Both sides");
    let expected = ms(&first["duration_ms"]) - from + 1500;
    assert!((ms(&made["duration_ms"]) - expected).abs() <= 1, "{made}: not {expected}");
    let url = hls(&made);
    assert_plays(&url, expected);
    assert_file_plays(&made, expected, 2);
    assert_eq!(hidden_and_listed(&url).0, 0.5, "from the keyframe at 1 s on");

    let events = listen(&server, Some(0));
    let told = wait_for("the event", seconds(5), || {
        let (_, kind, told) = events.recv_timeout(seconds(5)).unwrap();
        (kind == "clip.ready").then_some(told)
    });
    assert_eq!(told["data"]["clip"], made);
    assert_eq!(told["data"]["broadcast"]["id"], broadcast["id"]);

    // The same by the wall clock; in the gap, what is beside it counts.
    let by_wall = json!({ "from": made["from"], "to": made["to"] });
    let by_wall = cut(&server, &broadcast, by_wall);
    assert_eq!((ms(&by_wall["from_ms"]), ms(&by_wall["to_ms"])), (from, to));

    let snapped = cut(&server, &broadcast, json!({ "from_ms": from, "to_ms": to, "precise": false }));
    assert_eq!((ms(&snapped["from_ms"]), ms(&snapped["to_ms"])), (1000, to));
    assert_plays(&hls(&snapped), expected + 500);

    let ids = |list: Answer| -> Vec<String> {
        let list = list.ok()["items"].as_array().unwrap().clone();
        list.iter().map(|clip| clip["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = [&snapped, &by_wall, &made].map(|clip| clip["id"].as_str().unwrap().to_owned());
    let of_broadcast = format!("{}/clips", at(&broadcast));
    assert_eq!(ids(call(&server, "GET", &of_broadcast, Value::Null)), all);
    assert_eq!(ids(call(&server, "GET", "/api/v1/clips?stream=room&limit=2", Value::Null)), all[..2]);
    call(&server, "DELETE", &path(&by_wall), Value::Null).ok();
    assert_eq!(http::get(&hls(&by_wall), &[]).status, 404);

    call(&server, "DELETE", &at(&broadcast), Value::Null).ok();
    assert_eq!(server.get(&format!("/replay/{}.m3u8", broadcast["id"].as_str().unwrap())).status, 404);
    assert_plays(&url, expected);
    assert_eq!(ids(call(&server, "GET", &of_broadcast, Value::Null)).len(), 2);
    let renamed = call(&server, "PATCH", &path(&made), json!({ "title": "Kept", "public": false })).ok();
    assert_eq!((&renamed["title"], &renamed["public"]), (&json!("Kept"), &json!(false)));
    assert_eq!(http::get(&url, &[]).status, 403);
}

#[test]
fn a_clip_plays_while_its_broadcast_goes_on() {
    let server = Kaibo::start("");
    let (encoder, _) = hls::on_air(&server, &server.push_url("room"));
    let live = server.broadcast("room");
    let recorded = timeline(&server, &live);
    let [recorded] = &recorded[..] else { panic!("{recorded:?}") };
    let end = ms(&recorded["duration_ms"]);

    // Its end is in the segment that is being recorded.
    flv::Viewer::open(&server, "room").wait_for_time(u32::try_from(end).unwrap() + 100);
    let made = cut(&server, &live, json!({ "from_ms": 500, "to_ms": end + 100 }));
    assert_plays(&hls(&made), end - 400);
    assert_file_plays(&made, end - 400, 1);
    assert_eq!(server.broadcast("room")["state"], "live");

    let refused = |wanted: Value| {
        let answer = command(&server, &live, "clips", wanted);
        let (status, code) = answer.refusal();
        (status, code.to_owned())
    };
    assert_eq!(refused(json!({ "from_ms": 0, "to_ms": 3_600_000 })), (409, "not_yet".into()));
    assert_eq!(refused(json!({ "from_ms": 0, "to": "2099-01-01T00:00:00Z" })), (409, "not_yet".into()));
    for senseless in [
        json!({}),
        json!({ "from_ms": 0 }),
        json!({ "from_ms": 0, "from": "2026-01-01T00:00:00Z", "to_ms": 1000 }),
        json!({ "from_ms": 1000, "to_ms": 1000 }),
        json!({ "from_ms": -1, "to_ms": 1000 }),
        json!({ "from_ms": 0, "to_ms": 1000, "title": "x".repeat(257) }),
    ] {
        assert_eq!(refused(senseless.clone()), (422, "invalid".into()), "{senseless}");
    }
    let version = command(&server, &live, "versions", json!({ "remove": [{ "from_ms": 0, "to_ms": 1000 }] }));
    assert_eq!(version.refusal(), (409, "not_final"));
    let nobody = call(&server, "POST", "/api/v1/broadcasts/none/clips", json!({ "from_ms": 0, "to_ms": 1 }));
    assert_eq!(nobody.refusal(), (404, "no_such_broadcast"));

    // Its replay is nobody's business any more, and so are its clips.
    call(&server, "PATCH", &at(&live), json!({ "replay_public": false })).ok();
    assert_eq!(http::get(&hls(&made), &[]).status, 403);
    let token = command(&server, &live, "preview", Value::Null).ok()["token"].clone();
    let opened = format!("{}?preview={}", hls(&made), token.as_str().unwrap());
    assert_eq!(probe::decoding_complaints(&opened), "");
    encoder.quit();
}

#[test]
fn what_is_marked_live_outlives_a_kill_and_ends_with_its_broadcast() {
    let mut server = Kaibo::start("hls.segment = \"1s\"");
    let (encoder, _) = hls::on_air(&server, &server.push_url("room"));
    let live = server.broadcast("room");
    let start = |server: &Kaibo, title: &str| {
        let marked = command(server, &live, "clips/start", json!({ "title": title }));
        assert_eq!(marked.status, 201, "{}", marked.body);
        assert_eq!((&marked.body["state"], &marked.body["to_ms"]), (&json!("recording"), &Value::Null));
        marked.body
    };
    let (stopped, left) = (start(&server, "A cup"), start(&server, "A spoon"));
    let from = ms(&stopped["from_ms"]);
    // So that there is something between the mark and the kill.
    flv::Viewer::open(&server, "room").wait_for_time(u32::try_from(from).unwrap() + 1500);
    server.kill9();
    drop(encoder);
    server.restart();
    server.wait_for_state("room", "interrupted", seconds(5));
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = hls::Viewer::open(&server, "/live/room.m3u8");
    let newest = *viewer.wait_for_segment(1).segments.last_key_value().unwrap().0;
    viewer.wait_for_segment(newest + 2);

    let made = call(&server, "POST", &format!("{}/stop", path(&stopped)), Value::Null).ok();
    assert_eq!(ms(&made["from_ms"]), from);
    let returned = ms(&timeline(&server, &live).last().unwrap()["media_ms"]);
    assert!(from < returned && returned < ms(&made["to_ms"]), "{made} has both sides of {returned}");
    assert_plays(&hls(&made), ms(&made["duration_ms"]));
    let again = call(&server, "POST", &format!("{}/stop", path(&stopped)), Value::Null).ok();
    assert_eq!(again, made, "it has ended");

    encoder.quit();
    server.wait_for_state("room", "ended", seconds(5));
    let ended = wait_for("the clip that nobody stopped", seconds(5), || {
        let clip = call(&server, "GET", &path(&left), Value::Null).ok();
        (clip["state"] == "ready").then_some(clip)
    });
    assert!(ms(&ended["duration_ms"]) > ms(&made["duration_ms"]), "{ended}");
    assert_plays(&hls(&ended), ms(&ended["duration_ms"]));
    assert_eq!(command(&server, &live, "clips/start", Value::Null).refusal(), (409, "over"));
    call(&server, "DELETE", &format!("{}?clips=true", at(&live)), Value::Null).ok();
    assert_eq!(http::get(&hls(&made), &[]).status, 404);
    assert_eq!(call(&server, "GET", &path(&made), Value::Null).refusal(), (404, "no_such_clip"));
    let media = std::fs::read_dir(server.data().join("media")).unwrap();
    assert_eq!(media.count(), 0, "files are left");
}

#[test]
fn a_version_leaves_out_what_is_removed() {
    let server = Kaibo::start("");
    let (broadcast, timeline) = interrupted(&server);
    let whole: i64 =
        timeline.iter().filter(|part| part["held"] == false).map(|part| ms(&part["duration_ms"])).sum();
    let second = ms(&timeline[2]["media_ms"]);
    // The second one begins in what was held.
    let removed = json!([
        { "from_ms": second - 100, "to_ms": second + 1000 },
        { "from_ms": 1250, "to_ms": 2500 },
    ]);
    let version = command(&server, &broadcast, "versions", json!({ "remove": removed, "title": "Short" }));
    assert_eq!(version.status, 201, "{}", version.body);
    let version = version.body;
    assert_eq!((version["stretches"].as_array().unwrap().len(), &version["title"]), (3, &json!("Short")));
    let expected = whole - 1250 - 1000;
    assert!((ms(&version["duration_ms"]) - expected).abs() <= 1, "{version}: not {expected}");
    let url = hls(&version);
    assert!(url.contains("/replay/v-"));
    // At the inner joint HLS begins with the keyframe at 2 s.
    assert_plays(&url, expected + 500);
    assert_file_plays(&version, expected, 3);
    let pictures = probe::packets(&url, "v");
    let between =
        |from: f64, to: f64| pictures.iter().filter(|packet| packet.dts >= from && packet.dts < to).count();
    let zero = pictures[0].dts;
    assert_eq!(between(zero + 1.26, zero + 1.99), 0, "what was removed is there");

    let original = server.get(&format!("/replay/{}.m3u8", broadcast["id"].as_str().unwrap()));
    assert_eq!(original.status, 200);
    let listed = call(&server, "GET", &format!("{}/versions", at(&broadcast)), Value::Null).ok();
    assert_eq!(listed["items"].as_array().unwrap(), std::slice::from_ref(&version));
    let clips = call(&server, "GET", &format!("{}/clips", at(&broadcast)), Value::Null).ok();
    assert!(clips["items"].as_array().unwrap().is_empty());
    let everything = json!({ "remove": [{ "from_ms": 0, "to_ms": second + 100_000 }] });
    let nothing = command(&server, &broadcast, "versions", everything);
    assert_eq!(nothing.refusal(), (409, "nothing_recorded"));
    call(&server, "DELETE", &path(&version), Value::Null).ok();
    assert_eq!(http::get(&url, &[]).status, 404);
}

#[test]
fn a_clip_of_pictures_that_are_sent_out_of_order_decodes() {
    let server = Kaibo::start("");
    push::ffmpeg(&clip::b_frames(), &server.push_url("room")).wait();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    let made = wait_for("the clip", seconds(3), || {
        let made = command(&server, &ended, "clips", json!({ "from_ms": 1250, "to_ms": 4350 }));
        (made.status == 201).then_some(made.body)
    });
    assert_eq!(ms(&made["duration_ms"]), 3100);
    assert_plays(&hls(&made), 3100);
    assert_file_plays(&made, 3100, 1);
}
