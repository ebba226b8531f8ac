//! What players and caches rely on: types, caching, conditions, ranges, compression, and pages of other origins.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;

use crate::{
    live::{Live, uris},
    raw::{self, Reply},
    support::{Kaibo, clip, push, seconds},
};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// Pages of any origin may read the answer.
fn assert_readable(reply: &Reply) {
    assert_eq!(reply.header("access-control-allow-origin"), "*", "{reply:?}");
    let exposed = reply.header("access-control-expose-headers");
    for name in ["Content-Length", "Content-Range", "Date", "Age"] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{name} is not in {exposed:?}");
    }
}

fn assert_length(reply: &Reply) {
    assert_eq!(reply.header("content-length"), reply.body.len().to_string(), "{reply:?}");
}

#[test]
fn every_kind_of_media_has_its_type_and_its_life_in_caches() {
    let live = Live::start("");
    let immutable = "public, max-age=31536000, immutable";
    let half_a_target_duration = "public, max-age=1";
    let six_target_durations = "public, max-age=12";
    for (path, kind, cache) in [
        ("/live/room.m3u8", PLAYLIST, "no-cache"),
        ("/live/room/ts.m3u8", PLAYLIST, "no-cache"),
        (&live.playlist, PLAYLIST, half_a_target_duration),
        (&live.ts_playlist, PLAYLIST, half_a_target_duration),
        (&format!("{}?_HLS_msn=1&_HLS_part=1", live.playlist), PLAYLIST, six_target_durations),
        (&live.segment("m4s"), "video/mp4", immutable),
        (&live.segment("m4s").replace(".m4s", ".1.m4s"), "video/mp4", immutable),
        (&live.segment("ts"), "video/mp2t", immutable),
        (&live.map(), "video/mp4", immutable),
        ("/status/live/room", "application/json", "no-store"),
    ] {
        let reply = live.get(path, &[]);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), kind, "{path}");
        assert_eq!(reply.header("cache-control"), cache, "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_readable(&reply);
        assert_length(&reply);
        let head = live.request(&format!("HEAD {path}"), &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), kind, "{path}");
        assert_eq!(head.header("cache-control"), cache, "{path}");
        if cache == immutable {
            assert_eq!(head.header("content-length"), reply.body.len().to_string(), "{path}");
        }
        assert_readable(&head);
    }
}

#[test]
fn ranges_of_a_segment_fit_together() {
    let live = Live::start("");
    let path = live.segment("m4s");
    let whole = live.get(&path, &[]);
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let (body, total, etag) = (&whole.body[..], whole.body.len(), whole.header("etag"));
    assert!(total > 1000);
    for (range, first, last) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=0-99".into(), 0, 99),
        ("Bytes=100-".into(), 100, total - 1),
        ("bytes=-10".into(), total - 10, total - 1),
        (format!("bytes=-{}", total + 10), 0, total - 1),
        (format!("bytes={}-{}", total - 1, total + 10), total - 1, total - 1),
        ("bytes=5-99999999999999999999".into(), 5, total - 1),
    ] {
        let reply = live.get(&path, &[&format!("Range: {range}")]);
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.header("content-range"), format!("bytes {first}-{last}/{total}"), "{range}");
        assert_eq!(reply.body, &body[first..=last], "{range}");
        assert_eq!(reply.header("etag"), etag);
        assert_length(&reply);
        assert_readable(&reply);
    }
    for range in [format!("bytes={total}-"), format!("bytes={total}-{}", total + 1), "bytes=-0".into()] {
        let reply = live.get(&path, &[&format!("Range: {range}")]);
        assert_eq!((reply.status, reply.body.len()), (416, 0), "{range}");
        assert_eq!(reply.header("content-range"), format!("bytes */{total}"), "{range}");
        assert_readable(&reply);
    }
    for range in ["bytes=9-3", "bytes=0-0,5-5", "bytes=a-b", "lines=0-1", "bytes=", "bytes=-", "bytes=+1-2"] {
        let reply = live.get(&path, &[&format!("Range: {range}")]);
        assert_eq!((reply.status, reply.body.len()), (200, total), "{range}");
    }
    let same = format!("If-Range: {etag}");
    assert_eq!(live.get(&path, &["Range: bytes=0-9", &same]).status, 206);
    assert_eq!(live.get(&path, &["Range: bytes=0-9", "If-Range: \"other\""]).status, 200);
    let head = live.request(&format!("HEAD {path}"), &["Range: bytes=0-9"]);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, &*total.to_string()),
        "HEAD has no ranges"
    );
}

