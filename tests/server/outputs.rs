//! One push, every way to watch it.

use std::{fs, io::Write, net::TcpStream, process::Command, time::Instant};

use kaibo_container::flv::TagKind;

use crate::support::{
    Kaibo, clip, flv, hls, http,
    probe::{self, audio, video},
    push, seconds, wait_until,
};

#[test]
fn pages_that_listen_for_news_cost_nothing_while_there_is_none() {
    let server = Kaibo::start("");
    let (_, http) =
        server.url("").split_once("://").map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned())).unwrap();
    let request =
        format!("GET /status/live/room HTTP/1.1\r\nHost: {http}\r\nAccept: text/event-stream\r\n\r\n");
    let listen = || {
        let mut socket = TcpStream::connect(&http).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    };
    let _pages: Vec<_> = (0..3).map(|_| listen()).collect();
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(1000);
    let before = server.cpu();
    viewer.wait_for_time(4000);
    let used = server.cpu() - before;
    assert!(used < 100, "{used} hundredths of a second in three seconds");
}

#[test]
fn every_output_shows_picture_and_sound() {
    let server = Kaibo::start("");
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let both = [audio("aac"), video("h264", 320, 180)];

    let websocket = flv::Viewer::open_websocket(&server, "room");
    for path in ["/live/room.flv", "/live/room.m3u8", "/live/room/ts.m3u8"] {
        assert_eq!(probe::tracks(server.url(path)), both, "{path}");
    }
    assert_eq!(probe::tracks(format!("rtmp://{}/live/room", server.at.rtmp)), both, "RTMP");

    let file = server.scratch("rtmpdump.flv");
    let url = format!("rtmp://{}/live/room", server.at.rtmp);
    let dump =
        Command::new("rtmpdump").args(["-q", "--live", "--stop", "2", "-r", &url, "-o"]).arg(&file).status();
    assert!(dump.unwrap().success());
    assert_eq!(probe::tracks(&file), both, "rtmpdump");

    websocket.wait_for_time(3000);
    let file = server.scratch("websocket.flv");
    fs::write(&file, websocket.bytes()).unwrap();
    assert_eq!(probe::tracks(&file), both, "WebSocket");
}

#[test]
fn a_viewer_who_joins_sees_the_picture_at_once() {
    let server = Kaibo::start("");
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let early = flv::Viewer::open(&server, "room");
    early.wait_for_time(2500);

    let asked = Instant::now();
    let viewer = flv::Viewer::open(&server, "room");
    wait_until("a picture", seconds(5), || viewer.newest_picture().is_some_and(|time| time > 2000));
    assert!(asked.elapsed() < seconds(1), "{:?}", asked.elapsed());
    let tags = viewer.tags();
    let kinds: Vec<_> = tags.iter().map(|tag| tag.kind).take(2).collect();
    assert_eq!(kinds, [TagKind::Script, TagKind::Video], "metadata and decoder parameters come first");
    let first = tags.iter().find(|tag| tag.kind == TagKind::Video && tag.body[1] == 1).unwrap();
    assert_eq!(first.body[0], 0x17, "the first picture is a keyframe");
    let backlog = early.newest_picture().unwrap() - first.time_ms;
    assert!(backlog <= 1500, "{backlog} ms of old media: more than one GOP");
}

#[test]
fn the_playlists_say_what_players_need() {
    let server = Kaibo::start("");
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));

    let way_in = server.get("/live/room.m3u8");
    assert_eq!(way_in.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(way_in.header("access-control-allow-origin"), "*");
    for attribute in ["RESOLUTION=320x180", "mp4a.40.2", "avc1.", "FRAME-RATE=30.000", "BANDWIDTH="] {
        assert!(way_in.text().contains(attribute), "{attribute} in {}", way_in.text());
    }

    let url = hls::media_playlist(&server, "/live/room.m3u8");
    let plain = http::get(&url, &[("Origin", "https://shop.example")]);
    assert_eq!((plain.status, plain.header("access-control-allow-origin")), (200, "*"));
    let zipped = http::get(&url, &[("Accept-Encoding", "gzip")]);
    assert_eq!((zipped.header("content-encoding"), zipped.header("vary")), ("gzip", "Accept-Encoding"));
    assert!(zipped.body.starts_with(&[0x1F, 0x8B]));

    let text = plain.text();
    let segment = hls::beside(&url, text.lines().find(|line| line.ends_with(".m4s")).unwrap());
    let whole = http::get(&segment, &[]);
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert!(whole.header("cache-control").contains("immutable"), "{}", whole.header("cache-control"));
    let range = http::get(&segment, &[("Range", "bytes=4-7")]);
    assert_eq!((range.status, &range.body[..]), (206, &whole.body[4..8]));
    let beyond = http::get(&segment, &[("Range", "bytes=99999999-")]);
    assert_eq!(beyond.status, 416);
    let known = http::get(&segment, &[("If-None-Match", whole.header("etag"))]);
    assert_eq!((known.status, known.body.len()), (304, 0));
}

#[test]
fn nothing_under_a_name_is_a_404_that_pages_may_read() {
    let server = Kaibo::start("");
    for path in ["/live/room.flv", "/live/room.m3u8", "/live/room/ts.m3u8", "/replay/nothing.m3u8", "/x"] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (404, "*"), "{path}");
        assert!(reply.text().contains("\"code\""), "{path}: {}", reply.text());
    }
    let status = server.get("/status/live/room");
    assert_eq!(status.status, 200);
    assert!(status.text().contains("not_started"), "{}", status.text());
}
