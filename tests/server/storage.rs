//! Recordings in a bucket.

use std::{fs, path::Path, thread, time::Instant};

use serde_json::{Value, json};

use crate::{
    exact::same_frames,
    support::{
        Kaibo, clip, flv, hls, http, probe, push,
        s3::{S3, SECRET},
        seconds, wait_for, wait_until,
    },
};

/// Segments of `id` on the server's disk.
fn here(server: &Kaibo, id: &str) -> Vec<String> {
    let files = fs::read_dir(server.data().join("media").join(id)).into_iter().flatten();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".m4s")).collect()
}

/// Waits until all of `id` is in the bucket.
fn wait_until_archived(server: &Kaibo, id: &str) {
    let mark = server.data().join("media").join(id).join("archived");
    wait_for("the mark of what is in the bucket", seconds(60), || mark.exists().then_some(()));
}

fn id(broadcast: &Value) -> &str {
    broadcast["id"].as_str().unwrap()
}

fn replay(broadcast: &Value) -> &Path {
    Path::new(broadcast["replay"]["hls"].as_str().unwrap())
}

/// What `/metrics` says of `name`.
fn metric(server: &Kaibo, name: &str) -> u64 {
    let metrics = server.metrics();
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_replay_is_played_from_the_bucket_by_any_server_until_it_is_deleted() {
    let s3 = S3::start();
    // Less than the clip has: its segments go as soon as the bucket has them.
    let config = s3.config("one/server", "1MiB");
    let server = Kaibo::start(&config);
    let clip = clip::noisy();
    let mut encoder = push::ffmpeg(&clip, &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    let folder = format!("one/server/{}", id(&live));
    wait_for("a segment in the bucket during the broadcast", seconds(10), || {
        s3.objects(&folder).iter().any(|(name, _)| name == "1.m4s").then_some(())
    });
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    wait_until_archived(&server, id(&ended));
    wait_until("the disk has room", seconds(15), || here(&server, id(&ended)).is_empty());
    assert_eq!(metric(&server, "kaibo_archive_backlog_bytes"), 0);
    same_frames(&clip, replay(&ended));

    let another = Kaibo::start(&config);
    let url = another.url(&format!("/replay/{}.m3u8", id(&ended)));
    wait_until("another server finds it", seconds(10), || http::get(&url, &[]).status == 200);
    assert!(here(&another, id(&ended)).is_empty());
    same_frames(&clip, Path::new(&url));
    same_frames(&clip, Path::new(&url.replace(".m3u8", ".mp4")));

    // It is as good as one of its own.
    let known = wait_for("it is listed", seconds(5), || another.broadcasts("room").pop());
    let same = |field: &str| assert_eq!(known[field], ended[field], "{field} of {known}");
    ["id", "app", "stream", "state", "end_reason"].into_iter().for_each(same);
    let [replay_here, replay_there] = [&known, &ended].map(|broadcast| broadcast["replay"].clone());
    assert_eq!((&replay_here["status"], &replay_here["public"]), (&json!("ready"), &json!(true)));
    assert_eq!(replay_here["missing"], replay_there["missing"]);

    assert_eq!(another.api_delete(&format!("/broadcasts/{}", id(&ended))).status, 204);
    assert_eq!(http::get(&url, &[]).status, 404);
    assert!(another.broadcasts("room").is_empty());
    wait_until("its objects are deleted", seconds(10), || s3.objects(&folder).is_empty());
    assert!(!server.log().contains(SECRET) && !another.log().contains(SECRET));
}

#[test]
fn a_clip_is_cut_out_of_a_replay_that_only_the_bucket_has() {
    let mut s3 = S3::start();
    let mut server = Kaibo::start(&s3.config("", "1MiB"));
    server.expect_errors();
    let mut encoder = push::ffmpeg(&clip::noisy(), &server.push_url("room"));
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(10));
    wait_until_archived(&server, id(&ended));
    let has_room = |server: &Kaibo, id: &str| {
        wait_until("the disk has room", seconds(15), || here(server, id).is_empty());
    };
    has_room(&server, id(&ended));
    let all = probe::packets(replay(&ended), "v");
    let cut = |server: &Kaibo, from_ms: i64, to_ms: i64| {
        let wanted = json!({ "from_ms": from_ms, "to_ms": to_ms });
        server.api_call("POST", &format!("/broadcasts/{}/clips", id(&ended)), &wanted)
    };
    let same = |clip: &Value, frames: &[probe::Packet]| {
        let shown = probe::packets(clip["urls"]["hls"].as_str().unwrap(), "v");
        assert!(shown.iter().map(|frame| &frame.md5).eq(frames.iter().map(|frame| &frame.md5)));
    };

    // From the keyframe at 1 s on.
    let made = cut(&server, 1500, 4500);
    assert_eq!(made["state"], "ready", "{made}");
    same(&made, &all[30..135]);
    // It goes where everything goes, and what was brought back for it goes again.
    wait_until_archived(&server, id(&made));
    has_room(&server, id(&ended));
    has_room(&server, id(&made));
    same(&made, &all[30..135]);

    // While the bucket is away, and memory holds nothing of what was watched, it has to wait.
    s3.kill();
    server.terminate();
    server.restart();
    let waits = cut(&server, 0, 2000);
    assert_eq!((&waits["state"], &waits["urls"]), (&json!("waiting"), &Value::Null), "{waits}");
    s3.restart();
    let made = wait_for("the bucket is back", seconds(15), || {
        let clip = server.api(&format!("/clips/{}", id(&waits)));
        (clip["state"] == "ready").then_some(clip)
    });
    same(&made, &all[..60]);
}

#[test]
fn a_bucket_that_is_away_costs_nothing_even_if_the_server_is_killed() {
    let mut s3 = S3::start();
    let mut server = Kaibo::start(&s3.config("", "1GiB"));
    let clip = clip::long();
    let mut encoder = push::ffmpeg(&clip, &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    let name = id(&live).to_owned();
    wait_for("a segment in the bucket", seconds(10), || (!s3.objects(&name).is_empty()).then_some(()));
    s3.kill();
    // Whoever watches sees nothing of it.
    let viewer = flv::Viewer::open(&server, "room");
    wait_for("a first picture", seconds(5), || viewer.newest_picture());
    // Ten seconds of an outage, looked at picture by picture.
    let (begin, mut before, mut newest, mut stall) = (Instant::now(), Instant::now(), 0, seconds(0));
    while begin.elapsed() < seconds(10) {
        let picture = viewer.newest_picture().unwrap();
        if picture != newest {
            (before, newest) = (Instant::now(), picture);
        }
        stall = stall.max(before.elapsed());
        thread::sleep(seconds(1) / 50);
    }
    assert!(stall < seconds(1), "the picture stood for {stall:?}");
    assert!(metric(&server, "kaibo_archive_backlog_bytes") > 0);
    assert!(metric(&server, "kaibo_archive_errors_total") > 0);

    // And it is killed with all that still to be sent; the broadcast goes on after the restart.
    encoder.kill9();
    server.kill9();
    let been = here(&server, &name).len();
    assert!(been >= 4, "{been} segments wait on the disk");
    server.restart();
    s3.restart();
    // Once more, in the middle of catching up.
    let sent = s3.objects(&name).len();
    wait_until("the next object", seconds(40), || s3.objects(&name).len() > sent);
    server.kill9();
    server.restart();
    encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(10));
    assert_eq!(id(&ended), name);
    wait_until_archived(&server, &name);
    let mut there = s3.objects(&name);
    there.retain(|(name, _)| name.ends_with(".m4s"));
    assert!(there.len() >= been);
    for (file, bytes) in there {
        let local = server.data().join("media").join(&name).join(&file);
        assert_eq!(fs::metadata(local).unwrap().len(), bytes, "{file}");
    }
    // The same packets from the disk and from the bucket.
    let from_the_disk = probe::packets(replay(&ended), "v");
    for file in here(&server, &name) {
        fs::remove_file(server.data().join("media").join(&name).join(file)).unwrap();
    }
    assert_eq!(probe::packets(replay(&ended), "v"), from_the_disk);
    // Without the bucket the list is there, and nothing else: that is said so that players try again.
    let list = http::get(replay(&ended).to_str().unwrap(), &[]);
    s3.kill();
    server.terminate();
    server.restart();
    assert_eq!(http::get(replay(&ended).to_str().unwrap(), &[]).text(), list.text());
    let first = list.text().lines().find(|line| line.ends_with(".m4s")).unwrap().to_owned();
    let first = http::get(&hls::beside(replay(&ended).to_str().unwrap(), &first), &[]);
    assert_eq!(first.status, 503, "{}", first.text());
}

#[test]
fn a_deletion_reaches_the_bucket_after_a_restart() {
    let mut s3 = S3::start();
    let mut server = Kaibo::start(&s3.config("kept", "1GiB"));
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    wait_until_archived(&server, id(&ended));
    s3.kill();
    assert_eq!(server.api_delete(&format!("/broadcasts/{}", id(&ended))).status, 204);
    server.kill9();
    server.restart();
    assert_eq!(http::get(replay(&ended).to_str().unwrap(), &[]).status, 404);
    s3.restart();
    let folder = format!("kept/{}", id(&ended));
    wait_until("its objects are deleted", seconds(40), || s3.objects(&folder).is_empty());
    assert_eq!(http::get(replay(&ended).to_str().unwrap(), &[]).status, 404, "nor is it brought back");
}