#[test]
fn what_a_cache_has_is_not_sent_again() {
    let live = Live::start("");
    let path = live.segment("m4s");
    let etag = live.get(&path, &[]).header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() > 2, "{etag}");
    for condition in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".into()] {
        let reply = live.get(&path, &[&format!("If-None-Match: {condition}"), "Range: bytes=0-1"]);
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{condition}");
        assert_eq!(reply.header("etag"), etag);
        assert_eq!(reply.header("cache-control"), "public, max-age=31536000, immutable");
        assert_readable(&reply);
    }
    assert_eq!(live.get(&path, &["If-None-Match: \"other\""]).status, 200);
    // A playlist has a new tag with each change, and one of its own for each encoding.
    let unchanged = |accept: &str| {
        live.until(&live.playlist, |_| {
            let first = live.get(&live.playlist, &[accept]);
            let condition = format!("If-None-Match: {}", first.header("etag"));
            let second = live.get(&live.playlist, &[accept, &condition]);
            (second.status == 304).then(|| first.header("etag").to_owned())
        })
    };
    assert_ne!(unchanged("Accept-Encoding: gzip"), unchanged("Accept-Encoding: identity"));
    let old = live.get(&live.playlist, &[]);
    let changed = live
        .until(&live.playlist, |reply| (reply.text() != old.text()).then(|| reply.header("etag").to_owned()));
    assert_ne!(changed, old.header("etag"));
}

#[test]
fn playlists_are_compressed_and_media_never() {
    let live = Live::start("");
    for path in [&live.playlist, &live.ts_playlist] {
        let plain = live.get(path, &[]);
        assert_eq!(plain.header("content-encoding"), "");
        assert_eq!(plain.header("vary"), "Accept-Encoding", "a cache must tell the two apart");
        for accept in ["gzip", "deflate, gzip;q=0.5, br"] {
            let accept = format!("Accept-Encoding: {accept}");
            // The list may grow between two requests.
            live.until(path, |plain| {
                let zipped = live.get(path, &[&accept]);
                assert_eq!(zipped.header("content-encoding"), "gzip");
                assert_eq!(zipped.header("vary"), "Accept-Encoding");
                assert_length(&zipped);
                let mut text = String::new();
                GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
                (text == plain.text()).then_some(())
            });
        }
        for accept in ["identity", "br", "gzip;q=0", "gzipped"] {
            let reply = live.get(path, &[&format!("Accept-Encoding: {accept}")]);
            assert_eq!(reply.header("content-encoding"), "", "{accept}");
            assert!(reply.text().starts_with("#EXTM3U\n"), "{accept}");
        }
    }
    for path in [&live.segment("m4s"), &live.segment("ts"), &live.map()] {
        let reply = live.get(path, &["Accept-Encoding: gzip, br"]);
        assert_eq!(reply.header("content-encoding"), "", "{path}");
    }
}

#[test]
fn a_page_of_any_origin_may_ask() {
    let server = Kaibo::start("");
    for path in ["/live/room.m3u8", "/nothing", "*"] {
        let line = format!("OPTIONS {path}");
        let asks = ["Origin: https://shop.example.com", "Access-Control-Request-Headers: range"];
        let reply = raw::request(&server.at.http, &line, &asks);
        assert_eq!((reply.status, reply.body.len()), (204, 0), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("access-control-allow-headers").contains("Range"), "{path}");
        assert!(reply.header("access-control-allow-methods").contains("GET"), "{path}");
        assert!(reply.header("access-control-max-age").parse::<u32>().unwrap() > 0);
        assert_eq!(reply.header("access-control-allow-credentials"), "", "there are no cookies");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let reply = raw::with_body(&server.at.http, &format!("{method} /live/room.m3u8"), &[], b"{}");
        assert_eq!((reply.status, &*reply.problem()), (405, "method_not_allowed"), "{method}");
        assert_eq!(reply.header("allow"), "GET, HEAD, OPTIONS");
        assert_readable(&reply);
    }
}

