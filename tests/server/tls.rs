//! HTTPS and RTMPS: the same broadcasts, and certificates that change while they go on.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

use crate::{
    exact::same_frames,
    resume::assert_contiguous,
    support::{
        Kaibo, clip, flv,
        probe::{self, audio, video},
        push, rtmp, seconds,
        tls::{Certificate, H2, next},
        wait_until,
    },
};

fn rtmps_url(server: &Kaibo, stream: &str) -> String {
    format!("rtmps://{}/live/{stream}?{}", server.at.rtmps, server.signature(stream, 3600))
}

/// What curl gets at `path` when it trusts `certificate`.
fn curl(server: &Kaibo, certificate: &Certificate, options: &[&str], path: &str) -> Output {
    Command::new("curl")
        .args(["-sS", "--max-time", "10", "-w", "%{stderr}%{http_version} %{http_code}", "--cacert"])
        .arg(certificate.cert())
        .args(options)
        .arg(format!("https://{}{path}", server.at.https))
        .output()
        .unwrap()
}

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

#[test]
fn an_encoder_pushes_and_a_player_plays_over_rtmps() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&certificate.config());
    let mut push = push::ffmpeg(&clip::long(), &rtmps_url(&server, "room"));
    server.wait_for_state("room", "live", seconds(10));
    let played = probe::tracks(format!("rtmps://{}/live/room", server.at.rtmps));
    assert_eq!(played, [audio("aac"), video("h264", 320, 180)]);
    let plain = flv::Viewer::open(&server, "room");
    plain.wait_for_time(3000);
    assert_contiguous(&plain);
    assert!(push.is_running());
    push.quit();
    server.wait_for_state("room", "ended", seconds(5));
}

#[test]
fn pushes_that_nobody_watches_are_taken_as_fast_as_they_come() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&certificate.config());
    // 20 s of 8 Mbit/s.
    let clip = clip::heavy();
    let begin = Instant::now();
    let pushes =
        [server.push_url("plain"), rtmps_url(&server, "encrypted")].map(|url| push::ffmpeg(&clip, &url));
    for mut push in pushes {
        assert!(push.wait().success(), "{}", push.said());
    }
    let took = begin.elapsed();
    assert!(took < seconds(35), "{took:?}");
    for stream in ["plain", "encrypted"] {
        let ended = server.wait_for_state(stream, "ended", seconds(5));
        same_frames(&clip, Path::new(ended["replay"]["hls"].as_str().unwrap()));
    }
}

#[test]
fn viewers_have_http_2_and_http_1_over_tls() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&certificate.config());
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    let files = format!("/live/room/{}", live["id"].as_str().unwrap());
    let get = |option: &str, path: &str| {
        let got = curl(&server, &certificate, &[option], path);
        (String::from_utf8(got.stderr).unwrap(), got.stdout)
    };
    let (said, playlist) = get("--http2", &format!("{files}/live.m3u8"));
    let playlist = String::from_utf8(playlist).unwrap();
    assert_eq!(said, "2 200", "{playlist}");
    let name = playlist.lines().find(|line| line.ends_with(".m4s")).unwrap();
    let (said, segment) = get("--http2", &format!("{files}/{name}"));
    assert_eq!(said, "2 200");
    assert_eq!(get("--http1.1", &format!("{files}/{name}")), ("1.1 200".into(), segment.clone()));
    assert_eq!(segment, server.get(&format!("{files}/{name}")).body, "the same bytes everywhere");

    for (option, version) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        // It goes on until curl has had enough of it.
        let got = curl(&server, &certificate, &[option, "--max-time", "2"], "/live/room.flv");
        let said = String::from_utf8(got.stderr).unwrap();
        assert!(said.contains(version), "{said}");
        assert!(got.stdout.starts_with(b"FLV\x01") && got.stdout.len() > 20_000, "{}", got.stdout.len());
    }
}

#[test]
fn a_websocket_viewer_over_tls_gets_every_frame() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&certificate.config());
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::over_websocket(
        &format!("wss://{}/live/room.flv", server.at.https),
        certificate.connect(&server.at.https, None),
    );
    viewer.wait_for_time(3000);
    assert_contiguous(&viewer);
}

