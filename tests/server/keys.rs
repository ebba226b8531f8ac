//! Keys that open a push, and what a streamer reads where they don't.

use std::fs;

use crate::support::{Kaibo, clip, push, seconds, wait_for, wait_until};

/// What ffmpeg tells its user about a push to `path`, which is refused.
fn refused(server: &Kaibo, path: &str) -> String {
    let mut encoder = push::ffmpeg(&clip::short(), &format!("rtmp://{}/{path}", server.at.rtmp));
    assert!(!encoder.wait().success(), "{path} was let in");
    encoder.said()
}

/// Guessing is not what these tests are about.
const PATIENT: &str = "limits.failed_keys = 1000";

#[test]
fn a_refused_streamer_reads_why() {
    let server = Kaibo::start(PATIENT);
    let good = server.signature("room", 3600);
    let (secret, time) = good.split_once('&').unwrap();
    let wrong = format!("txSecret={}&{time}", "0123456789abcdef".repeat(2));
    let cases = [
        ("no key", "live/room".to_owned(), "has no txTime"),
        ("half a key", format!("live/room?{secret}"), "has no txTime"),
        ("the other half", format!("live/room?{time}"), "has no txSecret"),
        ("wrong", format!("live/room?{wrong}"), "txSecret does not match"),
        ("expired", format!("live/room?{}", server.signature("room", -60)), "expired 6"),
        ("of another stream", format!("live/other?{good}"), "txSecret does not match"),
        ("for 2000 days", format!("live/room?{}", server.signature("room", 2000 * 86_400)), "is valid for"),
        ("twice", format!("live/room?{good}&{time}"), "txTime more than once"),
        ("twice", format!("live/room?{wrong}&{secret}"), "txSecret more than once"),
        ("short", format!("live/room?txSecret=abc&{time}"), "not 32 hexadecimal digits"),
        (
            "9 digits",
            format!("live/room?{}", server.signature_at("room", "166A0B2C0")),
            "not 8 hexadecimal digits",
        ),
        (
            "7 digits",
            format!("live/room?{}", server.signature_at("room", "66A0B2C")),
            "not 8 hexadecimal digits",
        ),
        (
            "sign",
            format!("live/room?{}", server.signature_at("room", "+66A0B2C")),
            "not 8 hexadecimal digits",
        ),
        ("0x", format!("live/room?{}", server.signature_at("room", "0x66A0B2")), "not 8 hexadecimal digits"),
        ("written otherwise", format!("live/room?TX{}", &good[2..]), "has no tx"),
        ("encoded", format!("live/room?{}", good.replace("tx", "t%78")), "has no tx"),
        ("semicolon", format!("live/room?{}", good.replace('&', ";")), "has no txTime"),
    ];
    for (what, path, why) in cases {
        let said = refused(&server, &path);
        assert!(said.contains(why), "{what}: {said}");
    }
    assert!(server.broadcasts("room").is_empty(), "strangers leave no trace");
    assert!(server.broadcasts("other").is_empty());
}

#[test]
fn a_name_that_is_none_is_refused_and_leaves_no_trace() {
    let server = Kaibo::start(PATIENT);
    let long = "x".repeat(129);
    for name in ["room.1", "..", "%2e%2e%2fx", "%72oom", "a%20b", "<script>", "直播", &long] {
        let said = refused(&server, &format!("live/{name}?{}", server.signature(name, 3600)));
        assert!(said.contains("Server error: "), "{name}: {said}");
    }
    for path in ["live/", "api/room", "a.b/room", "live/room/key"] {
        let said = refused(&server, &format!("{path}?{}", server.signature("room", 3600)));
        assert!(said.contains("Server error: "), "{path}: {said}");
    }
    assert!(server.api("/broadcasts")["items"].as_array().unwrap().is_empty());
    let media = server.data().join("media");
    let files = fs::read_dir(&media).map_or(0, Iterator::count);
    assert_eq!(files, 0, "{}", media.display());
}

#[test]
fn keys_in_either_case_open_a_push() {
    let server = Kaibo::start("");
    let upper = server.signature("upper", 3600);
    let time = upper.rsplit_once('=').unwrap().1.to_lowercase();
    let lower = server.signature_at("lower", &time);
    let shouted = server.signature("shouted", 3600);
    let secret = shouted.split_once('&').unwrap().0.rsplit_once('=').unwrap().1;
    let shouted = shouted.replace(secret, &secret.to_uppercase());
    for (stream, signature) in [("upper", upper), ("lower", lower), ("shouted", shouted)] {
        let _encoder =
            push::ffmpeg(&clip::short(), &format!("rtmp://{}/live/{stream}?{signature}", server.at.rtmp));
        server.wait_for_state(stream, "live", seconds(5));
    }
}

#[test]
fn a_key_that_expires_meanwhile_still_resumes_its_own_broadcast() {
    let server = Kaibo::start("");
    let url = format!("rtmp://{}/live/room?{}", server.at.rtmp, server.signature("room", 3));
    let encoder = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(3));
    // A running push is never cut.
    let expired = || refused(&server, &format!("live/other?{}", url.rsplit_once('?').unwrap().1));
    crate::support::wait_until("the key is over", seconds(10), || {
        server.broadcast("room")["duration_ms"].as_i64().unwrap() > 4500
    });
    assert!(expired().contains("does not match"));
    assert_eq!(server.broadcast("room")["state"], "live");
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    let _encoder = push::ffmpeg(&clip::long(), &url);
    let back = server.wait_for_state("room", "live", seconds(5));
    assert_eq!(back["id"], began["id"]);
}

#[test]
fn guessing_keys_shuts_an_address_out_for_a_while() {
    let server = Kaibo::start("limits.failed_keys = 1\nlimits.failed_keys_ban = \"3s\"");
    let good = server.push_url("room");
    assert!(
        refused(&server, "live/room?txSecret=00000000000000000000000000000000&txTime=7fffffff")
            .contains("does not")
    );
    let mut early = push::ffmpeg(&clip::short(), &good);
    assert!(!early.wait().success());
    assert!(early.said().contains("pushes from this address are refused"), "{}", early.said());
    wait_until("let in again", seconds(8), || {
        let mut encoder = push::ffmpeg(&clip::long(), &good);
        wait_for("it is let in or sent away", seconds(5), || {
            let live = server.broadcast("room")["state"] == "live";
            (live || !encoder.is_running()).then_some(live)
        })
    });
}
