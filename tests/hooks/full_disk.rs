//! A disk that fills up while a broadcast is live, with the store on it, too.
//!
//! The long form is `scripts/full-disk RUNS`.

use std::{env, ops::Range, time::Instant};

use md5::{Digest, Md5};
use serde_json::Value;

use crate::{
    receiver::{Hook, Receiver},
    support::{
        Disk, Kaibo, clip, flv, hls,
        hls_checker::{Checker, Playlist},
        http, probe, push, seconds, wait_for, wait_until,
    },
    webhook,
};

/// Pictures of the clips are this far apart.
const STEP_MS: Range<u32> = 30..37;

/// The events `kind` that were taken.
fn told(receiver: &Receiver, kind: &str) -> Vec<Value> {
    let told = receiver.taken();
    told.iter().map(Hook::json).filter(|told| told["type"] == kind).map(|told| told["data"].clone()).collect()
}

/// The pictures that an FLV viewer saw: when, and their bytes' sum as ffprobe shows it.
fn pictures(viewer: &flv::Viewer) -> Vec<(u32, String)> {
    let pictures = viewer.tags().into_iter().filter(|tag| tag.body.len() > 5 && tag.body[0] & 0xf == 7);
    let pictures = pictures.filter(|tag| tag.body[1] == 1);
    let sum =
        |picture: &[u8]| Md5::digest(picture).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    pictures.map(|tag| (tag.time_ms, format!("MD5:{}", sum(&tag.body[5..])))).collect()
}

/// A viewer saw the clip from its first picture on, each once, in order and on time.
fn saw_everything(viewer: &flv::Viewer) -> Vec<(u32, String)> {
    let seen = pictures(viewer);
    let sent = probe::packets(clip::long(), "v");
    assert!(seen.iter().map(|(_, sum)| sum).eq(sent.iter().take(seen.len()).map(|packet| &packet.md5)));
    for pair in seen.windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!(STEP_MS.contains(&step), "{step} ms between two pictures at {} ms", pair[0].0);
    }
    seen
}

