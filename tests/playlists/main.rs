//! What players rely on, over a whole broadcast with resumes, another size of the picture and a killed server: the rules
//! for playlists (H, L) on the plain, the TS and the low-latency list of a real server, and its media in real readers.
//!
//! The short form takes half a minute; `scripts/hls-check MINUTES` is the long one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and tells what it found"
)]

mod boxes;
mod follow;
mod serving;
#[path = "../server/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "made for the tests of the server; these need a part of it")]
mod support;
mod transport;
mod violations;

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use follow::{Follower, Phase, Seen, Stage, Way};
use support::{Kaibo, clip, hls, hls_checker::Checker, http, probe, push, seconds, wait_for};
use violations::Violations;

/// What goes wrong, one after the other, for as long as there is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    EncoderKilled,
    /// The encoder comes back with pictures of another size.
    OtherSize,
    ServerKilled,
}

const EVENTS: [Event; 4] =
    [Event::EncoderKilled, Event::OtherSize, Event::ServerKilled, Event::EncoderKilled];

/// How long everything takes.
struct Length {
    live: Duration,
    /// How long an encoder is away; every fourth time three times as long.
    away: Duration,
    events: usize,
    config: &'static str,
}

fn length() -> Length {
    let Ok(minutes) = env::var("KAIBO_HLS_MINUTES") else {
        // Short segments, so that as many come and leave.
        let config = "hls.segment = \"1s\"\nhls.window = \"8s\"";
        return Length { live: seconds(4), away: seconds(2), events: 3, config };
    };
    let minutes: u64 = minutes.parse().unwrap_or_else(|error| panic!("KAIBO_HLS_MINUTES={minutes}: {error}"));
    // Half a minute live, and some ten seconds for what goes wrong.
    Length { live: seconds(28), away: seconds(6), events: (minutes * 60 / 40) as usize, config: "" }
}

#[test]
fn playlists_keep_their_rules() {
    let length = length();
    let violations = Violations::default();
    let stage = Stage::default();
    stage.set(Phase::Live);
    let mut server = Kaibo::start(length.config);
    let mut smaller = false;
    let mut encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let began = server.wait_for_state("room", "live", seconds(15));
    let mut followers = follow_all(&server, &stage, &violations);
    let started = Instant::now();
    // Every resume is one, and so is a restart of the server that holds the picture.
    let (mut resumes, mut joints) = (0, 0);
    let mut since = None;
    for index in 0..length.events {
        thread::sleep(length.live);
        look_around(&server, &followers, if smaller { (256, 144) } else { (320, 180) }, since, &violations);
        let event = EVENTS[index % EVENTS.len()];
        let away = if index % 4 == 3 { length.away * 3 } else { length.away };
        println!("{:4} s: {event:?}", started.elapsed().as_secs());
        if event == Event::ServerKilled {
            stage.set(Phase::Down);
            server.kill9();
            drop(encoder);
            server.restart();
            let waiting = server.wait_for_state("room", "interrupted", seconds(5));
            joints += usize::from(waiting["holding"] == true);
        } else {
            stage.set(Phase::Away);
            encoder.kill9();
            server.wait_for_state("room", "interrupted", seconds(3));
        }
        thread::sleep(away);
        stage.set(Phase::Returning);
        smaller ^= event == Event::OtherSize;
        let clip = if smaller { clip::long_smaller() } else { clip::long() };
        encoder = push::ffmpeg(&clip, &server.push_url("room"));
        resumes += 1;
        joints += 1;
        since = back(&server, &followers, &began, (resumes, joints), &violations);
        stage.set(Phase::Live);
    }
    thread::sleep(length.live);
    look_around(&server, &followers, if smaller { (256, 144) } else { (320, 180) }, since, &violations);
    stage.set(Phase::Returning);
    assert!(encoder.is_running(), "the encoder was closed: {}", encoder.said());
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    for follower in &mut followers {
        let end = follower.finish(seconds(15));
        violations.unless(end, "H9", || format!("no ENDLIST in {}", follower.url));
        check_media(&server, follower, joints, &violations);
        if follower.way == Way::LowLatency {
            serving::check_ended(follower, &violations);
        }
        tell(follower, &violations);
    }
    check_replay(ended["replay"]["hls"].as_str().unwrap(), &violations);
    check_next_broadcast(&server, &followers, &violations);
    println!("{} s, {resumes} resumes: {} violations", started.elapsed().as_secs(), violations.count());
    assert_eq!(violations.count(), 0, "\n{violations}");
}

