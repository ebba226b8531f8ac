//! A replay is final as soon as its broadcast is over, whatever ended it, and stays under its owner's control.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::support::{
    Kaibo, clip, flv, hls,
    hls_checker::{Checker, Playlist},
    http, probe, push, seconds, wait_for, wait_until,
};

/// From the end of a broadcast to its final replay.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The last line of the recording on the disk, once it is that of a final one.
fn finished(server: &Kaibo, id: &str) -> Option<Value> {
    let index = fs::read_to_string(server.data().join("media").join(id).join("index.jsonl")).ok()?;
    let last: Value = serde_json::from_str(index.lines().last()?).ok()?;
    Some(last[1]["finished"].clone()).filter(Value::is_object)
}

fn list(server: &Kaibo, id: &str) -> Option<Playlist> {
    let reply = server.get(&format!("/replay/{id}.m3u8"));
    (reply.status == 200).then(|| Checker::default().observe(&reply.text()).unwrap())
}

/// Waits until the broadcast is over and its replay is final; how long after its end that was, for those who read the
/// recording and, unless it is withheld, for those who watch.
fn final_after(server: &Kaibo, id: &str, reason: &str) -> Duration {
    wait_until("a final replay", seconds(20), || finished(server, id).is_some());
    if reason != "banned" {
        let list = wait_for("the final list", seconds(2), || list(server, id).filter(|list| list.ended));
        assert_eq!(list.kind.as_deref(), Some("VOD"));
    }
    let seen = SystemTime::now();
    let ended = wait_for("it says so", seconds(2), || {
        let broadcast = server.api(&format!("/broadcasts/{id}"));
        (broadcast["state"] == "ended").then_some(broadcast)
    });
    assert_eq!(ended["end_reason"], reason);
    assert_eq!(finished(server, id).unwrap()["reason"], reason);
    let ended = humantime::parse_rfc3339(ended["ended_at"].as_str().unwrap()).unwrap();
    seen.duration_since(ended).unwrap_or_default()
}

#[test]
fn a_replay_is_final_within_a_second_whatever_ends_the_broadcast() {
    let server =
        Kaibo::start("broadcast.resume_window = \"2s\"\n[apps.short.broadcast]\nmax_duration = \"4s\"");
    let push = |app: &str, stream: &str| {
        push::ffmpeg(&clip::long(), &server.push_url(stream).replace("/live/", &format!("/{app}/")))
    };
    let (stopped, unpublished, lost) =
        (push("live", "stopped"), push("live", "unpublished"), push("live", "lost"));
    let (banned, _too_long) = (push("live", "banned"), push("short", "too-long"));
    let id = |stream: &str| -> String {
        let live = server.wait_for_state(stream, "live", seconds(15));
        live["id"].as_str().unwrap().to_owned()
    };
    let [too_long, stop, unpublish, away, ban] =
        ["too-long", "stopped", "unpublished", "lost", "banned"].map(id);
    let viewer = flv::Viewer::open(&server, "banned");
    viewer.wait_for_time(1200);
    lost.kill9();
    server.api_call("PUT", "/streams/live/banned/ban", &json!({ "reason": "a test" }));
    drop(banned);
    server.api_post(&format!("/broadcasts/{stop}/stop"));
    let mut took = vec![("stopped", final_after(&server, &stop, "stopped"))];
    drop(stopped);
    unpublished.quit();
    took.push(("unpublished", final_after(&server, &unpublish, "unpublished")));
    took.push(("resume_timeout", final_after(&server, &away, "resume_timeout")));
    took.push(("banned", final_after(&server, &ban, "banned")));
    took.push(("max_duration", final_after(&server, &too_long, "max_duration")));
    eprintln!("final after {took:?}");
    // The one that was withheld stays so.
    assert_eq!(server.get(&format!("/replay/{ban}.m3u8")).status, 403);
    for (reason, took) in
        took.iter().filter(|(reason, _)| !["resume_timeout", "banned", "max_duration"].contains(reason))
    {
        assert!(*took <= AT_ONCE, "{reason}: {took:?}");
    }
    // The others may have been final for a while before they were looked at: here it is the recording that says when.
    for (id, reason) in [(&away, "resume_timeout"), (&ban, "banned"), (&too_long, "max_duration")] {
        let ended = server.api(&format!("/broadcasts/{id}"))["ended_at"].as_str().unwrap().to_owned();
        let ended = humantime::parse_rfc3339(&ended).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let wall = finished(&server, id).unwrap()["wall"].as_u64().unwrap();
        let took = u128::from(wall).saturating_sub(ended.as_millis());
        assert!(took <= AT_ONCE.as_millis(), "{reason}: {took} ms");
    }
}