fn metric(server: &Kaibo, name: &str) -> i64 {
    let metrics = server.metrics();
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// What `/readyz` says is wrong, for a server that goes on with all it can.
pub fn troubles(server: &Kaibo) -> Vec<String> {
    let reply = http::get(&format!("http://{}/readyz", server.at.api), &[]);
    assert_eq!(reply.status, 200, "live goes on: {}", reply.text());
    let ready: Value = serde_json::from_slice(&reply.body).unwrap();
    let reasons: Vec<String> = serde_json::from_value(ready["reasons"].clone()).unwrap();
    assert_eq!(ready["status"], if reasons.is_empty() { "ready" } else { "degraded" });
    reasons
}

/// The stretches that the API says are missing.
fn missing(broadcast: &Value) -> Vec<(i64, Option<i64>)> {
    let missing = broadcast["replay"]["missing"].as_array().unwrap();
    missing.iter().map(|gap| (gap["from_ms"].as_i64().unwrap(), gap["to_ms"].as_i64())).collect()
}

fn playlist(url: &str) -> Playlist {
    let reply = http::get(url, &[]);
    assert_eq!(reply.status, 200, "{}", reply.text());
    Checker::default().observe(&reply.text()).unwrap()
}

/// A replay plays from its beginning to its stated end, and holds of what was `seen` everything that is not `missing`.
fn plays(url: &str, seen: &[(u32, String)], missing: &[(i64, Option<i64>)], stated_ms: u64) {
    assert_eq!(probe::decoding_complaints(url), "");
    let packets = probe::packets(url, "v");
    let is_missing = |at: i64| missing.iter().any(|(from, to)| *from <= at && to.is_none_or(|to| at < to));
    let kept: Vec<&String> =
        seen.iter().filter(|(at, _)| !is_missing((*at).into())).map(|(_, sum)| sum).collect();
    let got: Vec<&String> = packets.iter().map(|packet| &packet.md5).collect();
    // The viewer may have left a little earlier or later than the recording.
    let both = kept.len().min(got.len());
    assert_eq!(got[..both], kept[..both], "the pictures before, between and after what is missing");
    assert!(kept.len().abs_diff(got.len()) <= 30, "{} pictures of {}", got.len(), kept.len());

    let list = playlist(url);
    let listed_ms = listed_ms(&list);
    let pictured_ms = packets.len() as u64 * 1000 / 30;
    assert!(listed_ms.abs_diff(stated_ms) < 10, "{stated_ms} ms are stated, {listed_ms} ms listed");
    assert!(
        pictured_ms.abs_diff(stated_ms) < 200,
        "{stated_ms} ms are stated, {pictured_ms} ms of pictures are there"
    );
}

fn listed_ms(list: &Playlist) -> u64 {
    list.segments.iter().map(|segment| segment.duration).sum::<u64>() / 1000
}

/// Runs of [`fills_up`]; the first one is the short form.
fn runs() -> u64 {
    env::var("KAIBO_DISK_RUNS").map_or(1, |runs| runs.parse().unwrap())
}

#[test]
fn a_disk_that_fills_up_costs_the_replay_that_stretch_and_viewers_nothing() {
    for run in 0..runs() {
        // All over a segment of 1 s and its parts.
        fills_up(2500 + (run * 370 % 2000) as u32, run);
    }
}

fn fills_up(after_ms: u32, run: u64) {
    let receiver = Receiver::start();
    let config = format!("{}[record]\nmin_free = \"0B\"\n[hls]\nsegment = \"1s\"", webhook(&receiver, ""));
    let server = Kaibo::start_on_disk(&config, 64);
    server.expect_errors();
    let disk = server.disk.as_ref().unwrap();
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    assert_eq!((&live["replay"]["truncated"], &missing(&live)), (&false.into(), &vec![]));
    let viewer = flv::Viewer::open(&server, "room");
    let players = hls::Viewer::open(&server, "/live/room.m3u8");
    viewer.wait_for_time(after_ms);

    disk.fill(0);
    let full = Instant::now();
    wait_until("the metric", seconds(5), || metric(&server, "kaibo_record_losing") == 1);
    assert!(metric(&server, "kaibo_record_errors_total") > 0);
    let truncated = wait_for("the webhook", seconds(5), || told(&receiver, "replay.truncated").pop());
    let known = full.elapsed();
    let now = server.broadcast("room");
    assert_eq!((&now["replay"]["truncated"], &now["replay"]["status"]), (&true.into(), &"recording".into()));
    let from_ms = truncated["from_ms"].as_i64().unwrap();
    assert_eq!(missing(&now), [(from_ms, None)], "{truncated}");
    assert_eq!(truncated["reason"], "No space left on device (os error 28)");
    // A growing replay plays what there is meanwhile.
    let url = now["replay"]["hls"].as_str().unwrap();
    assert!(!playlist(url).segments.is_empty());
    viewer.wait_for_time(after_ms + 4000);

    disk.free();
    let again = wait_until("it goes on", seconds(10), || metric(&server, "kaibo_record_losing") == 0);
    let newest = viewer.newest_picture().unwrap();
    viewer.wait_for_time(newest + 2500);

    // And the end of it on a disk that is full again.
    disk.fill(0);
    let filled = viewer.newest_picture().unwrap();
    viewer.wait_for_time(filled + 2500);
    encoder.quit();
    wait_until("the end", seconds(5), || viewer.end().is_some());
    let seen = saw_everything(&viewer);
    players.wait_for_end();
    let ended = wait_for("it is over", seconds(3), || {
        let status: Value = serde_json::from_slice(&server.get("/status/live/room").body).unwrap();
        (status["state"] == "ended")
            .then(|| server.api(&format!("/broadcasts/{}", live["id"].as_str().unwrap())))
    });
    let gaps = missing(&ended);
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert_eq!(gaps[0].0, from_ms);
    let list = wait_for("the replay", seconds(3), || Some(playlist(url)).filter(|list| list.ended));
    plays(url, &seen, &gaps, listed_ms(&list));
    assert!(list.segments.iter().filter(|segment| segment.tagged).count() == 1, "where time jumps");

    disk.free();
    let ready = wait_for("replay.ready", seconds(12), || told(&receiver, "replay.ready").pop());
    assert_eq!(ready["replay"]["truncated"], true);
    plays(url, &seen, &gaps, ready["replay"]["duration_ms"].as_u64().unwrap());
    let stored = wait_for("the end is stored", seconds(5), || {
        let stored = server.broadcast("room");
        (stored["state"] == "ended").then_some(stored)
    });
    assert_eq!(missing(&stored), gaps);
    let ended = told(&receiver, "broadcast.ended");
    assert_eq!(ended.len(), 1, "told once");
    eprintln!(
        "run {run}: full at {after_ms} ms, told after {} ms, went on {} ms after there was room, missing {gaps:?}",
        known.as_millis(),
        again.as_millis()
    );
}

#[test]
fn a_recording_pauses_while_the_disk_has_less_than_is_to_be_left() {
    let receiver = Receiver::start();
    let config = format!("{}[record]\nmin_free = \"16MiB\"\n[hls]\nsegment = \"1s\"", webhook(&receiver, ""));
    let mut server = Kaibo::start_on_disk(&config, 64);
    server.expect_errors();
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(2200);
    let disk = server.disk.as_ref().unwrap();
    disk.fill(12 << 20);
    let truncated = wait_for("the webhook", seconds(5), || told(&receiver, "replay.truncated").pop());
    let reason = truncated["reason"].as_str().unwrap();
    assert!(reason.ends_with("bytes are left on the disk, of which 16777216 are kept free"), "{reason}");
    assert!(disk.left() > 11 << 20, "{} bytes are left", disk.left());
    wait_until("it is told", seconds(5), || troubles(&server) == ["disk_full", "record_losing"]);
    // The setting may be what is wrong: it counts at once.
    server.reload(&config.replace("16MiB", "8MiB"));
    wait_until("it goes on", seconds(5), || metric(&server, "kaibo_record_losing") == 0);
    server.reload(&config);
    wait_until("it pauses", seconds(5), || metric(&server, "kaibo_record_losing") == 1);
    disk.free();
    wait_until("it goes on", seconds(5), || metric(&server, "kaibo_record_losing") == 0);
    wait_until("all is well", seconds(5), || troubles(&server).is_empty());
    let newest = viewer.newest_picture().unwrap();
    viewer.wait_for_time(newest + 1500);
    encoder.quit();
    let ready = wait_for("replay.ready", seconds(5), || told(&receiver, "replay.ready").pop());
    let ended = server.wait_for_state("room", "ended", seconds(3));
    let url = ended["replay"]["hls"].as_str().unwrap();
    let (gaps, seen) = (missing(&ended), saw_everything(&viewer));
    assert_eq!((gaps.len(), gaps[0].0), (2, truncated["from_ms"].as_i64().unwrap()), "{gaps:?}");
    plays(url, &seen, &gaps, ready["replay"]["duration_ms"].as_u64().unwrap());

    // What is missing is known by the next process, too.
    server.terminate();
    server.restart();
    assert_eq!(missing(&server.broadcast("room")), gaps);
    // Nobody need broadcast for it to be known.
    server.disk.as_ref().unwrap().fill(12 << 20);
    wait_until("it is told", seconds(5), || troubles(&server) == ["disk_full"]);
}

#[test]
fn a_disk_that_turns_read_only_is_told_of_and_costs_viewers_nothing() {
    let receiver = Receiver::start();
    let server = Kaibo::start(&format!("{}[hls]\nsegment = \"1s\"", webhook(&receiver, "")));
    server.expect_errors();
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(2200);
    let broken = Disk::read_only(&server.data().join("media").join(live["id"].as_str().unwrap()));
    let truncated = wait_for("the webhook", seconds(5), || told(&receiver, "replay.truncated").pop());
    assert_eq!(truncated["reason"], "Read-only file system (os error 30)");
    let newest = viewer.newest_picture().unwrap();
    viewer.wait_for_time(newest + 1500);
    drop(broken);
    wait_until("it goes on", seconds(5), || metric(&server, "kaibo_record_losing") == 0);
    let newest = viewer.newest_picture().unwrap();
    viewer.wait_for_time(newest + 1500);
    encoder.quit();
    let ready = wait_for("replay.ready", seconds(5), || told(&receiver, "replay.ready").pop());
    let ended = server.wait_for_state("room", "ended", seconds(3));
    let (gaps, seen) = (missing(&ended), saw_everything(&viewer));
    assert_eq!((gaps.len(), gaps[0].0), (1, truncated["from_ms"].as_i64().unwrap()), "{gaps:?}");
    let url = ended["replay"]["hls"].as_str().unwrap();
    plays(url, &seen, &gaps, ready["replay"]["duration_ms"].as_u64().unwrap());
}

#[test]
fn a_replay_that_waits_for_its_disk_is_not_said_to_be_over() {
    let mut server = Kaibo::start("hls.segment = \"1s\"");
    server.expect_errors();
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    flv::Viewer::open(&server, "room").wait_for_time(2200);
    server.kill9();
    drop(encoder);
    let id = live["id"].as_str().unwrap();
    // What lies there can be read, and nobody can go on with it.
    let frozen = Disk::freeze(&server.data().join("media").join(id));
    server.restart();
    server.wait_for_state("room", "interrupted", seconds(3));
    wait_until("it fails", seconds(3), || server.log().contains("recording can't begin"));
    let reply = server.get(&format!("/replay/{id}.m3u8"));
    let list = Checker::default().observe(&reply.text()).unwrap();
    assert_eq!((list.kind.as_deref(), list.ended), (Some("EVENT"), false), "{}", reply.text());
    assert_eq!(reply.header("cache-control"), "no-cache", "it is another one in a moment");
    drop(frozen);
    server.api_post(&format!("/broadcasts/{id}/stop"));
    let url = server.url(&format!("/replay/{id}.m3u8"));
    let ended = wait_for("the end of it", seconds(5), || Some(playlist(&url)).filter(|list| list.ended));
    assert!(ended.segments.len() >= list.segments.len());
}

#[test]
fn the_oldest_replays_make_room_where_they_may() {
    let receiver = Receiver::start();
    let config = |may: bool| {
        let record = format!("[record]\nmin_free = \"16MiB\"\ndelete_oldest = {may}\n");
        format!("{}{record}[hls]\nsegment = \"1s\"", webhook(&receiver, ""))
    };
    let mut server = Kaibo::start_on_disk(&config(false), 64);
    let ids = ["one", "two"].map(|stream| {
        let encoder = push::ffmpeg(&clip::long(), &server.push_url(stream));
        server.wait_for_state(stream, "live", seconds(10));
        flv::Viewer::open(&server, stream).wait_for_time(1500);
        encoder.quit();
        let ended = server.wait_for_state(stream, "ended", seconds(5));
        ended["id"].as_str().unwrap().to_owned()
    });
    // As if they were longer.
    for id in &ids {
        std::fs::write(server.data().join("media").join(id).join("more"), vec![1; 10 << 20]).unwrap();
    }
    // What is still shown is not deleted, so not until it is not.
    server.terminate();
    server.restart();
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("three"));
    server.wait_for_state("three", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "three");
    let status = |server: &Kaibo, id: &str| server.get(&format!("/replay/{id}.m3u8")).status;
    // A quarter more than the floor is where it begins.
    server.disk.as_ref().unwrap().fill(18 << 20);
    viewer.wait_for_time(2500);
    assert_eq!([200, 200], [status(&server, &ids[0]), status(&server, &ids[1])], "not unless it is said");
    server.reload(&config(true));
    wait_until("the oldest goes", seconds(5), || status(&server, &ids[0]) == 404);
    let deleted = wait_for("it is told", seconds(5), || told(&receiver, "replay.deleted").pop());
    assert_eq!(
        (&deleted["broadcast"]["id"], &deleted["reason"]),
        (&ids[0].as_str().into(), &"disk_space".into())
    );
    assert!(server.log().contains("deleted a replay"));
    let newest = viewer.newest_picture().unwrap();
    viewer.wait_for_time(newest + 2500);
    assert_eq!(status(&server, &ids[1]), 200, "there is room now");
    // What it was, and who watched it, stays known.
    let known = server.broadcast("one");
    assert_eq!((&known["id"], &known["replay"]), (&ids[0].as_str().into(), &Value::Null));

    // With nothing left that may go, what is live is not touched, and recording pauses.
    server.expect_errors();
    server.disk.as_ref().unwrap().fill(2 << 20);
    wait_until("the other one goes", seconds(5), || status(&server, &ids[1]) == 404);
    server.disk.as_ref().unwrap().fill(2 << 20);
    wait_until("it pauses", seconds(5), || metric(&server, "kaibo_record_losing") == 1);
    server.disk.as_ref().unwrap().free();
    wait_until("it goes on", seconds(5), || metric(&server, "kaibo_record_losing") == 0);
    encoder.quit();
    let ended = server.wait_for_state("three", "ended", seconds(5));
    assert_eq!(missing(&ended).len(), 1, "only while there was nothing that could go");
    saw_everything(&viewer);
}
