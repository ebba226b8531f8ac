//! How many watched, as whoever counts them by hand knows it.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    backend::{at, call, command, create},
    support::{Kaibo, clip, hls, http, push, seconds, server::API_TOKEN, wait_until},
};

/// How far what the server counts may be from what the test saw, for each viewer: it comes a little later and goes a
/// little later, and machines are busy.
const OFF: f64 = 0.7;

/// Somebody who reads `path` until it is dropped, in the way of a player that says nothing of itself.
struct Reader {
    socket: TcpStream,
    came: Instant,
    bytes: Receiver<u64>,
}

impl Reader {
    fn open(server: &Kaibo, path: &str) -> Self {
        let mut socket = TcpStream::connect(&server.at.http).unwrap();
        // Of HTTP/1.0, so that a body is its bytes and no more.
        let head = format!("GET {path} HTTP/1.0\r\nHost: kaibo\r\nAccept: text/event-stream\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut first = [0; 1];
        socket.read_exact(&mut first).unwrap();
        let (came, mut reading) = (Instant::now(), socket.try_clone().unwrap());
        let (tell, bytes) = channel();
        thread::spawn(move || {
            let (mut buffer, mut sum) = (vec![0; 64 << 10], 1);
            while let Ok(read @ 1..) = reading.read(&mut buffer) {
                sum += read as u64;
            }
            let _ = tell.send(sum);
        });
        Self { socket, came, bytes }
    }

    /// Seconds that it was there, and what it got.
    fn close(self) -> (f64, u64) {
        self.socket.shutdown(Shutdown::Both).unwrap();
        (self.came.elapsed().as_secs_f64(), self.bytes.recv().unwrap())
    }
}

fn rtmp_player(server: &Kaibo, stream: &str) -> Child {
    let mut player = Command::new("rtmpdump");
    player.args(["-q", "--live", "-o", "/dev/null", "-r"]);
    player.arg(format!("rtmp://{}/live/{stream}", server.at.rtmp));
    player.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn audience(server: &Kaibo, made: &Value) -> Value {
    call(server, "GET", &format!("{}/audience", at(made)), Value::Null).ok()
}

fn table(server: &Kaibo, made: &Value, query: &str, accept: &str) -> http::Reply {
    let url = format!("http://{}{}/audience{query}", server.at.api, at(made));
    http::get(&url, &[("Authorization", &format!("Bearer {API_TOKEN}")), ("Accept", accept)])
}

/// Rows of a table as RFC 4180 has them.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' if quoted && signs.peek() == Some(&'"') => field.extend(signs.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted && signs.peek() == Some(&'\n') => {
                signs.next();
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            sign => field.push(sign),
        }
    }
    assert!(row.is_empty() && field.is_empty() && !quoted, "the last row ends, too");
    rows
}

/// The sum of `what` over the buckets of a phase.
fn sum(audience: &Value, phase: &str, what: &str) -> f64 {
    let buckets = audience["buckets"].as_array().unwrap();
    buckets
        .iter()
        .filter(|bucket| bucket["phase"] == phase)
        .map(|bucket| bucket[what].as_f64().unwrap())
        .sum()
}

