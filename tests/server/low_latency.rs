//! Players that wait for the next part.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Kaibo, clip, hls,
    hls_checker::{Checker, Playlist},
    http, probe, push, seconds,
};

fn hint(playlist: &Playlist) -> String {
    playlist.low_latency.as_ref().unwrap().hint.clone().unwrap()
}

/// Segment and index of a part from its URI.
fn place(part: &str) -> (u64, u64) {
    let mut numbers = part.split('.').map_while(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn whoever_waits_is_answered_when_the_part_comes() {
    let server = Kaibo::start("");
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let url = hls::media_playlist(&server, "/live/room.m3u8");
    let mut checker = Checker::default();
    let mut playlist = checker.observe(&http::get(&url, &[]).text()).unwrap();
    let (mut before, mut gaps) = (None, Vec::new());
    for _ in 0..10 {
        let announced = hint(&playlist);
        let (msn, part) = place(&announced);
        // One waits for the part itself, many for the playlist that lists it.
        let part_url = hls::beside(&url, &announced);
        let waiting = thread::spawn(move || (http::get(&part_url, &[]), Instant::now()));
        let reload = format!("{url}?_HLS_msn={msn}&_HLS_part={part}");
        let others: Vec<_> = (0..20)
            .map(|_| reload.clone())
            .map(|url| thread::spawn(move || (http::get(&url, &[]).body, Instant::now())))
            .collect();
        let reply = http::get(&reload, &[]);
        let answered = Instant::now();
        assert_eq!((reply.status, reply.header("cache-control")), (200, "public, max-age=12"));
        playlist = checker.observe(&reply.text()).unwrap();
        let newest = playlist.parts.last_key_value().unwrap();
        assert_eq!(*newest.0, (msn, part), "not later than the part that was waited for");
        assert_eq!(newest.1.uri, announced);
        let (bytes, came) = waiting.join().unwrap();
        let apart = came.max(answered) - came.min(answered);
        assert!(apart < Duration::from_millis(200), "the part and its playlist came {apart:?} apart");
        let again = http::get(&hls::beside(&url, &announced), &[]);
        assert!(bytes.status == 200 && bytes.body == again.body && !again.body.is_empty());
        for other in others {
            let (text, when) = other.join().unwrap();
            assert!(text == reply.body, "everybody gets the same");
            assert!(when.max(answered) - when.min(answered) < Duration::from_millis(200));
        }
        gaps.extend(before.replace(answered).map(|before| answered - before));
    }
    let longest = gaps.iter().max().unwrap();
    assert!(*longest < Duration::from_millis(750), "parts of 500 ms came {gaps:?} apart");
    assert_eq!(
        probe::tracks(&url),
        probe::tracks(server.url("/live/room.flv")),
        "plain players play it, too"
    );
}

#[test]
fn the_last_part_is_listed_before_the_end_is() {
    let server = Kaibo::start("hls.segment = \"1s\"");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let url = hls::media_playlist(&server, "/live/room.m3u8");
    let mut checker = Checker::default();
    let mut before = checker.observe(&http::get(&url, &[]).text()).unwrap();
    encoder.quit();
    loop {
        let announced = before.low_latency.as_ref().unwrap().hint.as_deref();
        let (msn, part) = announced.map_or_else(|| (before.segments.last().unwrap().number + 1, 0), place);
        let text = http::get(&format!("{url}?_HLS_msn={msn}&_HLS_part={part}"), &[]).text();
        let playlist = checker.observe(&text).unwrap();
        let newest = |playlist: &Playlist| playlist.parts.last_key_value().map(|(at, _)| *at);
        if playlist.ended {
            assert_eq!(newest(&playlist), newest(&before), "hls.js loads nothing that comes with the end");
            assert_eq!(announced, None, "for Shaka an announced part that doesn't come is an error");
            break;
        }
        before = playlist;
    }
}

#[test]
fn mistakes_are_told_and_plain_lists_have_no_directives() {
    let server = Kaibo::start("hls.segment = \"1s\"\nhls.hold = \"idle\"");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let url = hls::media_playlist(&server, "/live/room.m3u8");
    let ts = hls::media_playlist(&server, "/live/room/ts.m3u8");
    for query in ["_HLS_part=1", "_HLS_msn=-1", "_HLS_msn=999", "_HLS_msn=x&_HLS_part=0"] {
        let reply = http::get(&format!("{url}?{query}"), &[("Origin", "https://shop.example")]);
        let told = (reply.status, reply.header("access-control-allow-origin"), reply.header("cache-control"));
        assert_eq!(told, (400, "*", "no-store"), "{query}: {}", reply.text());
        assert!(reply.text().contains("bad_directive"));
        assert_eq!(http::get(&format!("{ts}?{query}"), &[]).status, 200, "{query}");
    }
    let text = http::get(&url, &[]).text();
    let (msn, part) = place(&hint(&Checker::default().observe(&text).unwrap()));
    for uri in
        [format!("{msn}.{}.m4s", part + 5), format!("{}.0.m4s", msn + 3), "1.99.m4s".into(), "1.x.m4s".into()]
    {
        assert_eq!(http::get(&hls::beside(&url, &uri), &[]).status, 404, "{uri} was never announced");
    }

    // The encoder is gone: nobody hangs, and what was announced may still come.
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(3));
    // What it had sent before is still on its way, at the most.
    let (idle, waiting, asked) = loop {
        let idle = Checker::default().observe(&http::get(&url, &[]).text()).unwrap();
        let (part_url, asked) = (hls::beside(&url, &hint(&idle)), Instant::now());
        let waiting = thread::spawn({
            let (msn, part) = place(&hint(&idle));
            let reload = format!("{url}?_HLS_msn={msn}&_HLS_part={part}");
            move || http::get(&reload, &[])
        });
        let reply = http::get(&part_url, &[]);
        if reply.status == 503 {
            break (idle, [reply, waiting.join().unwrap()], asked);
        }
    };
    assert_eq!(place(&hint(&idle)).1, 0, "the interrupted segment is closed");
    for reply in waiting {
        let told = (reply.status, reply.header("access-control-allow-origin"), reply.header("cache-control"));
        assert_eq!(told, (503, "*", "no-store"));
    }
    let waited = asked.elapsed();
    assert!(waited > seconds(2) && waited < seconds(5), "three target durations, not {waited:?}");

    let part_url = hls::beside(&url, &hint(&idle));
    let waiting = thread::spawn(move || http::get(&part_url, &[]));
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    assert_eq!(waiting.join().unwrap().status, 200, "the part that was announced came after the resume");
}

#[test]
fn parts_go_on_after_a_resume_and_after_a_restart() {
    // Another part target in the configuration is for other broadcasts.
    let mut server = Kaibo::start("hls.segment = \"1s\"\nhls.window = \"12s\"");
    let push = |server: &Kaibo| push::ffmpeg(&clip::long(), &server.push_url("room"));
    let encoder = push(&server);
    server.wait_for_state("room", "live", seconds(10));
    // It checks every reload, whole and as a delta, and fetches every part.
    let viewer = hls::Viewer::open(&server, "/live/room.m3u8");
    viewer.wait_for_segment(9);
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(3));
    let encoder = push(&server);
    let back = server.wait_for_state("room", "live", seconds(5));
    let last = *viewer.seen().segments.last_key_value().unwrap().0;
    viewer.wait_for_segment(last + 2);
    server.kill9();
    drop(encoder);
    server.reconfigure("hls.segment = \"1s\"\nhls.part = \"300ms\"\nhls.window = \"12s\"");
    server.restart();
    let encoder = push(&server);
    let after = server.wait_for_state("room", "live", seconds(10));
    assert_eq!(after["id"], back["id"]);
    let last = *viewer.seen().segments.last_key_value().unwrap().0;
    viewer.wait_for_segment(last + 3);
    // A server that stops lets nobody wait for it, and does not say that the broadcast is over.
    let url = viewer.url.clone();
    let next = place(&hint(viewer.seen().playlist.as_ref().unwrap())).0 + 1;
    let waiting = thread::spawn(move || http::try_get(&format!("{url}?_HLS_msn={next}"), &[]));
    assert!(server.terminate().success());
    if let Ok(reply) = waiting.join().unwrap() {
        assert!(!reply.text().contains("ENDLIST"), "{}", reply.text());
    }
    drop(encoder);
    server.restart();
    let encoder = push(&server);
    server.wait_for_state("room", "live", seconds(10));
    viewer.wait_for_segment(last + 6);
    encoder.quit();
    let seen = viewer.wait_for_end();
    assert!(seen.deltas > 0, "some reloads left something out");
    let (compared, unlike) = seen.unlike_their_parts();
    assert!(compared >= 10, "{compared} segments of which every part was fetched");
    assert_eq!(unlike, [0; 0], "a segment is its parts");
    let file = server.scratch("joined.mp4");
    std::fs::write(&file, seen.joined()).unwrap();
    assert_eq!(probe::decoding_complaints(&file), "");
}

#[test]
fn sound_alone_has_parts_too() {
    let server = Kaibo::start("hls.segment = \"1s\"");
    let _push = push::ffmpeg(&clip::audio_only(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = hls::Viewer::open(&server, "/live/room.m3u8");
    let seen = viewer.wait_for_segment(4);
    assert!(seen.parts.len() >= 6, "{:?}", seen.parts.keys());
    assert_eq!(seen.unlike_their_parts().1, [0; 0]);
}
