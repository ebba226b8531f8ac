use kaibo_broadcast::{App, BroadcastId, Millis, Stream};

use super::*;
use crate::server::Listening;

fn settings(env: &[(&str, &str)]) -> Settings {
    let env = env.iter().map(|(key, value)| (format!("KAIBO__{key}"), value.to_string()));
    config::load(None, env).unwrap()
}

fn access(env: &[(&str, &str)]) -> Access {
    Access::new(&settings(env)).unwrap()
}

fn app(name: &str) -> App {
    name.parse().unwrap()
}

fn stream(name: &str) -> Stream {
    name.parse().unwrap()
}

/// HTTP and RTMP as they are handed out, of a server on the usual ports.
fn urls(env: &[(&str, &str)], host: Option<&str>) -> [String; 2] {
    let Addresses { http, rtmp, .. } = Addresses::of(&settings(env).config, None, host);
    [http, rtmp]
}

const URL: &str = "HTTP__PUBLIC_URL";
const RTMP_URL: &str = "HTTP__PUBLIC_RTMP_URL";
const HTTP: &str = "HTTP__LISTEN";
const RTMP: &str = "RTMP__LISTEN";

#[test]
fn urls_name_what_others_reach() {
    for (env, host, http, rtmp) in [
        // Nothing said: this machine.
        (&[][..], None, "http://localhost:8080", "rtmp://localhost"),
        (&[(HTTP, "0.0.0.0:80"), (RTMP, "0.0.0.0:1936")], None, "http://localhost", "rtmp://localhost:1936"),
        (&[(HTTP, "192.0.2.1:80"), (RTMP, "192.0.2.1:1935")], None, "http://192.0.2.1", "rtmp://192.0.2.1"),
        (&[(HTTP, "[2001:db8::1]:80"), (RTMP, "[::1]:19")], None, "http://[2001:db8::1]", "rtmp://[::1]:19"),
        (&[(HTTP, "[::]:8080"), (RTMP, "[::]:1935")], None, "http://localhost:8080", "rtmp://localhost"),
        // A public URL is taken as it is; RTMP has its host and our port.
        (&[(URL, "https://live.example.com")], None, "https://live.example.com", "rtmp://live.example.com"),
        (&[(URL, "https://live.example.com/")], None, "https://live.example.com", "rtmp://live.example.com"),
        (
            &[(URL, "https://live.example.com:8443/tv"), (RTMP, "0.0.0.0:19")],
            None,
            "https://live.example.com:8443/tv",
            "rtmp://live.example.com:19",
        ),
        (&[(URL, "http://[2001:db8::1]:81")], None, "http://[2001:db8::1]:81", "rtmp://[2001:db8::1]"),
        (&[(URL, "http://[2001:db8::1]")], None, "http://[2001:db8::1]", "rtmp://[2001:db8::1]"),
        (
            &[(URL, "https://live.example.com"), (RTMP_URL, "rtmps://push.example.com:443/")],
            None,
            "https://live.example.com",
            "rtmps://push.example.com:443",
        ),
        (&[(RTMP_URL, "rtmp://push.example.com")], None, "http://localhost:8080", "rtmp://push.example.com"),
        // A host that was asked for wins over all of it.
        (&[], Some("tv.example.com"), "http://tv.example.com:8080", "rtmp://tv.example.com"),
        (
            &[(URL, "https://live.example.com"), (RTMP_URL, "rtmp://push.example.com")],
            Some("[::1]"),
            "http://[::1]:8080",
            "rtmp://[::1]",
        ),
    ] {
        assert_eq!(urls(env, host), [http, rtmp], "{env:?} {host:?}");
    }
}

#[test]
fn a_running_server_hands_out_its_real_ports() {
    let settings = settings(&[(HTTP, "127.0.0.1:0"), (RTMP, "127.0.0.1:0")]);
    let at = |port: u16| ([127, 0, 0, 1], port).into();
    let listening =
        Listening { pid: 1, rtmp: at(4001), http: at(4002), api: at(4003), rtmps: None, https: None };
    let addresses = Addresses::of(&settings.config, Some(&listening), None);
    assert_eq!(addresses.rtmp, "rtmp://127.0.0.1:4001");
    assert_eq!(addresses.http, "http://127.0.0.1:4002");
    assert_eq!(addresses.api, "http://127.0.0.1:4003");
}