/// Viewers of every list that there is.
fn follow_all(server: &Kaibo, stage: &Stage, violations: &Violations) -> Vec<Follower> {
    let list = |way_in: &str| {
        wait_for(way_in, seconds(10), || (server.get(way_in).status == 200).then_some(()));
        hls::media_playlist(server, way_in)
    };
    let fmp4 = list("/live/room.m3u8");
    let low = http::get(&fmp4, &[]).text().contains("#EXT-X-PART-INF");
    let mut ways = vec![(Way::Plain, fmp4.clone()), (Way::Ts, list("/live/room/ts.m3u8"))];
    if low {
        ways.push((Way::LowLatency, fmp4));
    } else {
        println!("no EXT-X-PART-INF: the server has no low-latency list, L1 to L9 are not looked at");
    }
    let start =
        |(way, url)| Follower::start(way, url, server.scratch(&format!("{way:?}")), stage, violations);
    ways.into_iter().map(start).collect()
}

/// What can be asked of a live broadcast at any time. `since`: the first segment of the encoder that pushes.
fn look_around(
    server: &Kaibo,
    followers: &[Follower],
    size: (u64, u64),
    since: Option<u64>,
    violations: &Violations,
) {
    for follower in followers {
        let way_in = if follower.way == Way::Ts { "/live/room/ts.m3u8" } else { "/live/room.m3u8" };
        if follower.way == Way::LowLatency {
            serving::check_directives(follower, violations);
            continue;
        }
        serving::check(server, follower, violations);
        serving::check_multivariant(server, way_in, size, since, follower, violations);
        let url = hls::media_playlist(server, way_in);
        violations
            .unless(url == follower.url, "H3", || format!("the list moved from {} to {url}", follower.url));
    }
}

/// Waits until the encoder is back in the same broadcast and every viewer has seen a whole segment of it; its number.
fn back(
    server: &Kaibo,
    followers: &[Follower],
    began: &serde_json::Value,
    (resumes, joints): (usize, usize),
    violations: &Violations,
) -> Option<u64> {
    let live = wait_for(&format!("resume {resumes}"), seconds(15), || {
        let broadcast = server.broadcast("room");
        (broadcast["state"] == "live" && broadcast["resumes"] == resumes).then_some(broadcast)
    });
    violations.unless(live["id"] == began["id"], "L14", || format!("another broadcast: {live}"));
    let mut first = None;
    for follower in followers {
        let tagged = |seen: &Seen| {
            let tagged: Vec<u64> = seen
                .segments
                .iter()
                .filter(|(_, kept)| kept.segment.tagged)
                .map(|(&number, _)| number)
                .collect();
            (tagged.len() >= joints).then(|| tagged.last().copied())
        };
        let deadline = Instant::now() + seconds(12);
        loop {
            if let Some(number) = tagged(&follower.seen.lock().unwrap()) {
                first = number;
                break;
            }
            if Instant::now() > deadline {
                violations.add("L12", format!("{:?}: no DISCONTINUITY for resume {resumes}", follower.way));
                break;
            }
            thread::sleep(seconds(1) / 10);
        }
    }
    first
}

