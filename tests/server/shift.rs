//! Viewers who look back: in the live playlist itself, some time behind it, or at a part of it.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::support::{
    Kaibo, clip, hls,
    hls_checker::{Checker, Playlist},
    http, probe, push, seconds, wait_for,
};

const SHORT: &str = "hls.segment = \"1s\"\nhls.window = \"6s\"";

fn unix_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn list(url: &str) -> Playlist {
    let reply = http::get(url, &[]);
    assert_eq!(reply.status, 200, "{url}: {}", reply.text());
    Checker::default().observe(&reply.text()).unwrap()
}

#[test]
fn the_live_list_reaches_back_as_far_as_it_is_recorded_also_after_a_restart() {
    let mut server = Kaibo::start(&format!("{SHORT}\nhls.dvr_window = \"1h\""));
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    // By then memory has neither the first segments nor, after the restart, their initialisation section.
    let seen = fmp4.wait_for("segment 17", seconds(25), |seen| seen.segments.contains_key(&17));
    let seen_ts = ts.wait_for_segment(17);
    for (viewer, seen, kind) in [(&fmp4, &seen, "m4s"), (&ts, &seen_ts, "ts")] {
        let playlist = seen.playlist.as_ref().unwrap();
        assert_eq!(playlist.segments[0].number, 1);
        let from_disk = http::get(&hls::beside(&viewer.url, &format!("1.{kind}")), &[]);
        assert_eq!(from_disk.status, 200);
        assert_eq!(from_disk.body, seen.segments[&1].1, "the same bytes as from memory");
        assert!(from_disk.header("cache-control").contains("immutable"));
        let again = [("If-None-Match", from_disk.header("etag")), ("Range", "bytes=0-9")];
        assert_eq!(http::get(&hls::beside(&viewer.url, &format!("1.{kind}")), &again[..1]).status, 304);
        let part = http::get(&hls::beside(&viewer.url, &format!("1.{kind}")), &again[1..]);
        assert_eq!((part.status, &part.body[..]), (206, &from_disk.body[..10]));
    }
    let zipped = http::get(&fmp4.url, &[("Accept-Encoding", "gzip")]);
    assert_eq!(zipped.header("content-encoding"), "gzip");
    let mut text = String::new();
    // It reads one gzip member, like some browsers.
    GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("\n1.m4s\n") && text.contains("#EXT-X-PRELOAD-HINT"), "{text}");

    server.kill9();
    drop(encoder);
    server.restart();
    server.wait_for_state("room", "interrupted", seconds(5));
    assert_eq!(list(&fmp4.url).segments[0].number, 1, "nobody has to come back for that");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let last = *fmp4.seen().segments.last_key_value().unwrap().0;
    fmp4.wait_for_segment(last + 3);
    encoder.quit();
    fmp4.wait_for_end();
    ts.wait_for_end();
    let whole = list(&fmp4.url);
    assert_eq!(whole.segments[0].number, 1);
    assert_eq!(probe::decoding_complaints(&fmp4.url), "");
    let pictures = probe::packets(&fmp4.url, "v");
    assert!(pictures.len() as u64 >= 18 * 30, "{} pictures from the beginning to the end", pictures.len());
    assert_eq!(probe::packets(&ts.url, "v").len(), pictures.len());
}

#[test]
fn a_delayed_view_is_that_much_behind_and_reads_on_to_the_end() {
    let server = Kaibo::start(SHORT);
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let early = server.get("/live/room.m3u8?delay=40000");
    assert_eq!(early.status, 404, "{}", early.text());
    assert!(early.text().contains("not_started"));
    let after: u64 = early.header("retry-after").parse().unwrap();
    assert!((39_900..40_010).contains(&after), "{after} s");

    // The first one waits until there is something so old.
    let viewer = hls::Viewer::open(&server, "/live/room.m3u8?delay=4");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8?delay=4");
    viewer.wait_for("eight segments", seconds(20), |seen| seen.segments.len() >= 8);
    for url in [&viewer.url, &ts.url] {
        let playlist = list(url);
        assert_eq!(playlist.low_latency, None);
        let last = playlist.segments.last().unwrap();
        let behind = unix_millis() - (last.date + last.duration / 1000);
        assert!((4000..6500).contains(&behind), "{behind} ms");
    }
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    assert!(!list(&viewer.url).ended, "its end is four seconds away");
    let seen = viewer.wait_for("ENDLIST", seconds(8), |seen| {
        seen.playlist.as_ref().is_some_and(|playlist| playlist.ended)
    });
    let file = server.scratch("joined.mp4");
    std::fs::write(&file, seen.joined()).unwrap();
    assert_eq!(probe::decoding_complaints(&file), "");
    let replay = probe::packets(ended["replay"]["hls"].as_str().unwrap(), "v");
    let pictures = probe::packets(&file, "v");
    assert!(pictures.iter().map(|picture| &picture.md5).eq(replay.iter().map(|picture| &picture.md5)));
}

