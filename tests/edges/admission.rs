//! Viewers that need a key.

use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};

use crate::{
    live::{Live, beside, uris},
    raw,
    support::{clip, push, seconds},
};

const PLAY_KEY: &str = "play-key-of-the-test-77aa00fe";

/// Viewers need a key, and may try as often as the limit says within a second.
pub fn config(failed_keys: u32) -> String {
    format!(
        "[auth.play]\nenabled = true\nkey = \"{PLAY_KEY}\"\n\
         [limits]\nfailed_keys = {failed_keys}\nfailed_keys_ban = \"2s\"\n"
    )
}

/// `txSecret` and `txTime` that let a viewer of `stream` in for `valid_s` seconds.
pub fn key(stream: &str, valid_s: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let tx_time = format!("{:08x}", now + valid_s);
    let digest = Md5::digest(format!("{PLAY_KEY}{stream}{tx_time}"));
    let secret: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("txSecret={secret}&txTime={tx_time}")
}

/// As `Live::start`, whose first request has no key.
fn start() -> Live {
    let live = Live::start_signed(&config(1000), &key("room", 600));
    assert_eq!(live.get("/live/room.m3u8", &[]).status, 403);
    live
}

#[test]
fn without_a_key_there_is_nothing_to_see() {
    let live = start();
    for path in ["/live/room.m3u8", "/live/room/ts.m3u8", "/live/room.flv"] {
        for query in [
            String::new(),
            "?".into(),
            format!("?{}", key("other", 600)),
            format!("?{}", key("room", -600)),
            format!("?{}", live.server.signature("room", 600)),
            format!("?{}&txTime=00000000", key("room", 600)),
            format!("?{}", key("room", 600).replace("txSecret", "TXSECRET")),
        ] {
            let reply = live.get(&format!("{path}{query}"), &[]);
            assert_eq!((reply.status, &*reply.problem()), (403, "play_key"), "{path}{query}");
            assert_eq!(reply.header("access-control-allow-origin"), "*");
            assert!(!reply.text().contains("txSecret=") && !reply.text().contains(PLAY_KEY));
        }
    }
    let socket = format!("/live/room.flv?{}", key("other", 600));
    let upgrade =
        ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="];
    assert_eq!(live.get(&socket, &upgrade).status, 403);
    assert!(!live.server.log().contains(PLAY_KEY));
}

#[test]
fn an_admitted_viewer_stays_admitted_to_this_broadcast() {
    let live = start();
    let _other = push::ffmpeg(&clip::long(), &live.server.push_url("other"));
    live.server.wait_for_state("other", "live", seconds(10));
    for (way_in, other_way_in) in
        [("/live/room.m3u8", "/live/other.m3u8"), ("/live/room/ts.m3u8", "/live/other/ts.m3u8")]
    {
        let media_playlist = |way_in: &str, stream: &str| {
            let reply = live.get(&format!("{way_in}?{}", key(stream, 600)), &[]);
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(!reply.text().contains("txSecret"), "the viewer's key stays out of it");
            beside(way_in, &uris(&reply.text())[0])
        };
        let playlist = media_playlist(way_in, "room");
        let (bare, session) = playlist.split_once('?').expect("a session");
        let (_, others_session) = {
            let other = media_playlist(other_way_in, "other");
            let (path, session) = other.split_once('?').unwrap();
            (path.to_owned(), session.to_owned())
        };
        let reply = live.get(&playlist, &[]);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut addresses = uris(&reply.text());
        if let Some(map) = reply.text().split("#EXT-X-MAP:URI=\"").nth(1) {
            addresses.push(map.split('"').next().unwrap().to_owned());
        }
        assert!(addresses.len() > 1 || way_in.ends_with("ts.m3u8"));
        if let Some(hint) = reply.text().split("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"").nth(1) {
            addresses.push(hint.split('"').next().unwrap().to_owned());
            // A player adds what it waits for to the query that it was given.
            for directives in ["&_HLS_msn=1", "&_HLS_msn=1&_HLS_part=1&_HLS_skip=YES"] {
                let blocked = live.get(&format!("{playlist}{directives}"), &[]);
                assert_eq!((blocked.status, blocked.header("cache-control")), (200, "private, max-age=12"));
                assert!(blocked.text().contains(session) && !blocked.text().contains("_HLS_"));
            }
        }
        for address in addresses {
            let path = beside(&playlist, &address);
            assert_eq!(live.get(&path, &[]).status, 200, "{path}");
            let (bare, carried) = path.split_once('?').expect("every address carries the session");
            assert_eq!(carried, session);
            for query in ["", &format!("?{others_session}"), &format!("?{}", key("room", 600)), "?session="] {
                let reply = live.get(&format!("{bare}{query}"), &[]);
                assert_eq!((reply.status, &*reply.problem()), (403, "play_session"), "{bare}{query}");
            }
        }
        for query in [
            String::new(),
            format!("?{others_session}"),
            format!("?{session}0"),
            format!("?{}", key("room", 600)),
        ] {
            let reply = live.get(&format!("{bare}{query}"), &[]);
            assert_eq!((reply.status, &*reply.problem()), (403, "play_session"), "{bare}{query}");
        }
    }
    assert!(!live.server.log().contains("session="), "sessions are secrets, too");
}

#[test]
fn who_guesses_is_shut_out_for_a_while() {
    let live = Live::start_signed(&config(5), &key("room", 600));
    let wrong = format!("/live/room.m3u8?{}", key("other", 600));
    let right = format!("/live/room.m3u8?{}", key("room", 600));
    let session = live.get(&right, &[]).text();
    let playlist = beside("/live/room.m3u8", &uris(&session)[0]);
    let guesses: Vec<u16> = (0..6).map(|_| live.get(&wrong, &[]).status).collect();
    assert_eq!(guesses, [403, 403, 403, 403, 403, 429]);
    let banned = live.get(&right, &[]);
    assert_eq!((banned.status, &*banned.problem()), (429, "too_many_keys"));
    assert_eq!(live.get(&playlist, &[]).status, 200, "who is in already is not affected");
    crate::support::wait_for("the end of the ban", seconds(5), || {
        (live.get(&right, &[]).status == 200).then_some(())
    });
}

#[test]
fn a_key_lets_flv_in() {
    let live = start();
    let path = format!("GET /live/room.flv?{}", key("room", 600));
    let head = live.request(&path.replace("GET", "HEAD"), &[]);
    assert_eq!((head.status, head.header("content-type")), (200, "video/x-flv"));
    let status = raw::request(&live.server.at.http, "GET /status/live/room", &[]).json();
    assert_eq!(status["state"], "live", "the state is no secret: a page shows it before it has a key");
}

#[test]
fn a_replay_is_no_way_around_the_key() {
    let live = start();
    let id = live.get("/status/live/room", &[]).json()["broadcast"].as_str().unwrap().to_owned();
    let path = format!("/replay/{id}.m3u8");
    let keyed = format!("{path}?{}", key("room", 600));
    let playlist = live.until(&keyed, |reply| (reply.status == 200).then(|| reply.text()));
    assert!(!playlist.contains("txSecret"), "the viewer's key stays out of it");
    assert_eq!(live.get(&path, &[]).status, 403);
    for address in uris(&playlist) {
        let segment = beside(&path, &address);
        assert_eq!(live.get(&segment, &[]).status, 200, "{segment}");
        let (bare, _) = segment.split_once('?').expect("every address carries the session");
        assert_eq!(live.get(bare, &[]).status, 403, "{bare}");
    }
}