#[test]
fn origins_can_be_limited() {
    let server = Kaibo::start("http.cors_origins = [\"https://shop.example.com\"]");
    let ask = |headers: &[&str]| raw::request(&server.at.http, "GET /live/room.m3u8", headers);
    let ours = ask(&["Origin: https://shop.example.com"]);
    assert_eq!(ours.header("access-control-allow-origin"), "https://shop.example.com");
    assert_eq!(ours.header("vary"), "Origin", "a cache must tell the origins apart");
    for stranger in ["https://evil.example", "https://shop.example.com.evil.example", "null", "*"] {
        let reply = ask(&[&format!("Origin: {stranger}")]);
        assert_eq!(reply.header("access-control-allow-origin"), "", "{stranger}");
        assert_eq!(reply.header("vary"), "Origin");
    }
    assert_eq!(ask(&[]).header("access-control-allow-origin"), "");
}

#[test]
fn what_is_not_there_says_so_to_players_and_pages() {
    let live = Live::start("");
    let id = live.playlist.split('/').nth(3).unwrap();
    for (path, code) in [
        ("/live/nobody.m3u8".to_owned(), "not_started"),
        ("/live/nobody.flv".into(), "not_started"),
        ("/live/nobody/ts.m3u8".into(), "not_started"),
        ("/".into(), "not_found"),
        ("/live".into(), "not_found"),
        ("/live/room".into(), "not_found"),
        ("/live/room.mp3".into(), "not_found"),
        ("/live/room.m3u8/".into(), "not_found"),
        ("/other/room.m3u8".into(), "not_started"),
        (format!("/live/room/{id}/99999.m4s"), "not_found"),
        (format!("/live/room/{id}/99999999999999999999999.m4s"), "not_found"),
        (format!("/live/room/{id}/-1.m4s"), "not_found"),
        (format!("/live/room/{id}/init-99.mp4"), "not_found"),
        (format!("/live/room/{id}/other.m3u8"), "not_found"),
        (format!("/live/other/{id}/live.m3u8"), "not_found"),
        (format!("/shop/room/{id}/live.m3u8"), "not_found"),
        ("/live/room/0123/live.m3u8".into(), "not_found"),
        ("/replay/0123.m3u8".into(), "no_such_replay"),
        (format!("/replay/{id}/99999.m4s"), "not_found"),
        (format!("/live/{}.m3u8", "x".repeat(129)), "not_found"),
        ("/live/a%62c.m3u8".into(), "not_found"),
        ("/live/\u{5f00}\u{64ad}.m3u8".into(), "not_found"),
    ] {
        let reply = live.get(&path, &[]);
        assert_eq!((reply.status, &*reply.problem()), (404, code), "{path}");
        assert_readable(&reply);
    }
    assert_eq!(live.get("/status/live/nobody", &[]).json()["live_status"], 102);
}

#[test]
fn the_first_viewers_wait_for_the_first_segment() {
    let server = Kaibo::start("");
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let id = server.wait_for_state("room", "live", seconds(10))["id"].as_str().unwrap().to_owned();
    let ways_in =
        ["/live/room.m3u8".into(), "/live/room/ts.m3u8".into(), format!("/live/room/{id}/live.m3u8")];
    let viewers = ways_in.map(|path| {
        let address = server.at.http.clone();
        std::thread::spawn(move || raw::request(&address, &format!("GET {path}"), &[]))
    });
    for viewer in viewers {
        let reply = viewer.join().unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(!uris(&reply.text()).is_empty(), "players take an empty playlist for a broken one");
    }
}