#[test]
fn three_hundred_waiting_requests_share_one_connection() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&certificate.config());
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    runtime().block_on(async {
        let viewer = H2::connect(&server.at.https, &certificate, 64 << 10).await;
        let mut waiting = JoinSet::new();
        for _ in 0..300 {
            let viewer = viewer.clone();
            // The first segment is complete after 2 s.
            waiting.spawn(async move { (viewer.get("/live/room.m3u8").await.status(), Instant::now()) });
        }
        let answers = waiting.join_all().await;
        assert!(answers.iter().all(|(status, _)| *status == 200));
        let first = answers.iter().map(|(_, at)| *at).min().unwrap();
        let last = answers.iter().map(|(_, at)| *at).max().unwrap();
        assert!(last - first < Duration::from_millis(300), "{:?}", last - first);
    });
}

#[test]
fn a_request_whose_window_stays_shut_is_dropped_and_its_neighbours_go_on() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&format!("limits.viewer_stall = \"1s\"\n{}", certificate.config()));
    let _push = push::ffmpeg(&clip::heavy(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewers = || server.api("/streams")["items"][0]["viewers"]["flv"].as_u64().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let client = H2::connect(&server.at.https, &certificate, 64 << 10).await;
        let mut stalled = client.get("/live/room.flv").await;
        let mut watching = client.get("/live/room.flv").await;
        let begin = Instant::now();
        let mut seen = 0;
        while begin.elapsed() < seconds(4) {
            let bytes = timeout(seconds(2), next(&mut watching)).await.expect("it goes on");
            seen += bytes.unwrap().unwrap().len();
        }
        assert!(seen > 1 << 20, "{seen} bytes");
        assert_eq!(viewers(), 1, "the stalled one is not held any longer");
        let broken = loop {
            match next(&mut stalled).await {
                Some(Ok(_)) => {}
                end => break end,
            }
        };
        assert!(broken.is_some_and(|end| end.is_err()), "it is told that this was not all");
    });
}

/// An HTTP/2 frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Says `frames` after the preface and an empty SETTINGS; how long the server takes to close.
fn time_to_close_h2(server: &Kaibo, certificate: &Certificate, frames: &[u8]) -> Duration {
    let mut tls = certificate.connect(&server.at.https, Some(b"h2"));
    let begin = Instant::now();
    // An error is the server's close, which is what is waited for.
    let _ = tls.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..], frames].concat());
    let mut answer = [0; 4096];
    loop {
        match tls.read(&mut answer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                assert!(error.kind() != ErrorKind::WouldBlock, "still open after {:?}", begin.elapsed());
                break;
            }
        }
    }
    begin.elapsed()
}

#[test]
fn floods_of_http_2_are_cut_off_and_cost_little() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&certificate.config());
    let before = server.memory();
    // GET https://h/ (RFC 7541, appendix A).
    let head = [0x82, 0x87, 0x84, 0x01, 1, b'h'];
    let reset = |stream| [frame(1, 5, stream, &head), frame(3, 0, stream, &8_u32.to_be_bytes())].concat();
    let rapid_reset: Vec<u8> = (0..20_000).flat_map(|number| reset(2 * number + 1)).collect();
    // A header field that is never indexed, again and again, in a head that never ends.
    let field = [&[0x10, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let endless = [frame(1, 1, 1, &head), (0..2000).flat_map(|_| frame(9, 0, 1, &field)).collect()].concat();
    for (what, frames) in [("rapid reset", rapid_reset), ("a head without end", endless)] {
        let taken = time_to_close_h2(&server, &certificate, &frames);
        assert!(taken < seconds(5), "{what}: closed after {taken:?}");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 16 << 20, "it cost {grown} bytes");
    assert!(curl(&server, &certificate, &["--http2"], "/status/live/room").status.success());
}

#[test]
fn requests_count_as_viewers_connections_do() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&format!("limits.http_connections_per_address = 4\n{}", certificate.config()));
    let _push = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    runtime().block_on(async {
        let client = H2::connect(&server.at.https, &certificate, 64 << 10).await;
        let mut watching = Vec::new();
        for _ in 0..3 {
            watching.push(client.get("/live/room.flv").await);
        }
        assert!(watching.iter().all(|answer| answer.status() == 200));
        assert_eq!(client.get("/live/room.flv").await.status(), 503, "its connection takes the fourth place");
        drop(watching.pop());
        let begin = Instant::now();
        while client.get("/status/live/room").await.status() != 200 {
            assert!(begin.elapsed() < seconds(5), "a viewer who left gives its place back");
        }
    });
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_the_old_ones_live_on() {
    let (certificate, old, new) = (Certificate::make(), Certificate::make(), Certificate::make());
    certificate.replace_by(&old);
    let server = Kaibo::start(&certificate.config());
    let mut push = push::ffmpeg(&clip::long(), &rtmps_url(&server, "room"));
    server.wait_for_state("room", "live", seconds(10));
    let runtime = runtime();
    let mut viewer = runtime
        .block_on(async { H2::connect(&server.at.https, &old, 64 << 10).await.get("/live/room.flv").await });
    let trusts = |certificate: &Certificate| {
        curl(&server, certificate, &["--http2"], "/status/live/room").status.success()
    };
    assert!(trusts(&old) && !trusts(&new));
    certificate.replace_by(&new);
    wait_until("the new certificate is shown", seconds(5), || trusts(&new));
    assert!(!trusts(&old));
    let goes_on = runtime.block_on(async {
        let begin = Instant::now();
        let mut seen = Bytes::new();
        while begin.elapsed() < seconds(1) {
            seen = timeout(seconds(1), next(&mut viewer)).await.unwrap().unwrap().unwrap();
        }
        !seen.is_empty()
    });
    assert!(goes_on && push.is_running());
    assert_eq!(server.broadcast("room")["resume_count"].as_u64().unwrap_or(0), 0);
}

