//! Pictures of what is live: what they show, who gets them, and what becomes of them without an ffmpeg.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Kaibo, clip, hls,
    http::{self, Reply},
    probe::{self, video},
    push, seconds,
    server::API_TOKEN,
    wait_for,
};

pub const SNAPSHOT: &str = "/live/room.jpg";

/// The picture in a reply, as a file.
pub fn picture(server: &Kaibo, reply: &Reply) -> PathBuf {
    assert_eq!((reply.status, reply.header("content-type")), (200, "image/jpeg"), "{}", reply.text());
    let file = server.scratch("picture.jpg");
    fs::write(&file, &reply.body).unwrap();
    file
}

/// Red, green and blue of a picture on average, of the part `x,y,width,height` of it.
pub fn colour(file: &Path, part: Option<[u32; 4]>) -> [u8; 3] {
    let crop = part.map_or(String::new(), |[x, y, width, height]| format!("crop={width}:{height}:{x}:{y},"));
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-vf", &format!("{crop}scale=1:1:flags=area"), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.try_into().unwrap()
}

pub fn is_red([red, green, blue]: [u8; 3]) -> bool {
    red > 200 && green < 60 && blue < 60
}

pub fn is_blue([red, green, blue]: [u8; 3]) -> bool {
    red < 60 && green < 60 && blue > 200
}

/// What the API answers to a wish for a new snapshot.
fn take(server: &Kaibo) -> (u16, Value) {
    let url = format!("http://{}/api/v1/streams/live/room/snapshot", server.at.api);
    let reply = http::post(&url, &[("Authorization", &format!("Bearer {API_TOKEN}"))]);
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

pub fn problem(reply: &Reply) -> (u16, Value) {
    let document: Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, document["code"].clone())
}

