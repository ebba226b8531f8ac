//! Every kind of address that players and CDNs ask for, held to the same rules.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::{
    live::{Live, beside, uris},
    raw::{self, Reply},
    support::{Kaibo, clip, push, seconds, wait_for},
};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// What is behind an address.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    /// A list that may change between two requests.
    Changing,
    /// A list that stays.
    Final,
    Media,
}

struct Address {
    path: String,
    kind: &'static str,
    cache: &'static str,
    is: Is,
}

fn address(path: impl Into<String>, kind: &'static str, cache: &'static str, is: Is) -> Address {
    Address { path: path.into(), kind, cache, is }
}

/// Whatever the status: pages may read it, and nobody is sent elsewhere.
fn assert_open(reply: &Reply, path: &str) {
    assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}: {reply:?}");
    let exposed = reply.header("access-control-expose-headers");
    for name in ["Content-Length", "Content-Range", "Date", "Age", "ETag"] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{path}: {name} is not in {exposed:?}");
    }
    assert!(!(300..304).contains(&reply.status) && reply.header("location").is_empty(), "{path}: {reply:?}");
}

fn check(server: &Kaibo, Address { path, kind, cache, is }: &Address) {
    let ask = |method: &str, headers: &[&str]| {
        let reply = raw::request(&server.at.http, &format!("{method} {path}"), headers);
        assert_open(&reply, path);
        reply
    };
    let whole = ask("GET", &[]);
    assert_eq!(whole.status, 200, "{path}: {}", whole.text());
    assert_eq!(whole.header("content-length"), whole.body.len().to_string(), "{path}");
    let head = ask("HEAD", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    for reply in [&whole, &head] {
        assert_eq!(reply.header("content-type"), *kind, "{path}");
        assert_eq!(reply.header("cache-control"), *cache, "{path}");
        assert_eq!(reply.header("content-encoding"), "", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
    if *is != Is::Changing {
        for name in ["content-length", "etag", "vary", "accept-ranges"] {
            assert_eq!(head.header(name), whole.header(name), "{path}: {name}");
        }
    }
    // A list may become another one between the two requests.
    wait_for(&format!("{path} is unchanged"), seconds(10), || {
        let etag = ask("GET", &[]).header("etag").to_owned();
        assert!(etag.starts_with('"') && etag.len() > 2, "{path}: {etag:?}");
        let known = ask("GET", &[&format!("If-None-Match: {etag}")]);
        assert!(known.status == 304 || *is == Is::Changing, "{path}: {known:?}");
        (known.status == 304).then(|| {
            assert_eq!((known.body.len(), known.header("etag")), (0, &*etag), "{path}");
            assert_eq!(known.header("cache-control"), *cache, "{path}");
        })
    });
    let options = ask("OPTIONS", &["Origin: https://shop.example", "Access-Control-Request-Method: GET"]);
    assert_eq!((options.status, options.body.len()), (204, 0), "{path}");
    let zipped = ask("GET", &["Accept-Encoding: gzip"]);
    match is {
        Is::Media => {
            assert_eq!((zipped.header("content-encoding"), zipped.header("vary")), ("", ""), "{path}");
            ranges(&ask, path, &whole);
        }
        Is::Changing | Is::Final if zipped.header("content-encoding").is_empty() => {
            assert!(
                path.ends_with("room.m3u8") || path.ends_with("room/ts.m3u8"),
                "{path} is not compressed"
            );
        }
        Is::Changing | Is::Final => {
            assert_eq!((whole.header("vary"), zipped.header("vary")), ("Accept-Encoding", "Accept-Encoding"));
            assert_ne!(
                zipped.header("etag"),
                whole.header("etag"),
                "{path}: another encoding is another thing"
            );
            let mut text = String::new();
            GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
            assert!(text.starts_with("#EXTM3U"), "{path}");
            assert!(*is == Is::Changing || text == whole.text(), "{path}");
        }
    }
}

fn ranges(ask: &impl Fn(&str, &[&str]) -> Reply, path: &str, whole: &Reply) {
    let total = whole.body.len();
    assert_eq!(whole.header("accept-ranges"), "bytes", "{path}");
    for (range, first, last) in [
        ("5-9".to_owned(), 5, 9),
        ("-7".into(), total - 7, total - 1),
        (format!("{}-", total - 3), total - 3, total - 1),
    ] {
        let part = ask("GET", &[&format!("Range: bytes={range}")]);
        assert_eq!(part.status, 206, "{path}: {range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/{total}"), "{path}");
        assert_eq!(part.body, whole.body[first..=last], "{path}: {range}");
    }
    let outside = ask("GET", &[&format!("Range: bytes={total}-")]);
    assert_eq!((outside.status, outside.body.len()), (416, 0), "{path}");
    assert_eq!(outside.header("cache-control"), "no-store", "{path}");
    assert_eq!(outside.header("content-range"), format!("bytes */{total}"), "{path}");
}

#[test]
fn every_address_of_a_broadcast_keeps_the_rules() {
    let live = Live::start("");
    let id = live.playlist.split('/').nth(3).unwrap();
    let replay = format!("/replay/{id}.m3u8");
    let recorded = |kind: &str| {
        live.until(&replay, |reply| {
            let text = reply.text();
            let map = text.split("#EXT-X-MAP:URI=\"").nth(1).and_then(|rest| rest.split('"').next());
            let uri = if kind == "mp4" { map.map(str::to_owned) } else { uris(&text).first().cloned() };
            uri.map(|uri| beside(&replay, &uri))
        })
    };
    let segment = live.segment("m4s");
    let blocked = format!("{}?_HLS_msn=1&_HLS_part=0", live.playlist);
    for address in [
        address("/live/room.m3u8", PLAYLIST, "no-cache", Is::Changing),
        address("/live/room/ts.m3u8", PLAYLIST, "no-cache", Is::Changing),
        address(&live.playlist, PLAYLIST, "public, max-age=1", Is::Changing),
        address(&live.ts_playlist, PLAYLIST, "public, max-age=1", Is::Changing),
        address(blocked, PLAYLIST, "public, max-age=12", Is::Changing),
        address(format!("{}?_HLS_skip=YES", live.playlist), PLAYLIST, "public, max-age=1", Is::Changing),
        address(segment.replace(".m4s", ".0.m4s"), "video/mp4", IMMUTABLE, Is::Media),
        address(segment, "video/mp4", IMMUTABLE, Is::Media),
        address(live.segment("ts"), "video/mp2t", IMMUTABLE, Is::Media),
        address(live.map(), "video/mp4", IMMUTABLE, Is::Media),
        address(&replay, PLAYLIST, "no-cache", Is::Changing),
        address(recorded("m4s"), "video/mp4", IMMUTABLE, Is::Media),
        address(recorded("mp4"), "video/mp4", IMMUTABLE, Is::Media),
    ] {
        check(&live.server, &address);
    }
    live.server.api_post(&format!("/broadcasts/{id}/stop"));
    live.until(&replay, |reply| reply.text().contains("#EXT-X-ENDLIST").then_some(()));
    check(&live.server, &address(&replay, PLAYLIST, "public, max-age=86400", Is::Final));
    let status = live.get("/status/live/room", &[]);
    assert_eq!(
        (status.header("content-type"), status.header("cache-control")),
        ("application/json", "no-store")
    );
    assert_open(&status, "/status");
}

#[test]
fn whatever_is_refused_pages_may_read_why_and_nobody_keeps_it() {
    // A target duration of 1 s: what waits for media waits for 3 s.
    let server = Kaibo::start("hls.segment = \"500ms\"\nhls.hold = \"idle\"");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let get = |path: &str| raw::request(&server.at.http, &format!("GET {path}"), &[]);
    let list = uris(&get("/live/room.m3u8").text()).remove(0);
    let list = format!("/live/{list}");
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(5));
    let last = wait_for("nothing more comes", seconds(10), || {
        let last: u64 = uris(&get(&list).text()).last()?.split('.').next()?.parse().ok()?;
        let reply = get(&format!("{list}?_HLS_msn={}", last + 1));
        (reply.status == 503).then(|| {
            assert_eq!((&*reply.problem(), reply.header("retry-after")), ("no_media", "1"));
            assert_open(&reply, &list);
            last
        })
    });
    for (path, status, code) in [
        (format!("{list}?_HLS_msn=x"), 400, "bad_directive"),
        (format!("{list}?_HLS_msn={}", last + 1000), 400, "bad_directive"),
        (list.replace("live.m3u8", "999.m4s"), 404, "not_found"),
        (list.replace("live.m3u8", "999.0.m4s"), 404, "not_found"),
        (list.replace("live.m3u8", "999.ts"), 404, "not_found"),
        ("/live/nobody.m3u8".into(), 404, "not_started"),
        ("/replay/nothing.m3u8".into(), 404, "no_such_replay"),
    ] {
        let reply = get(&path);
        assert_eq!((reply.status, &*reply.problem()), (status, code), "{path}");
        assert_open(&reply, &path);
        let head = raw::request(&server.at.http, &format!("HEAD {path}"), &[]);
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
    }
}
