//! How many watch, and who they are where a proxy stands in between.

use std::io::{Read, Write};

use crate::{
    admission::{config, key},
    live::{Live, beside, uris},
    raw,
    support::{Kaibo, clip, http, push, seconds, server::API_TOKEN, wait_for},
};

fn hls_viewers(live: &Live) -> i64 {
    let viewers = live.server.api("/streams/live/room")["viewers"]["hls"].as_i64().unwrap();
    let url = format!("http://{}/metrics", live.server.at.api);
    let metrics = http::get(&url, &[("Authorization", &format!("Bearer {API_TOKEN}"))]).text();
    assert!(metrics.contains(&format!("kaibo_viewers{{protocol=\"hls\"}} {viewers}\n")), "{metrics}");
    viewers
}

#[test]
fn hls_viewers_are_counted_once_each() {
    let live = Live::start("http.trusted_proxies = [\"127.0.0.1\"]");
    assert_eq!(hls_viewers(&live), 0, "the way in is not watching yet");
    for _ in 0..3 {
        for (address, agent) in [("192.0.2.1", "Safari"), ("192.0.2.1", "Chrome"), ("192.0.2.2", "Safari")] {
            let who = [&*format!("X-Forwarded-For: {address}"), &format!("User-Agent: {agent}")];
            assert_eq!(live.get(&live.playlist, &who).status, 200);
            assert_eq!(live.get(&live.ts_playlist, &who).status, 200, "another list, the same viewer");
        }
    }
    assert_eq!(hls_viewers(&live), 3);
    let nothing = live.playlist.replace("live.m3u8", "99999.m4s");
    assert_eq!(live.get(&nothing, &["X-Forwarded-For: 192.0.2.3"]).status, 404);
    assert_eq!(hls_viewers(&live), 3, "whoever gets nothing does not watch");
    // While a player waits for what comes next, it is there.
    let next = uris(&live.get(&live.playlist, &["X-Forwarded-For: 192.0.2.1", "User-Agent: Safari"]).text());
    let next: u64 = next.last().unwrap().split('.').next().unwrap().parse().unwrap();
    let mut waiting = raw::connect(&live.server.at.http);
    let line = format!("GET {}?_HLS_msn={} HTTP/1.1\r\n", live.playlist, next + 2);
    waiting.write_all(format!("{line}Host: h\r\nX-Forwarded-For: 192.0.2.4\r\n\r\n").as_bytes()).unwrap();
    wait_for("the one that waits is counted", seconds(1), || (hls_viewers(&live) == 4).then_some(()));
    assert_eq!(raw::reply(&raw::read_head(&mut waiting)).status, 200);
}

#[test]
fn a_stranger_is_nobody_else_whatever_it_writes() {
    let live = Live::start("http.trusted_proxies = [\"192.0.2.0/24\"]");
    for host in 1..20 {
        let claims =
            [&*format!("X-Forwarded-For: 198.51.100.{host}"), &format!("Forwarded: for=10.0.0.{host}")];
        assert_eq!(live.get(&live.playlist, &claims).status, 200);
    }
    assert_eq!(hls_viewers(&live), 1);
}

#[test]
fn a_viewer_with_a_key_is_its_session() {
    let live = Live::start_signed(&config(1000), &key("room", 600));
    let session = || {
        let text = live.get(&format!("/live/room.m3u8?{}", key("room", 600)), &[]).text();
        beside("/live/room.m3u8", &uris(&text)[0])
    };
    let (one, other) = (session(), session());
    for _ in 0..3 {
        for list in [&one, &other] {
            let text = live.get(list, &[]).text();
            assert_eq!(live.get(&beside(list, uris(&text).last().unwrap()), &[]).status, 200);
        }
    }
    assert_eq!(hls_viewers(&live), 2, "though their address is the same");
    let forged = one.replacen("session=", "session=0", 1);
    assert_eq!(live.get(&forged, &[]).status, 403);
    assert_eq!(hls_viewers(&live), 2);
}