/// A program in a folder of its own, which does `what` in the place of ffmpeg.
fn stand_in(folder: &TempDir, what: &str) -> PathBuf {
    let path = folder.path().join("ffmpeg");
    fs::write(&path, format!("#!/bin/sh\n{what}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn with_ffmpeg(path: &Path, more: &str) -> String {
    format!("[snapshot]\nffmpeg = \"{}\"\n{more}\n", path.display())
}

#[test]
fn a_snapshot_shows_what_is_shown() {
    let server = Kaibo::start("");
    assert_eq!(problem(&server.get(SNAPSHOT)), (404, "not_started".into()));
    let _encoder = push::ffmpeg(&clip::red_then_blue(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    assert_eq!(server.api("/streams/live/room")["snapshot_status"], "none");
    let reply = server.get(SNAPSHOT);
    let file = picture(&server, &reply);
    assert_eq!(probe::tracks(&file), [video("mjpeg", 320, 180)]);
    let stream = server.api("/streams/live/room");
    assert_eq!(stream["snapshot_status"], "ready");
    assert_eq!(stream["snapshot"]["file_size"], reply.body.len());
    // However long this machine took for all that.
    let at = stream["snapshot"]["media_ms"].as_i64().unwrap();
    let shown = colour(&file, None);
    assert!(if at < 3000 { is_red(shown) } else { is_blue(shown) }, "at {at}: {shown:?}");

    assert_eq!(reply.header("cache-control"), "public, max-age=5");
    let (etag, modified) = (reply.header("etag"), reply.header("last-modified"));
    assert!(etag.len() > 2 && modified.ends_with(" GMT"), "{etag} {modified}");
    for (condition, value) in [("If-None-Match", etag), ("If-Modified-Since", modified)] {
        let again = http::get(&server.url(SNAPSHOT), &[(condition, value)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{condition}");
    }
    let head = ureq::head(server.url(SNAPSHOT)).call().unwrap();
    assert_eq!(head.headers()["content-length"], reply.body.len().to_string().as_str());
    let long_ago = [("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT")];
    assert_eq!(http::get(&server.url(SNAPSHOT), &long_ago).status, 200);
    let known = wait_for("the broadcast's own", seconds(3), || {
        let known = server.broadcast("room")["snapshot"].clone();
        known.is_object().then_some(known)
    });
    assert_eq!(known["url"], server.url(SNAPSHOT));

    let taken = wait_for("a picture of the second colour", seconds(8), || {
        let (status, taken) = take(&server);
        assert_eq!(status, 200, "{taken}");
        (taken["media_ms"].as_i64().unwrap() >= 3000).then_some(taken)
    });
    assert_eq!((&taken["width"], &taken["height"]), (&320.into(), &180.into()));
    let file = picture(&server, &server.get(SNAPSHOT));
    assert!(is_blue(colour(&file, None)), "{:?}", colour(&file, None));
    let made = server.metrics().lines().any(|line| {
        line.starts_with("kaibo_snapshots_total{purpose=\"snapshot\",result=\"made\"}")
            && !line.ends_with(" 0")
    });
    assert!(made, "{}", server.metrics());
}

#[test]
fn a_snapshot_is_as_wide_as_is_configured() {
    let server = Kaibo::start("snapshot.width = 160");
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let file = picture(&server, &server.get(SNAPSHOT));
    assert_eq!(probe::tracks(&file), [video("mjpeg", 160, 90)]);
}

#[test]
fn hevc_has_snapshots_too() {
    let server = Kaibo::start("");
    let _encoder = push::newest_ffmpeg(&clip::hevc(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let file = picture(&server, &server.get(SNAPSHOT));
    assert_eq!(probe::tracks(&file), [video("mjpeg", 320, 180)]);
}

#[test]
fn a_held_picture_is_no_news() {
    let server = Kaibo::start("");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    hls::Viewer::open(&server, "/live/room.m3u8").wait_for_segment(2);
    encoder.kill9();
    let away = wait_for("the held picture", seconds(5), || {
        let broadcast = server.broadcast("room");
        (broadcast["state"] == "interrupted" && broadcast["holding"] == true).then_some(broadcast)
    });
    let (status, last) = take(&server);
    assert_eq!(status, 200, "{last}");
    // Its time counts from the first frame of the push, which waited for the broadcast to be stored: those that follow are
    // some 30 ms ahead of the clock, more under load. Whether filler is taken for news is told below.
    let [away, taken] = [&away["interrupted_at"], &last["taken_at"]]
        .map(|time| humantime::parse_rfc3339(time.as_str().unwrap()).unwrap());
    assert!(taken < away + Duration::from_millis(200), "{taken:?}, {away:?}");
    // Two segments of filler, each of which begins with a keyframe.
    let newest = hls::Viewer::open(&server, "/live/room.m3u8");
    newest.wait_for_segment(5);
    assert_eq!(take(&server).1, last);
    assert_eq!(server.get(SNAPSHOT).status, 200);
}

#[test]
fn nobody_sees_a_picture_of_what_is_not_public() {
    let key = "play-key-of-the-test-71c0";
    let server = Kaibo::start(&format!("[auth.play]\nenabled = true\nkey = \"{key}\""));
    let authorization = format!("Bearer {API_TOKEN}");
    let calls = |method: &str, path: &str, body: &str| {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/api/v1{path}", server.at.api))
            .header("authorization", &authorization)
            .header("content-type", "application/json");
        let mut answer = ureq::run(request.body(body.to_owned()).unwrap()).unwrap();
        serde_json::from_str::<Value>(&answer.body_mut().read_to_string().unwrap()).unwrap()
    };
    let made = calls("POST", "/broadcasts", r#"{"stream":"room"}"#);
    let _encoder = push::ffmpeg(&clip::long(), made["push"]["url"].as_str().unwrap());
    server.wait_for_state("room", "preview", seconds(10));
    let signed = format!("{SNAPSHOT}?{}", server.signature_with(key, "room"));
    assert_eq!(problem(&server.get(&signed)), (404, "not_started".into()));
    assert_eq!(take(&server).1["code"], "no_picture");

    calls("POST", &format!("/broadcasts/{}/start", made["id"].as_str().unwrap()), "{}");
    server.wait_for_state("room", "live", seconds(5));
    assert_eq!(problem(&server.get(SNAPSHOT)), (403, "play_key".into()));
    let reply = wait_for("the first keyframe", seconds(5), || {
        let reply = server.get(&signed);
        (reply.status == 200).then_some(reply)
    });
    assert_eq!(reply.header("cache-control"), "private, max-age=5");

    calls("PUT", "/streams/live/room/ban", r#"{"reason":"test"}"#);
    assert_eq!(problem(&server.get(&signed)), (403, "banned".into()));
    assert!(server.broadcast("room")["snapshot"].is_null());
}

#[test]
fn without_ffmpeg_everything_else_works_and_one_that_comes_is_found() {
    let folder = TempDir::new().unwrap();
    let server = Kaibo::start(&with_ffmpeg(&folder.path().join("ffmpeg"), ""));
    assert_eq!(server.log().matches("until ffmpeg is installed").count(), 1, "{}", server.log());
    assert_eq!(http::get(&format!("http://{}/readyz", server.at.api), &[]).status, 200);
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    hls::Viewer::open(&server, "/live/room.m3u8").wait_for_segment(1);
    assert_eq!(problem(&server.get(SNAPSHOT)), (503, "no_ffmpeg".into()));
    let (status, told) = take(&server);
    assert_eq!((status, &told["code"]), (503, &"no_ffmpeg".into()));
    assert!(told["detail"].as_str().unwrap().contains("apt install ffmpeg"), "{told}");
    assert_eq!(server.api("/streams/live/room")["snapshot_status"], "no_ffmpeg");

    stand_in(&folder, "exec /usr/bin/ffmpeg \"$@\"");
    picture(&server, &server.get(SNAPSHOT));
    assert_eq!(server.log().matches("WARN").count(), 1, "nothing more is said: {}", server.log());
}

#[test]
fn an_ffmpeg_that_hangs_is_killed_and_live_goes_on() {
    let folder = TempDir::new().unwrap();
    let pid = folder.path().join("pid");
    let path = stand_in(&folder, &format!("echo $$ >> {}\nexec /bin/sleep 1000", pid.display()));
    let server = Kaibo::start(&with_ffmpeg(&path, "timeout = \"1s\""));
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = hls::Viewer::open(&server, "/live/room.m3u8");
    let url = server.url(SNAPSHOT);
    thread::scope(|scope| {
        let viewers: Vec<_> = (0..10).map(|_| scope.spawn(|| problem(&http::get(&url, &[])))).collect();
        for viewer in viewers {
            assert_eq!(viewer.join().unwrap(), (503, "snapshot_failed".into()));
        }
    });
    let pids = fs::read_to_string(&pid).unwrap();
    assert_eq!(pids.lines().count(), 1, "one for all of them");
    assert!(!Path::new("/proc").join(pids.trim()).exists(), "neither alive nor a zombie");
    // What failed a moment ago is not tried again for every viewer.
    assert_eq!(problem(&server.get(SNAPSHOT)), (503, "snapshot_failed".into()));
    assert_eq!(fs::read_to_string(&pid).unwrap(), pids);
    assert_eq!(take(&server).1["code"], "snapshot_failed");
    assert_eq!(fs::read_to_string(&pid).unwrap().lines().count(), 2, "a backend may insist");
    viewer.wait_for_segment(2);
    assert!(server.log().contains("took longer than 1s and was killed"), "{}", server.log());
}

#[test]
fn what_ffmpeg_is_given_has_no_secret_and_little_priority() {
    let folder = TempDir::new().unwrap();
    let seen = folder.path().join("seen");
    let what = format!("{{ /usr/bin/env; echo nice $(/usr/bin/nice); echo \"$@\"; }} > {}", seen.display());
    let server = Kaibo::start(&with_ffmpeg(&stand_in(&folder, &what), ""));
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    assert_eq!(take(&server).1["code"], "snapshot_failed");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(!seen.contains("KAIBO"), "{seen}");
    let nice = seen.lines().find_map(|line| line.strip_prefix("nice ")).unwrap();
    assert!(nice.parse::<i32>().unwrap() >= 10, "{seen}");
    assert!(seen.contains("-protocol_whitelist pipe"), "{seen}");
}
