//! A server that begins with much on its disk.
//!
//! Other sizes: `KAIBO_STARTUP=RECORDINGS,LIVE,TORN cargo test --test server startup -- --nocapture`, with
//! `KAIBO_BIN` another server.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flate2::Crc;
use serde_json::{Value, json};

use crate::support::{Kaibo, clip, hls_checker::Checker, http, push, seconds};

/// What a recording is to have.
const GIBIBYTE: u64 = 1 << 30;

/// A second as an index counts.
const FLICKS: i64 = 705_600_000;

/// A real recording, of which long ones are made: its segments follow each other again and again, as links.
struct Pattern {
    folder: PathBuf,
    /// When it is to have begun, in milliseconds since 1970.
    began: u64,
    opened: Value,
    init: Value,
    /// Number, bytes, and facts of each segment of 1 s.
    segments: Vec<(u64, u64, Vec<Value>)>,
}

impl Pattern {
    fn read(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("index.jsonl")).unwrap();
        let facts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()[1].take());
        let (mut opened, mut init, mut segments) =
            (Value::Null, Value::Null, Vec::<(u64, u64, Vec<Value>)>::new());
        for fact in facts {
            match fact.as_object().unwrap().keys().next().unwrap().as_str() {
                "opened" => opened = fact,
                "init" => init = fact,
                "begin" => segments.push((fact["begin"]["number"].as_u64().unwrap(), 0, vec![fact])),
                "part" | "end" => {
                    let (_, bytes, facts) = segments.last_mut().unwrap();
                    *bytes += fact["part"]["len"].as_u64().unwrap_or(0);
                    facts.push(fact);
                }
                _ => {}
            }
        }
        // The last one may be short.
        segments.pop();
        assert!(segments.len() >= 3);
        // A gibibyte takes less than 17 minutes, and its broadcast waits for its publisher.
        Self { began: wall() - 1_000_000, folder, opened, init, segments }
    }

    /// Makes a recording of a gibibyte in `folder`. `torn`: as a kill leaves it, in the middle of a part and of a line.
    fn repeat(&self, folder: &Path, torn: bool, finished: bool) {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir(folder).unwrap();
        fs::hard_link(self.folder.join("init-0.mp4"), folder.join("init-0.mp4")).unwrap();
        let (mut lines, mut bytes, mut number) = (Vec::new(), 0, 0);
        add(&mut lines, &self.opened);
        add(&mut lines, &self.init);
        while bytes < GIBIBYTE {
            let (from, length, facts) = &self.segments[number as usize % self.segments.len()];
            number += 1;
            let file = folder.join(format!("{number}.m4s"));
            let is_last = bytes + length >= GIBIBYTE;
            if torn && is_last {
                let whole = fs::read(self.folder.join(format!("{from}.m4s"))).unwrap();
                fs::write(file, &whole[..whole.len() - 100]).unwrap();
            } else {
                fs::hard_link(self.folder.join(format!("{from}.m4s")), file).unwrap();
            }
            for fact in facts {
                let mut fact = fact.clone();
                if let Some(begin) = fact.get_mut("begin") {
                    begin["number"] = number.into();
                    begin["start"] = (number as i64 * FLICKS).into();
                    begin["wall"] = (self.began + number * 1000).into();
                }
                if !(torn && is_last && fact.get("end").is_some()) {
                    add(&mut lines, &fact);
                }
            }
            bytes += length;
        }
        if torn {
            lines.truncate(lines.len() - 5);
        } else if finished {
            let duration = number as i64 * FLICKS;
            let facts = json!({ "reason": "stopped", "wall": wall(), "segments": number, "bytes": bytes,
                "duration": duration, "truncated": false });
            add(&mut lines, &json!({ "finished": facts }));
        }
        fs::write(folder.join("index.jsonl"), lines).unwrap();
    }
}

/// Adds a line with its checksum.
fn add(lines: &mut Vec<u8>, fact: &Value) {
    let text = fact.to_string();
    let mut sum = Crc::new();
    sum.update(text.as_bytes());
    writeln!(lines, "[{},{text}]", sum.sum()).unwrap();
}

fn wall() -> u64 {
    crate::support::server::unix_seconds() as u64 * 1000
}

/// How many recordings, how many of them of broadcasts that go on, and how many that a kill has torn besides those.
fn sizes() -> [usize; 3] {
    let Ok(sizes) = env::var("KAIBO_STARTUP") else { return [50, 5, 5] };
    let sizes: Vec<usize> = sizes.split(',').map(|size| size.parse().unwrap()).collect();
    sizes.try_into().unwrap()
}

/// How long a start may take. A debug build has some four times as much to do, on a machine that other tests keep busy.
fn most() -> Duration {
    if env::var("KAIBO_BIN").is_ok() { seconds(2) } else { seconds(8) }
}

#[test]
fn fifty_recordings_of_a_gibibyte_are_taken_up_in_seconds() {
    let [recordings, live, torn] = sizes();
    let mut server = Kaibo::start("hls.segment = \"1s\"\n[broadcast]\nmax_duration = \"10d\"");
    let encoder = push::ffmpeg(&clip::heavy(), &server.push_url("pattern"));
    server.wait_for_state("pattern", "live", seconds(15));
    crate::support::flv::Viewer::open(&server, "pattern").wait_for_time(5500);
    encoder.quit();
    let pattern = server.wait_for_state("pattern", "ended", seconds(5));
    // Those that go on are known to the store.
    let begin = |number: usize| -> String {
        let made = server.api_call("POST", "/broadcasts", &json!({ "stream": format!("room{number}") }));
        let id = made["id"].as_str().unwrap().to_owned();
        server.api_call("POST", &format!("/broadcasts/{id}/start"), &json!({ "force": true }));
        id
    };
    let going_on: Vec<String> = (0..live).map(begin).collect();
    server.kill9();
    let media = server.data().join("media");
    let pattern = Pattern::read(media.join(pattern["id"].as_str().unwrap()));
    for id in &going_on {
        pattern.repeat(&media.join(id), true, false);
    }
    let others: Vec<String> = (live..recordings).map(|number| format!("old-{number}")).collect();
    for (number, id) in others.iter().enumerate() {
        pattern.repeat(&media.join(id), number < torn, true);
    }

    let begun = Instant::now();
    let ready = server.restart_until_ready();
    let size = fs::read_dir(&media).unwrap().count();
    eprintln!(
        "{size} recordings of 1 GiB, {live} of broadcasts that go on and {torn} others torn: ready after {} ms",
        ready.as_millis()
    );
    assert!(ready <= most(), "ready after {ready:?}");
    // All of them play, those that were torn without what was torn, and those that go on do.
    let list = |id: &str| {
        let reply = http::get(&server.url(&format!("/replay/{id}.m3u8")), &[]);
        assert_eq!(reply.status, 200, "{id}: {}", reply.text());
        Checker::default().observe(&reply.text()).unwrap()
    };
    let whole = list(others.last().unwrap()).segments.len();
    for (number, id) in others.iter().enumerate() {
        let list = list(id);
        assert!(list.ended);
        assert!(list.segments.len() + usize::from(number < torn) >= whole, "{id}: {}", list.segments.len());
    }
    for id in &going_on {
        assert!(list(id).segments.len() + 1 >= whole);
        assert_eq!(server.api(&format!("/broadcasts/{id}"))["state"], "interrupted");
    }
    eprintln!("all of them listed after {} ms", begun.elapsed().as_millis());
}