#[test]
fn who_speaks_another_language_is_closed_at_once() {
    let certificate = Certificate::make();
    let server = Kaibo::start(&certificate.config());
    let say = |address: &str, bytes: &[u8]| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(seconds(25))).unwrap();
        // An error is the server's close, which is what the test waits for.
        let _ = socket.write_all(bytes);
        socket
    };
    let mut tls = certificate.connect(&server.at.rtmp, None);
    let begin = Instant::now();
    assert!(tls.write_all(&[3]).is_err(), "TLS to the plain RTMP port");
    assert!(begin.elapsed() < seconds(3));
    for (what, socket) in [
        ("HTTP to the HTTPS port", say(&server.at.https, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")),
        ("RTMP to the RTMPS port", say(&server.at.rtmps, &[3; 1537])),
        ("HTTP/2 in the clear to the HTTP port", say(&server.at.http, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    ] {
        let taken = rtmp::time_to_close(socket);
        assert!(taken < seconds(3), "{what}: closed after {taken:?}");
    }
    let taken = rtmp::time_to_close(say(&server.at.https, b"\x16\x03\x01"));
    assert!((seconds(8)..seconds(13)).contains(&taken), "a stalled handshake: closed after {taken:?}");
}

#[test]
fn a_certificate_that_can_not_be_served_is_found_out_by_check() {
    let (certificate, other) = (Certificate::make(), Certificate::make());
    let config = certificate.folder().join("config.toml");
    let check = |cert: &Path, key: &Path| {
        std::fs::write(&config, format!("[http.tls]\ncert = {cert:?}\nkey = {key:?}\n")).unwrap();
        let said =
            Command::new(env!("CARGO_BIN_EXE_kaibo")).args(["check", "-c"]).arg(&config).output().unwrap();
        (said.status.success(), String::from_utf8(said.stderr).unwrap())
    };
    let (cert, key) = (certificate.cert(), certificate.key());
    let (fine, said) = check(&cert, &key);
    assert!(fine, "{said}");
    let missing = certificate.folder().join("missing.pem");
    for (cert, key, complaint) in [
        (&missing, &key, "missing.pem: No such file"),
        (&key, &key, "key.pem holds no certificate in PEM form"),
        (&cert, &cert, "cert.pem holds no private key in PEM form"),
        (&cert, &other.key(), "is not that of the first certificate in"),
        (&cert, &Path::new("").to_path_buf(), "a certificate needs a key, and a key a certificate"),
    ] {
        let (fine, said) = check(cert, key);
        assert!(!fine && said.contains("config.toml:1:7: http.tls: ") && said.contains(complaint), "{said}");
    }
}