#[test]
fn nobody_waits_for_ever_for_a_first_segment() {
    let server = Kaibo::start("[hls]\nsegment = \"20s\"\nwindow = \"2m\"");
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let begin = Instant::now();
    let reply = raw::request(&server.at.http, "GET /live/room.m3u8", &[]);
    assert!(begin.elapsed() < seconds(10), "players' own patience");
    assert_eq!((reply.status, &*reply.problem()), (404, "no_segment_yet"));
    assert_eq!(reply.header("retry-after"), "1");
    assert_readable(&reply);
}

#[test]
fn flv_is_a_body_without_end() {
    let live = Live::start("");
    let mut socket = raw::connect(&live.server.at.http);
    socket.write_all(b"GET /live/room.flv HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").unwrap();
    let reply = raw::reply(&raw::read_head(&mut socket));
    assert_eq!((reply.status, reply.header("content-type")), (200, "video/x-flv"));
    assert_eq!(reply.header("transfer-encoding"), "chunked");
    assert_eq!(reply.header("content-length"), "");
    assert_eq!(reply.header("content-encoding"), "");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_readable(&reply);
    let mut begin = [0; 64];
    socket.read_exact(&mut begin).unwrap();
    assert!(begin.windows(4).any(|window| window == b"FLV\x01"), "{begin:?}");

    let head = live.request("HEAD /live/room.flv", &[]);
    assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, "video/x-flv", 0));
    assert_eq!(head.header("content-length"), "", "its length is not 0, it has none");

    // Without chunks the end of the connection is the end of the body.
    let mut old = raw::connect(&live.server.at.http);
    old.write_all(b"GET /live/room.flv HTTP/1.0\r\n\r\n").unwrap();
    let head = String::from_utf8(raw::read_head(&mut old)).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.0 200") && !head.contains("chunked"), "{head}");
    old.read_exact(&mut begin).unwrap();
    assert!(begin.starts_with(b"FLV\x01"), "{begin:?}");
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let live = Live::start("");
    let mut socket = raw::connect(&live.server.at.http);
    for path in ["/live/nobody.m3u8", "/live/room.m3u8", "/nothing", &live.playlist] {
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap();
        let reply = raw::reply(&raw::read_head(&mut socket));
        let mut body = vec![0; reply.header("content-length").parse().unwrap()];
        socket.read_exact(&mut body).unwrap();
    }
    // Pipelined, as some caches do.
    socket
        .write_all(
            b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let both = String::from_utf8(raw::read_to_close(&mut socket)).unwrap();
    assert_eq!(both.matches("HTTP/1.1 404").count(), 2, "{both}");
}

#[test]
fn flv_comes_over_a_connection_that_was_used_before_and_one_that_asks_for_more() {
    let live = Live::start("");
    let mut socket = raw::connect(&live.server.at.http);
    socket.write_all(b"GET /status/live/room HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let head = raw::reply(&raw::read_head(&mut socket));
    let mut body = vec![0; head.header("content-length").parse().unwrap()];
    socket.read_exact(&mut body).unwrap();
    // Two requests at once: an answer without an end is the last one.
    socket
        .write_all(
            b"GET /live/room.flv HTTP/1.1\r\nHost: h\r\n\r\nGET /live/room.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n",
        )
        .unwrap();
    assert_eq!(raw::reply(&raw::read_head(&mut socket)).header("content-type"), "video/x-flv");
    let mut media = vec![0; 100_000];
    socket.read_exact(&mut media).unwrap();
    assert!(!media.windows(7).any(|window| window == b"#EXTM3U"));
}

#[test]
fn a_viewer_who_talks_instead_of_listening_is_let_go() {
    let live = Live::start("");
    let mut socket = raw::connect(&live.server.at.http);
    socket.write_all(b"GET /live/room.flv HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    raw::read_head(&mut socket);
    let talking = socket.try_clone().unwrap();
    let talk = std::thread::spawn(move || while (&talking).write_all(&[b'x'; 1000]).is_ok() {});
    // Reset or closed: what matters is that it ends.
    while socket.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
    drop(socket);
    talk.join().unwrap();
}
