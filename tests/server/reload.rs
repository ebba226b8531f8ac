//! SIGHUP: another configuration for a server that runs.

use std::fs;

use crate::support::{
    Kaibo, clip, flv, http, push, seconds,
    server::{API_TOKEN, READ_TOKEN},
    wait_for,
};

/// Of an app of its own: that of the others comes from the environment.
const SHOP: &str = "key-of-the-shop-before-77d1";
const NEW_SHOP: &str = "key-of-the-shop-behind-0a8e";

fn config(origin: &str, shop: &str, level: &str) -> String {
    format!(
        "http.cors_origins = [\"{origin}\"]\nlog.level = \"{level}\"\n[apps.shop.auth.push]\nkey = \"{shop}\"\n\
         [limits]\nfailed_keys = 1000\n"
    )
}

/// A push that `key` signs is let in.
fn opens(server: &Kaibo, key: &str) -> bool {
    let url = format!("rtmp://{}/shop/cart?{}", server.at.rtmp, server.signature_with(key, "cart"));
    let mut encoder = push::ffmpeg(&clip::short(), &url);
    wait_for("an answer to the push", seconds(10), || {
        let streams = server.api("/streams");
        let live = streams["items"].as_array().unwrap().iter().any(|stream| stream["app"] == "shop");
        if live { Some(true) } else { (!encoder.is_running()).then_some(false) }
    })
}

fn status(server: &Kaibo, token: &str) -> u16 {
    let url = format!("http://{}/api/v1/streams", server.at.api);
    http::get(&url, &[("Authorization", &format!("Bearer {token}"))]).status
}

#[test]
fn a_reload_changes_what_it_can_and_drops_nobody() {
    let server = Kaibo::start(&config("https://old.example", SHOP, "info"));
    let mut encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let before = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(500);
    let origin = || {
        let reply = http::get(&server.url("/status/live/room"), &[("Origin", "https://new.example")]);
        reply.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(origin(), "");

    // The tokens come from a file that the environment names: it is read again, too.
    let token = "token-behind-the-reload-4411";
    let tokens = fs::read_to_string(server.scratch("tokens")).unwrap();
    fs::write(server.scratch("tokens"), tokens.replace(READ_TOKEN, token)).unwrap();
    let said = server.reload(&config("https://new.example", NEW_SHOP, "debug"));
    for change in [
        "http.cors_origins: [\"https://old.example\"] -> [\"https://new.example\"]",
        "log.level: \"info\" -> \"debug\"",
        "apps.shop.auth.push.key (changed)",
        "api.tokens (changed)",
        "the configuration was reloaded changes=4",
    ] {
        assert!(said.contains(change), "{change} in {said}");
    }
    assert_eq!(origin(), "https://new.example");
    assert_eq!((status(&server, token), status(&server, READ_TOKEN)), (200, 401));
    assert!(!opens(&server, SHOP) && opens(&server, NEW_SHOP));
    assert!(server.log().contains("DEBUG"), "the new level");

    let shown = viewer.newest_picture().unwrap();
    viewer.wait_for_time(shown + 500);
    assert_eq!(viewer.end(), None);
    assert!(encoder.is_running());
    assert_eq!(server.broadcast("room")["id"], before["id"]);
    assert!(server.hang_up().contains("changes=0"), "nothing else");
    for secret in [SHOP, NEW_SHOP, token] {
        assert!(!server.log().contains(secret), "{secret} in {}", server.log());
    }
}

#[test]
fn a_reload_with_a_fault_changes_nothing() {
    let server = Kaibo::start(&config("https://old.example", SHOP, "info"));
    server.expect_errors();
    let good = config("https://new.example", NEW_SHOP, "info");
    for (bad, expected) in [
        (
            format!("{good}[hls]\nsegmnt = \"2s\"\n"),
            "config.toml:8:1: unknown key \"segmnt\", did you mean \"segment\"?",
        ),
        (format!("{good}[hls]\nsegment = \"1ms\"\n"), "config.toml:8:1: hls.segment: 1ms is outside"),
        (format!("{good}[store]\nurl = \"sqlite:other.db\"\n"), "these need a restart: store.url"),
        (
            format!("log.format = \"json\"\n{good}http_connections = 5\n"),
            "these need a restart: limits.http_connections, log.format",
        ),
        (
            format!(
                "{good}[[webhooks]]\nname = \"shop\"\nurl = \"https://a\"\nsecret = \"{NEW_SHOP}\"\nevents = [\"x\"]\n"
            ),
            "the webhook \"shop\" wants \"x\"",
        ),
    ] {
        let said = server.reload(&bad);
        assert!(said.contains("ERROR") && said.contains(expected), "{expected} in {said}");
        assert!(said.contains("everything stays as it was"), "{said}");
    }
    let reply = http::get(&server.url("/status/live/room"), &[("Origin", "https://new.example")]);
    assert_eq!(reply.header("access-control-allow-origin"), "");
    assert!(opens(&server, SHOP), "the old key");
    assert_eq!(status(&server, API_TOKEN), 200);
    assert!(!server.log().contains(SHOP) && !server.log().contains(NEW_SHOP));
}