#[test]
fn a_host_is_a_name_or_an_address() {
    for (text, expected) in [
        ("live.example.com", Some("live.example.com")),
        ("192.0.2.1", Some("192.0.2.1")),
        ("::1", Some("[::1]")),
        ("[2001:db8::1]", Some("[2001:db8::1]")),
        ("", None),
        ("live.example.com:8080", None),
        ("https://live.example.com", None),
        ("live.example.com/x", None),
        ("a b", None),
    ] {
        assert_eq!(host(text).ok().as_deref(), expected, "{text:?}");
    }
}

#[test]
fn obs_and_a_phone_are_told_the_same() {
    let access = access(&[("AUTH__PUSH__KEY", "e12c46f2612d5106e2034781ab261ca3")]);
    let at = Addresses::of(&settings(&[]).config, None, Some("h"));
    // 0x5C271099 s; the test vector of Tencent's guide.
    let push = push_url(&access, &at, &app("live"), &stream("test"), Millis(1_546_064_025_999));
    assert_eq!(push.server, "rtmp://h/live");
    assert_eq!(push.key, "test?txSecret=f85a2ab363fe4deaffef9754d79da6fe&txTime=5C271099");
    assert_eq!(push.url, format!("{}/{}", push.server, push.key));
    assert_eq!(push.expires_at, "2018-12-29T06:13:45.000Z");
}

#[test]
fn where_pushes_need_no_key_there_is_none_in_the_url() {
    let access = access(&[("AUTH__PUSH__ENABLED", "false")]);
    let at = Addresses::of(&settings(&[]).config, None, Some("h"));
    let push = push_url(&access, &at, &app("live"), &stream("test"), Millis(0));
    assert_eq!((push.url.as_str(), push.key.as_str()), ("rtmp://h/live/test", "test"));
}

#[test]
fn a_url_of_the_longest_validity_opens_a_push_at_once() {
    let access = access(&[("AUTH__PUSH__KEY", "0123456789abcdef"), ("AUTH__PUSH__MAX_KEY_TTL", "1h")]);
    let (app, stream) = (app("live"), stream("a"));
    let at = Addresses::of(&settings(&[]).config, None, None);
    for now in [Millis(1_700_000_000_000), Millis(1_700_000_000_001), Millis(1_700_000_000_999)] {
        let longest = access.longest_push(&app).unwrap();
        let key = push_url(&access, &at, &app, &stream, now + longest).key;
        let query = key.split_once('?').unwrap().1;
        assert!(access.push(&app, &stream, query, now).is_ok(), "{now:?}");
    }
}

#[test]
fn a_url_until_the_end_of_time_says_when_it_ends() {
    let access = access(&[("AUTH__PUSH__KEY", "0123456789abcdef")]);
    let at = Addresses::of(&settings(&[]).config, None, None);
    let push = push_url(&access, &at, &app("live"), &stream("a"), Millis(i64::MAX));
    assert!(push.key.ends_with("txTime=FFFFFFFF"), "{}", push.key);
    assert_eq!(push.expires_at, "2106-02-07T06:28:15.000Z");
    assert_eq!(rfc3339(Millis(i64::MAX)), "9999-12-31T23:59:59.999Z");
    assert_eq!(rfc3339(Millis(-1)), "1970-01-01T00:00:00.000Z");
}

#[test]
fn play_urls_follow_the_scheme() {
    let urls = |public| {
        let at = Addresses::of(&settings(&[(URL, public)]).config, None, None);
        play_urls(&at, &app("live"), &stream("a"))
    };
    let plain = urls("http://http.example");
    assert_eq!(plain.flv, "http://http.example/live/a.flv");
    assert_eq!(plain.ws_flv, "ws://http.example/live/a.flv");
    assert_eq!(plain.hls, "http://http.example/live/a.m3u8");
    assert_eq!(plain.hls_ts, "http://http.example/live/a/ts.m3u8");
    assert_eq!(plain.rtmp, "rtmp://http.example/live/a");
    assert_eq!(plain.watch, "http://http.example/watch/live/a");
    assert_eq!(urls("https://h").ws_flv, "wss://h/live/a.flv");
}

