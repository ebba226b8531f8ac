//! A replay as one file.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    exact::same_frames,
    support::{Kaibo, clip, hls, hls_checker::Checker, http, http::Reply, probe, push, seconds, wait_for},
};

/// Pushes `clip` to its end; the broadcast, and the address of its replay as one file.
fn pushed(server: &Kaibo, clip: &Path) -> (Value, String) {
    let mut encoder = push::ffmpeg(clip, &server.push_url("room"));
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(10));
    let url = ended["replay"]["mp4"].as_str().unwrap().to_owned();
    (ended, url)
}

/// The file once the replay is final.
fn download(url: &str) -> Reply {
    wait_for("the final replay", seconds(3), || {
        let reply = http::get(url, &[]);
        (reply.status == 200).then_some(reply)
    })
}

fn part(url: &str, range: &str) -> Reply {
    http::get(url, &[("range", range)])
}

/// The names of the boxes that a file consists of.
fn boxes(file: &[u8]) -> Vec<String> {
    let (mut at, mut names) = (0, Vec::new());
    while at < file.len() {
        let size = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        names.push(String::from_utf8(file[at + 4..at + 8].to_vec()).unwrap());
        at += size;
    }
    assert_eq!(at, file.len(), "the last box ends with the file");
    names
}

/// What the playlist shows, frame by frame, and how long it is.
fn as_the_playlist(ended: &Value, file: &Path) {
    let hls = ended["replay"]["hls"].as_str().unwrap();
    let playlist = Checker::default().observe(&http::get(hls, &[]).text()).unwrap();
    let joints = playlist.segments.iter().filter(|segment| segment.tagged).count();
    for track in ["v", "a"] {
        let (listed, got) = (probe::packets(hls, track), probe::packets(file, track));
        assert_eq!(got.len(), listed.len(), "the packets of {track}");
        for (got, listed) in got.iter().zip(&listed) {
            // Before keyframes their parameters are repeated where they change.
            let repeated = joints > 0 && track == "v" && got.keyframe && got.size > listed.size;
            assert!(got.md5 == listed.md5 || repeated, "{got:?} {listed:?}");
        }
        assert!(got.is_sorted_by(|a, b| a.dts < b.dts), "decoding times of {track}");
        let last = got.iter().map(|packet| packet.pts).fold(0.0, f64::max);
        let sum = playlist.segments.iter().map(|segment| segment.duration as f64).sum::<f64>() / 1e6;
        let off = last + 0.033 - sum;
        assert!(off.abs() < 0.1 * (joints + 1) as f64, "{track} is {off} s longer than the playlist");
    }
    assert_eq!(probe::decoding_complaints(file), "");
    // ffmpeg 5.1 decodes a playlist whose parameters change with those of its first segment.
    if joints == 0 {
        assert!(probe::decoded(file) == probe::decoded(hls), "other pictures");
    }
    assert_eq!(probe::complaints(file), "");
}