#[test]
fn who_watches_is_counted_over_all_protocols_and_across_restarts() {
    let mut server = Kaibo::start("");
    let title = "=双十一, \"大促\"\n第二场";
    let made = create(&server, json!({ "stream": "room", "title": title, "auto_start": true }));
    let nobody = audience(&server, &made);
    assert_eq!((&nobody["viewers"], &nobody["total"]["views"]), (&json!(0), &json!(0)));
    assert_eq!((&nobody["total"]["peak"], &nobody["buckets"]), (&Value::Null, &json!([])));

    // A page and a player wait for the start.
    let page = Reader::open(&server, "/status/live/room");
    for _ in 0..2 {
        assert_eq!(server.get("/live/room.m3u8").status, 404);
    }
    wait_until("the page waits", seconds(3), || audience(&server, &made)["phases"]["before"]["views"] == 2);
    let before = audience(&server, &made)["phases"]["before"].clone();
    assert_eq!(before["peak"]["viewers"], 2, "{before}");

    let encoder = push::ffmpeg(&clip::long(), made["push"]["url"].as_str().unwrap());
    server.wait_for_state("room", "live", seconds(10));
    let flv = Reader::open(&server, "/live/room.flv");
    let mut player = rtmp_player(&server, "room");
    let connected = |protocol: &str| server.api("/streams/live/room")["viewers"][protocol] == 1;
    wait_until("the RTMP player watches", seconds(5), || connected("rtmp"));
    let rtmp = Instant::now();

    // Requests for three seconds, as players make them: what is counted is the real time between them.
    let list = hls::media_playlist(&server, "/live/room.m3u8");
    let (hls, mut sent) = (Instant::now(), 0);
    let mut watched = 0.0;
    for _ in 0..6 {
        sent += http::get(&list, &[]).body.len() as u64;
        watched = hls.elapsed().as_secs_f64();
        sleep(Duration::from_millis(500));
    }
    let all = server.api("/streams/live/room")["viewers"].clone();
    assert_eq!(all, json!({ "flv": 1, "ws_flv": 0, "rtmp": 1, "hls": 1 }), "the same ones");
    player.kill().unwrap();
    player.wait().unwrap();
    let rtmp = rtmp.elapsed().as_secs_f64();
    let (flv, flv_bytes) = flv.close();
    wait_until("they are gone", seconds(5), || {
        sum(&audience(&server, &made), "during", "leaves") == 2.0 && !connected("rtmp") && !connected("flv")
    });
    // What was asked for last is watched for a target duration: that has to pass, and nothing tells of it.
    sleep(Duration::from_secs_f64((watched + 2.0 - hls.elapsed().as_secs_f64()).max(0.0)));
    let seen = audience(&server, &made);
    let during = &seen["phases"]["during"];
    assert_eq!((&during["views"], &during["peak"]["viewers"]), (&json!(3), &json!(3)), "{seen}");
    let expected = flv + rtmp + watched + 2.0;
    let counted = during["watch_s"].as_f64().unwrap();
    assert!((counted - expected).abs() < 3.0 * OFF, "{counted} s, seen were {expected} s");
    assert!((during["average_watch_s"].as_f64().unwrap() * 3.0 - counted).abs() < 0.01);
    assert!((sum(&seen, "during", "watch_s") - counted).abs() < 0.001, "the buckets are all there is");
    let egress = &during["egress_bytes"];
    assert_eq!(egress["hls"], sent, "playlists to the byte");
    // What was sent and not read any more counts, heads of answers don't.
    let flv_counted = egress["flv"].as_u64().unwrap();
    assert!(
        flv_counted + 1000 >= flv_bytes && flv_counted < flv_bytes + (1 << 20),
        "{flv_counted} of {flv_bytes}"
    );
    assert!(egress["rtmp"].as_u64().unwrap() > 0 && egress["ws_flv"] == 0, "{egress}");
    // By address and player: those of this test that say nothing of themselves are one, ureq is another.
    assert!((2..=3).contains(&seen["viewers"].as_u64().unwrap()), "{seen}");
    let (_, _) = page.close();

    // A stop keeps everything, and so does a kill but for the last two minutes.
    assert!(server.terminate().success());
    drop(encoder);
    server.restart();
    let again = audience(&server, &made);
    assert_eq!(again["phases"]["during"], seen["phases"]["during"]);
    assert_eq!(again["viewers"], seen["viewers"]);
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let late = Reader::open(&server, "/live/room.flv");
    wait_until("the late one is counted", seconds(5), || {
        let now = audience(&server, &made);
        now["phases"]["during"]["views"] == 4 && now["viewers"] == seen["viewers"]
    });
    server.kill9();
    drop((encoder, late));
    server.restart();
    let survived = audience(&server, &made)["phases"]["during"].clone();
    assert!([3, 4].map(|views| json!(views)).contains(&survived["views"]), "{survived}");
    assert_eq!(survived["peak"], seen["phases"]["during"]["peak"]);

    // The replay has viewers of its own.
    command(&server, &made, "stop", Value::Null).ok();
    let replay = format!("/replay/{}.m3u8", made["id"].as_str().unwrap());
    wait_until("a replay", seconds(5), || server.get(&replay).status == 200);
    let after = audience(&server, &made)["phases"]["after"].clone();
    assert_eq!((&after["views"], &after["peak"]["viewers"]), (&json!(1), &json!(1)));
    assert!(after["egress_bytes"]["hls"].as_u64().unwrap() > 100, "{after}");
    assert!(server.metrics().contains("kaibo_viewers{protocol=\"replay\"} 1\n"), "{}", server.metrics());
    reads_as_a_table(&server, &made, title);

    call(&server, "DELETE", &at(&made), Value::Null);
    let gone = call(&server, "GET", &format!("{}/audience", at(&made)), Value::Null);
    assert_eq!(gone.refusal(), (404, "no_such_broadcast"));
}

