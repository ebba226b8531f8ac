//! One run: a broadcast, its faults, and what must be true of it.

use std::thread;

use serde_json::Value;

use crate::{
    plan::{self, Fault, Step},
    proxy::{Break, Proxy},
    support::{Kaibo, clip, flv, hls, push, seconds, wait_for},
    verdict,
};

const CONFIG: &str = "hls.segment = \"1s\"\nhls.window = \"60s\"";

/// A run with less media than this (ms) may be lost whole in a kill of the server, and its resume with it: a part is
/// half a second, and what is seen comes a little later than what is written.
const MAY_BE_LOST_MS: u32 = 1000;

/// What was seen of a broadcast from outside.
pub struct Seen {
    pub fmp4: hls::Viewer,
    pub ts: hls::Viewer,
    /// One for each life of the server.
    pub flv: Vec<flv::Viewer>,
    /// How often an encoder came back.
    pub resumes: usize,
    /// How many of those may have gone with the server before anything was on the disk.
    pub maybe_lost: usize,
    /// Which of the server's lives ended with a kill; all that are over.
    pub killed: Vec<bool>,
}

/// An encoder, with the wire it pushes over where that can break.
struct Push {
    encoder: push::Pusher,
    wire: Option<Proxy>,
}

impl Push {
    /// Pushes until `next` goes wrong.
    fn start(server: &Kaibo, smaller: bool, next: Option<&Step>) -> Self {
        let wire = next
            .is_some_and(|step| matches!(step.fault, Fault::WireBroken(_)))
            .then(|| Proxy::start(&server.at.rtmp));
        let mut url = server.push_url("room");
        if let Some(wire) = &wire {
            url = url.replace(&server.at.rtmp, &wire.at);
        }
        let clip = if smaller { clip::long_smaller() } else { clip::long() };
        Self { encoder: push::ffmpeg(&clip, &url), wire }
    }
}

/// Answers how many pictures each kill of the server has cost.
///
/// # Panics
/// If anything is not as it must be.
pub fn run(seed: u64, kills: bool) -> Vec<usize> {
    let plan = plan::of(seed, kills);
    let mut server = Kaibo::start(CONFIG);
    let mut smaller = false;
    let mut push = Push::start(&server, smaller, plan.first());
    let began = server.wait_for_state("room", "live", seconds(15));
    let mut seen = Seen {
        flv: vec![flv::Viewer::open(&server, "room")],
        fmp4: hls::Viewer::open(&server, "/live/room.m3u8"),
        ts: hls::Viewer::open(&server, "/live/room/ts.m3u8"),
        resumes: 0,
        maybe_lost: 0,
        killed: Vec::new(),
    };
    let mut began_ms = 0;
    // Encoders that hang, with their connections open.
    let mut hanging = Vec::new();
    for (index, step) in plan.iter().enumerate() {
        let viewer = seen.flv.last().unwrap();
        viewer.wait_for_time(began_ms + step.after_ms);
        let stopped_ms = viewer.newest_picture().unwrap();
        let mut restarted = false;
        match step.fault {
            Fault::EncoderKilled | Fault::OtherSize => {
                push.encoder.kill9();
                server.wait_for_state("room", "interrupted", seconds(3));
            }
            Fault::WireBroken(how) => {
                push.wire.as_ref().unwrap().cut(how);
                if how == Break::BlackHole {
                    hanging.push(push);
                } else {
                    server.wait_for_state("room", "interrupted", seconds(3));
                }
            }
            Fault::EncoderFrozen => {
                push.encoder.freeze();
                hanging.push(push);
            }
            Fault::ServerKilled => {
                server.kill9();
                restarted = true;
                seen.maybe_lost += usize::from(index > 0 && stopped_ms - began_ms < MAY_BE_LOST_MS);
            }
            Fault::ServerStopped => {
                assert!(server.terminate().success());
                restarted = true;
            }
        }
        thread::sleep(step.away);
        if restarted {
            seen.killed.push(step.fault == Fault::ServerKilled);
            server.restart();
            server.wait_for_state("room", "interrupted", seconds(3));
        }
        let ended = seen.fmp4.seen().playlist.is_some_and(|playlist| playlist.ended);
        assert!(!ended, "ENDLIST while the broadcast waits");
        smaller ^= step.fault == Fault::OtherSize;
        push = Push::start(&server, smaller, plan.get(index + 1));
        seen.resumes += 1;
        back(&server, &began, seen.resumes);
        assert_eq!(hls::media_playlist(&server, "/live/room.m3u8"), seen.fmp4.url);
        if restarted {
            seen.flv.push(flv::Viewer::open(&server, "room"));
            let viewer = seen.flv.last().unwrap();
            began_ms = wait_for("pictures", seconds(5), || first_picture(viewer));
        } else {
            // Until here the last picture was held.
            began_ms = seen.flv.last().unwrap().newest_picture().unwrap();
        }
        // Whoever hung comes back to its senses, and harms nobody.
        hanging.iter().for_each(|push| push.encoder.thaw());
    }
    seen.flv.last().unwrap().wait_for_time(began_ms + 1500);
    assert!(push.encoder.is_running(), "the last encoder was closed: {}", push.encoder.said());
    push.encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    assert_eq!((&ended["id"], &ended["end_reason"]), (&began["id"], &"unpublished".into()));
    assert_eq!(server.broadcasts("room").len(), 1);
    let lost = verdict::check(&server, &seen, ended["replay"]["hls"].as_str().unwrap());
    eprintln!("seed {seed}: {} faults, {lost:?} pictures lost with the server", plan.len());
    lost
}

/// Waits until an encoder is back for the `resumes`th time, in the same broadcast.
fn back(server: &Kaibo, began: &Value, resumes: usize) {
    let back = wait_for(&format!("resume {resumes}"), seconds(15), || {
        let broadcast = server.broadcast("room");
        (broadcast["state"] == "live" && broadcast["resumes"] == resumes).then_some(broadcast)
    });
    for what in ["id", "started_at"] {
        assert_eq!(back[what], began[what], "{what}");
    }
    assert_eq!(back["replay"]["hls"], began["replay"]["hls"]);
}

fn first_picture(viewer: &flv::Viewer) -> Option<u32> {
    viewer.tags().iter().find(|tag| verdict::picture(tag).is_some()).map(|tag| tag.time_ms)
}