const PLAY_AUTH: &[(&str, &str)] = &[
    ("AUTH__PUSH__KEY", "push-key-of-16-chars"),
    ("AUTH__PLAY__ENABLED", "true"),
    ("AUTH__PLAY__KEY", "play-key-of-16-chars"),
    ("APPS__SHOP__AUTH__PLAY__KEY", "shop-key-of-16-chars"),
    ("APPS__OPEN__AUTH__PLAY__ENABLED", "false"),
];

#[test]
fn an_admitted_viewer_has_a_session_for_this_broadcast_only() {
    let access = access(PLAY_AUTH);
    let (live, one, other): (_, BroadcastId, BroadcastId) =
        (app("live"), "one".parse().unwrap(), "other".parse().unwrap());
    let session = access.hls_session(&live, &one).unwrap();
    assert!(access.is_hls_session(&live, &one, &session));
    assert!(!access.is_hls_session(&live, &other, &session), "another broadcast's");
    assert!(!access.is_hls_session(&app("shop"), &one, &session), "another app's");
    assert_ne!(access.hls_session(&live, &one).unwrap(), session, "each viewer has their own");
    assert!(
        Access::new(&settings(PLAY_AUTH)).unwrap().is_hls_session(&live, &one, &session),
        "after a restart"
    );
    for none in ["", "session=", "session", "sessio=x", "txSecret=0&txTime=0", "session=\u{e9}\u{e9}"] {
        assert!(!access.is_hls_session(&live, &one, none), "{none:?}");
    }
    for at in 0..session.len() {
        let mut tampered = session.clone().into_bytes();
        tampered[at] ^= 1;
        let tampered = String::from_utf8(tampered).unwrap();
        assert!(!access.is_hls_session(&live, &one, &tampered), "{tampered}");
        assert!(!access.is_hls_session(&live, &one, &session[..at]), "cut at {at}");
    }
    assert!(!access.is_hls_session(&live, &one, &format!("{session}0")));
}

#[test]
fn where_viewers_need_no_key_they_need_no_session() {
    let access = access(PLAY_AUTH);
    let (open, one): (_, BroadcastId) = (app("open"), "one".parse().unwrap());
    assert!(!access.play_is_signed(&open));
    assert_eq!(access.hls_session(&open, &one), None);
    assert!(access.is_hls_session(&open, &one, ""));
    assert!(access.play(&open, &stream("a"), "").is_ok());
}

#[test]
fn a_push_key_opens_no_player_and_the_reverse() {
    let access = access(PLAY_AUTH);
    let (live, a) = (app("live"), stream("a"));
    let push = access.sign_push(&live, &a, unix_now() + Duration::from_secs(60));
    assert!(access.push(&live, &a, &push, unix_now()).is_ok());
    assert_eq!(access.play(&live, &a, &push), Err(KeyError::Mismatch));
    let play =
        access.doors(&live).play.as_ref().unwrap().sign(&live, &a, unix_now() + Duration::from_secs(60));
    assert!(access.play(&live, &a, &play.query()).is_ok());
    assert_eq!(access.push(&live, &a, &play.query(), unix_now()), Err(KeyError::Mismatch));
    assert_eq!(access.play(&app("shop"), &a, &play.query()), Err(KeyError::Mismatch), "shop has its own key");
}

#[test]
fn an_empty_key_opens_nothing() {
    assert!(Access::new(&settings(&[])).is_err(), "push authentication is on and nobody has filled in a key");
    assert!(Access::new(&settings(&PLAY_AUTH[..2])).is_err());
}

#[test]
fn a_guesser_is_shut_out() {
    let access = access(&[PLAY_AUTH, &[("LIMITS__FAILED_KEYS", "3")]].concat());
    let address = "192.0.2.1".parse().unwrap();
    (0..2).for_each(|_| access.refused(address));
    assert!(!access.is_shut_out(address));
    access.refused(address);
    assert!(access.is_shut_out(address));
}

#[test]
fn weak_settings_are_told() {
    let settings = settings(&[
        ("API__LISTEN", "0.0.0.0:8081"),
        ("AUTH__PUSH__KEY", "short"),
        ("APPS__TEST__AUTH__PUSH__ENABLED", "false"),
    ]);
    assert_eq!(
        weaknesses(&settings),
        [
            "auth.push.key is shorter than 16 characters",
            "apps.test.auth.push.enabled is false: anyone who reaches the RTMP port may push",
            "api.listen 0.0.0.0:8081 is reachable from other machines",
        ]
    );
}