#[test]
fn whoever_takes_a_file_or_watches_a_clip_is_counted_after_the_broadcast() {
    let server = Kaibo::start("");
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    encoder.wait();
    let made = server.wait_for_state("room", "ended", seconds(10));
    let after = || audience(&server, &made)["phases"]["after"].clone();
    let file = server.url(&format!("/replay/{}.mp4", made["id"].as_str().unwrap()));
    wait_until("the file", seconds(5), || http::head(&file).status == 200);
    assert_eq!((&after()["views"], &after()["egress_bytes"]["total"]), (&json!(0), &json!(0)), "nobody yet");

    let [downloads, plays, cuts] = ["downloads", "plays", "cuts"].map(|name| [("User-Agent", name)]);
    let whole = http::get(&file, &downloads).body.len() as u64;
    assert_eq!((&after()["views"], &after()["egress_bytes"]["mp4"]), (&json!(1), &json!(whole)));
    // A player asks for a piece at a time, and is one viewer.
    for range in ["bytes=0-999", "bytes=5000-5999", "bytes=1000-1999"] {
        assert_eq!(http::get(&file, &[plays[0], ("Range", range)]).body.len(), 1000);
    }
    assert_eq!((&after()["views"], &after()["egress_bytes"]["mp4"]), (&json!(2), &json!(whole + 3000)));

    let cut = command(&server, &made, "clips", json!({ "from_ms": 500, "to_ms": 1500 })).ok();
    let [list, film] = ["hls", "mp4"].map(|form| cut["urls"][form].as_str().unwrap().to_owned());
    let (list, film) = (http::get(&list, &cuts).body.len(), http::get(&film, &cuts).body.len());
    let seen = after();
    assert_eq!((&seen["views"], &seen["peak"]["viewers"]), (&json!(3), &json!(3)), "{seen}");
    let egress = &seen["egress_bytes"];
    assert_eq!((&egress["hls"], &egress["mp4"]), (&json!(list), &json!(whole + 3000 + film as u64)));
    assert_eq!(audience(&server, &made)["phases"]["during"]["views"], 0);
    let metrics = server.metrics();
    assert!(metrics.contains("kaibo_viewers{protocol=\"replay\"} 3\n"), "{metrics}");
    let sent = format!("kaibo_sent_bytes_total{{protocol=\"mp4\"}} {}\n", egress["mp4"]);
    assert!(metrics.contains(&sent), "{sent}: {metrics}");
}

fn reads_as_a_table(server: &Kaibo, made: &Value, title: &str) {
    let seen = audience(server, made);
    let reply = table(server, made, "", "text/csv");
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert!(reply.header("content-disposition").contains(".csv"));
    let text = reply.text();
    let text = text.strip_prefix('\u{FEFF}').expect("Excel takes it for another alphabet");
    let rows = rows(text);
    let [head, total, before, during, after, buckets @ ..] = &rows[..] else { panic!("{text}") };
    assert!(rows.iter().all(|row| row.len() == head.len()), "{text}");
    let field = |row: &[String], name: &str| row[head.iter().position(|head| head == name).unwrap()].clone();
    assert!(rows[1..].iter().all(|row| field(row, "title") == format!("'{title}")), "no formula: {text}");
    for (row, counts) in [
        (total, &seen["total"]),
        (before, &seen["phases"]["before"]),
        (during, &seen["phases"]["during"]),
        (after, &seen["phases"]["after"]),
    ] {
        assert_eq!(field(row, "views"), counts["views"].to_string());
        assert_eq!(field(row, "peak"), counts["peak"]["viewers"].to_string());
        assert_eq!(field(row, "egress_bytes"), counts["egress_bytes"]["total"].to_string());
    }
    assert_eq!(field(total, "viewers"), seen["viewers"].to_string());
    let slots = seen["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), slots.len());
    for (row, slot) in buckets.iter().zip(slots) {
        assert_eq!(field(row, "at"), slot["at"].as_str().unwrap());
        assert_eq!(field(row, "views"), slot["joins"].to_string());
    }
    assert_eq!(table(server, made, "?format=json", "text/csv").header("content-type"), "application/json");
    assert!(table(server, made, "?format=csv", "").text().starts_with('\u{FEFF}'));
    assert_eq!(table(server, made, "?format=xlsx", "").status, 422);
}