/// All the media that a viewer was given, in ffmpeg.
fn check_media(server: &Kaibo, follower: &Follower, expected: usize, violations: &Violations) {
    let seen = follower.seen.lock().unwrap();
    let whole = seen.segments.keys().copied().eq(1..=seen.segments.len() as u64);
    violations.unless(whole, "H3", || format!("numbers are left out: {:?}", seen.segments.keys()));
    let joints = seen.segments.values().filter(|kept| kept.segment.tagged).count();
    violations.unless(joints == expected, "L12", || {
        format!("{:?}: {joints} times DISCONTINUITY instead of {expected}", follower.way)
    });
    let segments: Vec<_> = seen.segments.values().collect();
    for (index, run) in segments.chunk_by(|a, b| a.segment.map == b.segment.map).enumerate() {
        let mut bytes = run[0].segment.map.as_ref().map(|map| seen.maps[map].clone()).unwrap_or_default();
        for kept in run {
            bytes.extend(fs::read(&kept.file).unwrap());
        }
        let ending = if follower.way == Way::Ts { "ts" } else { "mp4" };
        let file = server.scratch(&format!("{:?}-{index}.{ending}", follower.way));
        fs::write(&file, bytes).unwrap();
        if follower.way == Way::Ts {
            let said = probe::complaints(&file);
            violations.unless(said.is_empty(), "H12", || format!("ffmpeg on all of TS: {said}"));
        } else {
            let said = probe::decoding_complaints(&file);
            violations.unless(said.is_empty(), "H4", || format!("ffmpeg on what has MAP {index}: {said}"));
        }
        check_times(follower.way, &file, run, violations);
    }
}

/// H2: EXTINF is what there is; and times run on, over every joint.
fn check_times(way: Way, file: &std::path::Path, run: &[&follow::Kept], violations: &Violations) {
    let pictures = probe::packets(file, "v");
    let times: Vec<f64> = pictures.iter().map(|picture| picture.dts).collect();
    for pair in times.windows(2) {
        // A held picture comes twice a second, others thirty times.
        let step = pair[1] - pair[0];
        violations.unless(step > 0.0 && step <= 0.6, "L12", || {
            format!("{way:?}: a picture at {} s follows one at {} s", pair[1], pair[0])
        });
    }
    let said: u64 = run.iter().map(|kept| kept.segment.duration).sum();
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return violations.add("H2", format!("{way:?}: no pictures"));
    };
    let real = last - first + 1.0 / 30.0;
    // The last picture may be one that is held.
    violations.unless((said as f64 / 1e6 - real).abs() < 0.6, "H2", || {
        format!("{way:?}: EXTINF say {said} us, there are {real} s")
    });
}

fn check_replay(url: &str, violations: &Violations) {
    let playlist = wait_for("the final replay", seconds(5), || {
        let text = http::get(url, &[]).text();
        text.ends_with("#EXT-X-ENDLIST\n").then_some(text)
    });
    match Checker::default().observe(&playlist) {
        Ok(playlist) => violations.unless(playlist.kind.as_deref() == Some("VOD"), "H9", || {
            format!("the replay is {:?}", playlist.kind)
        }),
        Err(fault) => violations.add_named("replay", &fault),
    }
}

/// L13: what comes after the end is another broadcast, at another place.
fn check_next_broadcast(server: &Kaibo, followers: &[Follower], violations: &Violations) {
    let encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let url = hls::media_playlist(server, "/live/room.m3u8");
    violations
        .unless(followers.iter().all(|follower| follower.url != url), "L13", || format!("again at {url}"));
    drop(encoder);
}

fn tell(follower: &Follower, violations: &Violations) {
    let mut seen = follower.seen.lock().unwrap();
    println!("{:?}: {} reloads, {} segments", follower.way, seen.reloads, seen.segments.len());
    if follower.way == Way::LowLatency {
        seen.part_gaps.sort_unstable();
        let gap = |share: usize| seen.part_gaps.get(seen.part_gaps.len() * share / 100).copied().unwrap_or(0);
        println!(
            "  {} deltas, {} parts, {} hints redeemed; {} ms between parts at the median, {} ms p95, {} ms at the most",
            seen.deltas,
            seen.parts,
            seen.hints,
            gap(50),
            gap(95),
            seen.part_gaps.last().copied().unwrap_or(0)
        );
    }
    if seen.stood_still > 0 && seen.held {
        violations
            .add("H7", format!("{:?}: stood still {} times while away", follower.way, seen.stood_still));
    } else if seen.stood_still > 0 {
        println!("  no held picture: the list stood still while the publisher was away, against H7");
    }
}