#[test]
fn a_replay_goes_on_over_resumes_and_restarts_and_is_final_at_its_end() {
    let mut server = Kaibo::start("hls.segment = \"1s\"");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(15));
    let id = live["id"].as_str().unwrap().to_owned();
    flv::Viewer::open(&server, "room").wait_for_time(2500);
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(3));
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let newest = wait_for("it goes on", seconds(10), || {
        let newest = flv::Viewer::open(&server, "room");
        (server.broadcast("room")["state"] == "live").then_some(newest)
    });
    let begun = wait_for("pictures", seconds(5), || newest.newest_picture());
    newest.wait_for_time(begun + 2500);
    assert!(server.terminate().success());
    drop(encoder);
    // Between two servers everything that was shown lies there, whole, and waits for the next push.
    assert_eq!(finished(&server, &id), None);
    server.restart();
    let between = wait_for("the list", seconds(3), || list(&server, &id));
    assert!(!between.ended);
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    wait_until("it goes on", seconds(10), || server.broadcast("room")["resumes"] == 2);
    let viewer = flv::Viewer::open(&server, "room");
    let begun = wait_for("pictures", seconds(5), || viewer.newest_picture());
    viewer.wait_for_time(begun + 1500);
    encoder.quit();
    let took = final_after(&server, &id, "unpublished");
    assert!(took <= AT_ONCE, "{took:?}");
    let whole = list(&server, &id).unwrap();
    let joints = whole.segments.iter().filter(|segment| segment.tagged).count();
    assert_eq!(joints, 2, "where encoders came back");
    let numbers: Vec<u64> = whole.segments.iter().map(hls::number).collect();
    assert!(between.segments.iter().map(hls::number).all(|number| numbers.contains(&number)));
    assert_eq!(probe::decoding_complaints(server.url(&format!("/replay/{id}.m3u8"))), "");
}

#[test]
fn a_replay_that_is_made_private_or_deleted_is_gone_for_those_who_watch_it() {
    let key = "play-key-of-the-test-0a9d";
    let server = Kaibo::start(&format!("[auth.play]\nenabled = true\nkey = \"{key}\""));
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(10));
    let id = ended["id"].as_str().unwrap();
    let url = format!("/replay/{id}.m3u8?{}", server.signature_with(key, "room"));
    let reply = server.get(&url);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    let segment = text.lines().find(|line| line.contains(".m4s")).unwrap();
    let (_, session) = segment.split_once('?').unwrap();
    // What somebody has open who came in with a key, and lives on the session since.
    let list = format!("/replay/{id}.m3u8?{session}");
    let (segment, init) = (format!("/replay/{segment}"), format!("/replay/{id}/init-0.mp4?{session}"));
    let open = [&list, &segment, &init];
    let answers = || open.map(|path| server.get(path).status);
    assert_eq!(answers(), [200; 3]);
    let at = format!("/broadcasts/{id}");
    for public in [false, true, false, true] {
        let changed = server.api_call("PATCH", &at, &json!({ "replay_public": public }));
        assert_eq!(changed["replay"]["public"], public);
        assert_eq!(answers(), [if public { 200 } else { 403 }; 3], "public: {public}");
    }
    server.api_call("DELETE", &at, &Value::Null);
    assert_eq!(answers(), [404; 3]);
    assert!(!server.data().join("media").join(id).exists());
    let gone = http::get(
        &format!("http://{}/api/v1{at}", server.at.api),
        &[("Authorization", &format!("Bearer {}", crate::support::server::API_TOKEN))],
    );
    assert_eq!(gone.status, 404);
}