#[test]
fn a_replay_can_be_had_as_one_file_in_any_ranges() {
    let server = Kaibo::start("");
    let (ended, url) = pushed(&server, &clip::short());
    let whole = download(&url);
    assert_eq!(boxes(&whole.body), ["ftyp", "moov", "mdat"]);
    let file = server.scratch("replay.mp4");
    fs::write(&file, &whole.body).unwrap();
    same_frames(&clip::short(), &file);
    as_the_playlist(&ended, &file);

    let total = whole.body.len();
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let id = ended["id"].as_str().unwrap();
    assert_eq!(whole.header("content-disposition"), format!("attachment; filename=\"room-{id}.mp4\""));
    let (etag, modified) = (whole.header("etag"), whole.header("last-modified"));
    assert!(etag.starts_with('"') && modified.ends_with("GMT"), "{etag} {modified}");
    assert_eq!(http::get(&url, &[("if-none-match", etag)]).status, 304);
    let head = http::head(&url);
    assert_eq!((head.status, head.header("content-length")), (200, &*total.to_string()));
    assert!(head.body.is_empty());

    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=-1", total - 1..total),
        (&format!("bytes={}-", total / 2), total / 2..total),
        ("bytes=4000-70000", 4000..70_001),
        (&format!("bytes=100-{}", 2 * total), 100..total),
    ] {
        let reply = part(&url, range);
        let said = format!("bytes {}-{}/{total}", expected.start, expected.end - 1);
        assert_eq!((reply.status, reply.header("content-range")), (206, &*said), "{range}");
        assert!(reply.body == whole.body[expected], "{range}: other bytes");
    }
    let beyond = part(&url, &format!("bytes={total}-"));
    assert_eq!((beyond.status, beyond.header("content-range")), (416, &*format!("bytes */{total}")));
    assert_eq!(part(&url, "bytes=0-0,5-6").body.len(), total, "several ranges: all of it");
    for (known, status) in [(etag, 206), (modified, 206), ("\"other\"", 200)] {
        let reply = http::get(&url, &[("range", "bytes=5-9"), ("if-range", known)]);
        assert_eq!(reply.status, status, "if-range: {known}");
    }

    // A recording of a server that kept no such file, and one whose file is torn, are the same movie.
    let frames = server.data().join("media").join(id).join("frames.bin");
    let kept = fs::read(&frames).unwrap();
    let mut server = server;
    for torn in [None, Some(&kept[..kept.len() / 2]), Some(&[7; 100][..])] {
        server.terminate();
        match torn {
            Some(torn) => fs::write(&frames, torn).unwrap(),
            None => fs::remove_file(&frames).unwrap(),
        }
        server.restart();
        let url = server.url(&format!("/replay/{id}.mp4"));
        let again = download(&url);
        assert!(again.body == whole.body && again.header("etag") == etag, "{torn:?}");
        assert!(fs::read(&frames).unwrap() == kept, "it was made anew");
    }
}

#[test]
fn a_file_goes_over_an_interruption_with_another_size_of_the_picture() {
    let server = Kaibo::start("");
    let url = server.push_url("room");
    let (encoder, live) = hls::on_air(&server, &url);
    // Until it is over there is none.
    let mp4 = server.broadcast("room")["replay"]["hls"].as_str().unwrap().replace(".m3u8", ".mp4");
    let refused = http::get(&mp4, &[]);
    assert_eq!((refused.status, refused.header("retry-after")), (409, "30"));
    assert!(server.broadcast("room")["replay"]["mp4"].is_null());

    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    let encoder = push::ffmpeg(&clip::long_smaller(), &url);
    server.wait_for_state("room", "live", seconds(5));
    let newest = *live.seen().segments.keys().next_back().unwrap();
    live.wait_for_segment(newest + 2);
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(3));
    let file = server.scratch("replay.mp4");
    fs::write(&file, download(&mp4).body).unwrap();
    as_the_playlist(&ended, &file);
}

#[test]
fn reordered_pictures_begin_at_zero_with_their_sound() {
    let server = Kaibo::start("");
    let (ended, url) = pushed(&server, &clip::b_frames());
    let file = server.scratch("replay.mp4");
    fs::write(&file, download(&url).body).unwrap();
    as_the_playlist(&ended, &file);
    same_frames(&clip::b_frames(), &file);
    let pictures = probe::packets(&file, "v");
    let sound = probe::packets(&file, "a");
    let first = pictures[0].pts.min(sound[0].pts);
    assert!(first.abs() < 0.001, "it begins at {first} s");
    assert!(pictures[0].dts < pictures[0].pts, "decoding begins before");
}

#[test]
fn whoever_downloads_a_replay_that_is_deleted_gets_no_other_bytes() {
    let server = Kaibo::start("");
    let (ended, url) = pushed(&server, &clip::short());
    let whole = download(&url).body;
    let id = ended["id"].as_str().unwrap();
    fs::remove_file(server.data().join("media").join(id).join("2.m4s")).unwrap();
    server.expect_errors();
    // What was promised does not come, so no client takes what came for the whole.
    let broken = http::try_get(&url, &[]);
    assert!(broken.is_err());
    let begin = part(&url, "bytes=0-9999");
    assert!(begin.status == 206 && begin.body == whole[..10_000]);
}