#[test]
fn a_range_is_what_was_live_then_also_after_a_restart() {
    let mut server = Kaibo::start(SHORT);
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let growing = hls::Viewer::open(&server, "/live/room.m3u8?start=1");
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    let grown = growing.wait_for_end();
    assert_eq!(grown.playlist.as_ref().unwrap().kind.as_deref(), Some("EVENT"));
    let replay = list(ended["replay"]["hls"].as_str().unwrap());
    assert_eq!(grown.segments.len(), replay.segments.len(), "from the broadcast's start to its end");

    let start = replay.segments[1].date / 1000 + 1;
    let end = start + 2;
    let wanted = |segment: &&_| {
        let crate::support::hls_checker::Segment { date, duration, .. } = segment;
        *date < end * 1000 && date + duration / 1000 > start * 1000
    };
    let expected: Vec<u64> = replay.segments.iter().filter(wanted).map(|segment| segment.number).collect();
    assert!((2..=4).contains(&expected.len()), "{expected:?}");
    let name = |segment: &crate::support::hls_checker::Segment| {
        segment.uri.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let names: Vec<String> = replay.segments.iter().filter(wanted).map(name).collect();
    let all = probe::packets(ended["replay"]["hls"].as_str().unwrap(), "v");
    let first = expected[0] as usize * 30;
    let frames = &all[first..first + expected.len() * 30];
    let urls = ["/live/room.m3u8", "/live/room/ts.m3u8"]
        .map(|way_in| hls::media_playlist(&server, &format!("{way_in}?start={start}&end={end}")));
    let check = || {
        let [fmp4, ts] = &urls;
        let playlist = list(fmp4);
        assert!(playlist.ended);
        let uris: Vec<String> = playlist.segments.iter().map(|segment| segment.uri.clone()).collect();
        assert_eq!(uris, names);
        let shown = probe::packets(fmp4, "v");
        assert!(shown.iter().map(|frame| &frame.md5).eq(frames.iter().map(|frame| &frame.md5)));
        assert_eq!(probe::packets(ts, "v").len(), frames.len());
        assert_eq!(probe::decoding_complaints(fmp4), "");
    };
    check();
    // Nothing of it is in memory then.
    assert!(server.terminate().success());
    server.restart();
    check();
    let nothing = urls[0].replace(&format!("start={start}&end={end}"), "start=1000&end=2000");
    let nothing = http::get(&nothing, &[]);
    assert_eq!(nothing.status, 404);
    assert!(nothing.text().contains("nothing_recorded"), "{}", nothing.text());
}

#[test]
fn who_looks_back_needs_what_the_others_need_and_a_recording() {
    let config = "auth.play.enabled = true\nauth.play.key = \"play-key-of-the-test-77\"\n\
                  [apps.live.hls]\nsegment = \"1s\"\nwindow = \"6s\"";
    let server = Kaibo::start(config);
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    assert_eq!(server.get("/live/room.m3u8?delay=2").status, 403);
    let key = server.signature_with("play-key-of-the-test-77", "room");
    let url = hls::media_playlist(&server, &format!("/live/room.m3u8?{key}&delay=2"));
    let (way, query) = url.split_once('?').unwrap();
    let session = query.strip_prefix("delay=2&").unwrap();
    assert!(session.starts_with("session="));
    assert_eq!(http::get(&format!("{way}?delay=2"), &[]).status, 403);
    let text = wait_for("a delayed list", seconds(5), || {
        let reply = http::get(&url, &[]);
        (reply.status == 200).then(|| reply.text())
    });
    Checker::default().observe(&text).unwrap();
    let uris: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!uris.is_empty() && uris.iter().all(|uri| uri.ends_with(session)), "{text}");
    assert_eq!(http::get(&hls::beside(way, uris[0]), &[]).status, 200);

    for bad in ["delay=0", "delay=43201", "delay=x", "end=5", "start=9&end=9", "start=1&delay=1"] {
        let reply = server.get(&format!("/live/room.m3u8?{key}&{bad}"));
        assert_eq!(reply.status, 400, "{bad}");
        assert!(reply.text().contains("bad_time"));
    }
}

#[test]
fn without_a_recording_nobody_looks_back() {
    let server = Kaibo::start("record.enabled = false\nhls.segment = \"1s\"");
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let reply = server.get("/live/room.m3u8?delay=2");
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("not_recorded"), "{}", reply.text());
}