#[test]
fn a_session_is_for_one_viewer() {
    let live = Live::start_signed(&config(1000), &key("room", 600));
    let text = live.get(&format!("/live/room.m3u8?{}", key("room", 600)), &[]).text();
    let list = beside("/live/room.m3u8", &uris(&text)[0]);
    let newest = uris(&live.get(&list, &[]).text());
    let newest: u64 = newest.last().unwrap().split('.').next().unwrap().parse().unwrap();
    let (path, query) = list.split_once('?').unwrap();
    let line = format!("GET {path}?_HLS_msn={}&{query} HTTP/1.1\r\nHost: h\r\n\r\n", newest + 2);
    let mut waiting: Vec<_> = (0..70).map(|_| raw::connect(&live.server.at.http)).collect();
    waiting.iter_mut().for_each(|socket| socket.write_all(line.as_bytes()).unwrap());
    let replies = waiting.iter_mut().map(|socket| {
        let head = raw::reply(&raw::read_head(socket));
        assert_eq!(head.header("access-control-allow-origin"), "*");
        (head.status, head.header("retry-after").to_owned())
    });
    let refused = replies.filter(|(status, _)| *status != 200).collect::<Vec<_>>();
    assert_eq!(refused, vec![(429, "1".to_owned()); 6]);
    assert_eq!(live.get(&list, &[]).status, 200, "and it goes on");
}

#[test]
fn limits_and_refused_keys_are_those_of_viewers_behind_a_proxy() {
    let proxies = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\nproxy_header = \"forwarded\"\n";
    let limits = "http_connections_per_address = 2\n";
    let live = Live::start_signed(&(config(1) + limits + proxies), &key("room", 600));
    let watch = |viewer: &str| {
        let mut socket = raw::connect(&live.server.at.http);
        let line = format!("GET /live/room.flv?{} HTTP/1.1\r\nHost: h\r\n", key("room", 600));
        let forged = "X-Forwarded-For: 203.0.113.1\r\n";
        socket.write_all(format!("{line}{forged}Forwarded: for={viewer}\r\n\r\n").as_bytes()).unwrap();
        let reply = raw::reply(&raw::read_head(&mut socket));
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{reply:?}");
        (socket, reply.status)
    };
    let held = [watch("192.0.2.1"), watch("192.0.2.1"), watch("192.0.2.2")];
    assert!(held.iter().all(|(_, status)| *status == 200));
    let (mut turned_away, status) = watch("192.0.2.1");
    assert_eq!(status, 503);
    // The proxy's connection goes on with another viewer's request.
    let mut body = vec![0; 4096];
    let _ = turned_away.read(&mut body).unwrap();
    turned_away
        .write_all(b"GET /status/live/room HTTP/1.1\r\nHost: h\r\nForwarded: for=192.0.2.3\r\n\r\n")
        .unwrap();
    assert_eq!(raw::reply(&raw::read_head(&mut turned_away)).status, 200);
    drop(held);

    let try_key = |viewer: &str, key: &str| {
        let reply = live.get(&format!("/live/room.m3u8?{key}"), &[&format!("Forwarded: for={viewer}")]);
        (reply.status, if reply.status == 200 { String::new() } else { reply.problem() })
    };
    assert_eq!(try_key("192.0.2.9", "").1, "play_key");
    assert_eq!(try_key("192.0.2.9", &key("room", 600)), (429, "too_many_keys".into()));
    assert_eq!(try_key("192.0.2.10", &key("room", 600)).0, 200, "another viewer of the same proxy");
}

#[test]
fn a_viewer_who_leaves_in_the_middle_leaves_nothing_to_the_next_one() {
    let server = Kaibo::start("");
    let _encoder = push::ffmpeg(&clip::heavy(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(20));
    let watch = || {
        let mut socket = raw::connect(&server.at.http);
        socket.write_all(b"GET /live/room.flv HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(raw::reply(&raw::read_head(&mut socket)).status, 200);
        socket
    };
    for _ in 0..100 {
        // A GOP is more than its socket takes.
        drop(watch());
        let mut begins = [0; 12];
        watch().read_exact(&mut begins).unwrap();
        let behind_its_length =
            begins.windows(2).position(|two| two == b"\r\n").map(|end| &begins[end + 2..]);
        assert!(behind_its_length.is_some_and(|body| body.starts_with(b"FLV")), "{begins:?}");
    }
}
