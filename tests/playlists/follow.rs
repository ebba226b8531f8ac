//! A viewer of one list, for as long as it goes on: every reload is checked, every segment and part fetched, and what has
//! left the list is fetched once more before it may be gone.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use md5::{Digest, Md5};

use crate::{
    boxes,
    support::{
        hls::beside,
        hls_checker::{Checker, Part, Playlist, Segment},
        http,
    },
    transport,
    violations::Violations,
};

/// How often a list is reloaded that doesn't block: often enough to see every version of it.
const RELOAD: Duration = Duration::from_millis(100);
/// The answers of a test's server to requests that have nothing to wait for, on a busy machine.
const BUSY: Duration = Duration::from_millis(1500);

/// What the broadcast is going through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Live,
    /// The publisher is away.
    Away,
    /// The publisher or the server comes back; the list may still be what it was.
    Returning,
    /// So is the server.
    Down,
}

/// Shared by the scenario and the viewers.
#[derive(Clone, Default)]
pub struct Stage(Arc<AtomicU8>);

impl Stage {
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.0.load(Ordering::Relaxed) == phase as u8
    }
}

/// How a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Plain,
    Ts,
    /// Blocking reloads, every other one a delta; hints and parts.
    LowLatency,
}

pub struct Kept {
    pub segment: Segment,
    pub file: PathBuf,
    pub size: usize,
    digest: [u8; 16],
}

#[derive(Default)]
pub struct Seen {
    pub playlist: Option<Playlist>,
    pub segments: BTreeMap<u64, Kept>,
    /// Initialisation sections by their URI.
    pub maps: BTreeMap<String, Vec<u8>>,
    pub reloads: usize,
    pub deltas: usize,
    pub parts: usize,
    pub hints: usize,
    /// Times between new parts while live, in milliseconds.
    pub part_gaps: Vec<u64>,
    /// A new segment came while the publisher had been away for a while.
    pub held: bool,
    /// The list stood still for longer than its rules allow while the publisher was away.
    pub stood_still: usize,
}

pub struct Follower {
    pub way: Way,
    pub url: String,
    pub seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// `folder` takes the segments.
    pub fn start(way: Way, url: String, folder: PathBuf, stage: &Stage, violations: &Violations) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let mut eyes = Eyes {
            way,
            url: url.clone(),
            folder,
            stage: stage.clone(),
            violations: violations.clone(),
            seen: seen.clone(),
            checker: Checker::default(),
            counters: transport::Counters::default(),
            list: None,
            parts: BTreeMap::new(),
            hints: BTreeMap::new(),
            left: VecDeque::new(),
            newest: (Instant::now(), None),
            newest_part: None,
            away_since: None,
        };
        let thread = thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) && !eyes.ended() {
                    eyes.look();
                    if way != Way::LowLatency || eyes.list.is_none() {
                        thread::sleep(RELOAD);
                    }
                }
                eyes.close();
            }
        });
        Self { way, url, seen, stop, thread: Some(thread) }
    }

    /// Follows to the end; at most for `patience`. Whether the end was seen.
    pub fn finish(&mut self, patience: Duration) -> bool {
        let begin = Instant::now();
        let thread = self.thread.take().unwrap();
        while begin.elapsed() < patience && !thread.is_finished() {
            thread::sleep(RELOAD);
        }
        self.stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        self.seen.lock().unwrap().playlist.as_ref().is_some_and(|playlist| playlist.ended)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A URI that was hinted at, and what came of asking for it.
struct Hint {
    asked: JoinHandle<Option<(u16, Vec<u8>, Duration)>>,
}

struct Eyes {
    way: Way,
    url: String,
    folder: PathBuf,
    stage: Stage,
    violations: Violations,
    seen: Arc<Mutex<Seen>>,
    checker: Checker,
    counters: transport::Counters,
    /// The newest low-latency list, of one server.
    list: Option<Playlist>,
    /// The bytes of parts, by segment and index.
    parts: BTreeMap<(u64, u64), Vec<u8>>,
    hints: BTreeMap<String, Hint>,
    /// What left the list, with the moment until which it must be there.
    left: VecDeque<(Instant, String, [u8; 16])>,
    /// The newest segment, and when it was seen first.
    newest: (Instant, Option<u64>),
    newest_part: Option<Instant>,
    away_since: Option<Instant>,
}

impl Eyes {
    fn ended(&self) -> bool {
        self.seen.lock().unwrap().playlist.as_ref().is_some_and(|playlist| playlist.ended)
    }

    fn fault(&self, message: &str) {
        self.violations.add_named(&format!("{:?}", self.way), message);
    }

    fn unless(&self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.fault(&message());
        }
    }

    fn look(&mut self) {
        if self.stage.is(Phase::Down) {
            // A server that was killed knows what it listed, not what had left the list before.
            self.left.clear();
        }
        let reloads = self.seen.lock().unwrap().reloads;
        let mut url = self.url.clone();
        let wanted = self.list.as_ref().map(next_part);
        if let Some((number, part)) = wanted {
            let delta = if reloads % 2 == 1 { "&_HLS_skip=YES" } else { "" };
            url = format!("{url}?_HLS_msn={number}&_HLS_part={part}{delta}");
        }
        let asked = Instant::now();
        let Ok(reply) = http::try_get(&url, &[]) else {
            self.server_is_away();
            return;
        };
        let target = self.target();
        if wanted.is_some() {
            let most = target * 3 + BUSY;
            self.unless(asked.elapsed() <= most, || format!("L6: {url} took {:?}", asked.elapsed()));
        }
        if reply.status == 503 && wanted.is_some() {
            // Nothing came for three target durations: right, unless something should have come.
            self.unless(!self.stage.is(Phase::Live), || format!("L6: {url} answers 503 while live"));
            return;
        }
        if reply.status != 200 {
            self.fault(&format!("H20: {url} answers {}: {}", reply.status, reply.text()));
            thread::sleep(RELOAD);
            return;
        }
        self.seen.lock().unwrap().reloads += 1;
        let text = reply.text();
        let playlist = if text.contains("#EXT-X-SKIP:") {
            self.seen.lock().unwrap().deltas += 1;
            self.checker.expand(&text)
        } else {
            self.checker.observe(&text)
        };
        let playlist = match playlist {
            Ok(playlist) => playlist,
            Err(fault) => return self.fault(&fault),
        };
        self.fetch_maps(&playlist);
        if let Some(low) = playlist.low_latency.clone().filter(|_| self.way == Way::LowLatency) {
            if let Some((number, part)) = wanted {
                let come = playlist.ended || next_part(&playlist) > (number, part);
                self.unless(come || !self.stage.is(Phase::Live), || {
                    format!("L6: answered before part {part} of segment {number}")
                });
            }
            self.fetch_parts(&playlist, Duration::from_micros(low.part_target));
            self.follow_hint(low.hint);
            self.list = Some(playlist.clone());
        }
        self.timely(&playlist);
        self.fetch_segments(&playlist);
        self.watch_leaving(&playlist);
        self.seen.lock().unwrap().playlist = Some(playlist);
        self.refetch(Instant::now());
    }

    fn target(&self) -> Duration {
        let seen = self.seen.lock().unwrap();
        Duration::from_secs(seen.playlist.as_ref().map_or(6, |playlist| playlist.target_duration))
    }

    fn server_is_away(&mut self) {
        self.unless(self.stage.is(Phase::Down) || self.stage.is(Phase::Returning), || {
            "H20: no answer".into()
        });
        // What it had said about parts is forgotten; segments are not.
        self.list = None;
        self.parts.clear();
        self.hints.clear();
        self.newest.0 = Instant::now();
        self.newest_part = None;
        thread::sleep(RELOAD);
    }

    /// The parts that are new.
    fn fetch_parts(&mut self, playlist: &Playlist, part_target: Duration) {
        for (place, part) in &playlist.parts {
            if self.parts.contains_key(place) {
                continue;
            }
            let Some(bytes) = self.fetch(&part.uri) else { return };
            self.check_part(part, &bytes);
            self.parts.insert(*place, bytes);
            self.seen.lock().unwrap().parts += 1;
            let now = Instant::now();
            if let Some(last) = self.newest_part.replace(now)
                && self.stage.is(Phase::Live)
            {
                let gap = now.duration_since(last);
                self.seen.lock().unwrap().part_gaps.push(gap.as_millis() as u64);
                self.unless(gap <= part_target * 2 + BUSY / 3, || format!("L9: {gap:?} between two parts"));
            }
        }
        let first = playlist.segments.first().map_or(0, |segment| segment.number);
        self.parts = self.parts.split_off(&(first, 0));
    }

    /// Asks for the part that is announced, as soon as it is.
    fn follow_hint(&mut self, hint: Option<String>) {
        let Some(hint) = hint.filter(|hint| !self.hints.contains_key(hint)) else { return };
        // Those that were never redeemed are let go.
        self.hints.retain(|_, hint| !hint.asked.is_finished());
        let url = beside(&self.url, &hint);
        let asked = thread::spawn(move || {
            let begin = Instant::now();
            let reply = http::try_get(&url, &[]).ok()?;
            Some((reply.status, reply.body, begin.elapsed()))
        });
        self.hints.insert(hint, Hint { asked });
    }

    fn check_part(&mut self, part: &Part, bytes: &[u8]) {
        let track =
            self.seen.lock().unwrap().maps.values().next_back().and_then(|init| boxes::video_track(init));
        if let Some(sync) = track.and_then(|track| boxes::has_sync_picture(bytes, track)) {
            self.unless(sync == part.independent, || {
                format!("L4: part {} says {}, and is {sync}", part.uri, part.independent)
            });
        }
        let Some(hint) = self.hints.remove(&part.uri) else { return };
        let target = self.target();
        match hint.asked.join().unwrap() {
            Some((200, hinted, took)) => {
                self.unless(hinted == bytes, || format!("L5: {} differs from what its hint gave", part.uri));
                self.unless(took <= target * 3 + BUSY, || format!("L5: hint {} took {took:?}", part.uri));
                self.seen.lock().unwrap().hints += 1;
            }
            Some((status, _, took)) => {
                // A hint may be refused when nothing has come for three target durations.
                let late = took + Duration::from_millis(100) >= target * 3;
                self.unless(late, || format!("L5: hint {} gave {status} after {took:?}", part.uri));
            }
            None => {}
        }
    }

    /// H7: something new within one and a half target durations.
    fn timely(&mut self, playlist: &Playlist) {
        let last = playlist.segments.last().map(|segment| segment.number);
        let away = self.stage.is(Phase::Away);
        self.away_since = if away { self.away_since.or(Some(Instant::now())) } else { None };
        let (since, known) = self.newest;
        let most = Duration::from_secs(playlist.target_duration) * 3 / 2;
        if last != known {
            self.newest = (Instant::now(), last);
            // What the encoder had begun comes at once; after two target durations it is the server's own.
            let long = Duration::from_secs(playlist.target_duration) * 2;
            if self.away_since.is_some_and(|away| away.elapsed() > long) {
                self.seen.lock().unwrap().held = true;
            }
        } else if since.elapsed() > most + BUSY / 3 && !playlist.ended {
            match () {
                () if self.stage.is(Phase::Live) => {
                    self.fault(&format!("H7: nothing new for {:?}", since.elapsed()))
                }
                () if away => self.seen.lock().unwrap().stood_still += 1,
                () => {}
            }
            // Once for each time.
            self.newest.0 = Instant::now();
        }
    }

    fn fetch_maps(&mut self, playlist: &Playlist) {
        let open = playlist.open.as_ref().and_then(|open| open.map.as_ref());
        for map in playlist.segments.iter().filter_map(|segment| segment.map.as_ref()).chain(open) {
            if self.seen.lock().unwrap().maps.contains_key(map) {
                continue;
            }
            let Some(bytes) = self.fetch(map) else { return };
            self.seen.lock().unwrap().maps.insert(map.clone(), bytes);
        }
    }

    fn fetch_segments(&mut self, playlist: &Playlist) {
        for segment in &playlist.segments {
            let number = segment.number;
            if self.seen.lock().unwrap().segments.contains_key(&number) {
                continue;
            }
            let Some(bytes) = self.fetch(&segment.uri) else { return };
            if self.way == Way::Ts {
                for fault in transport::check(&bytes, &mut self.counters) {
                    self.fault(&format!("{fault}, segment {number}"));
                }
            }
            let parts: Vec<u8> = self
                .parts
                .range((number, 0)..(number + 1, 0))
                .flat_map(|(_, bytes)| bytes.iter().copied())
                .collect();
            // Fewer, where a list came too late that had them all: the checker compares durations.
            self.unless(parts.len() < bytes.len() || parts == bytes, || {
                format!("L3: the parts of segment {number} are not the segment")
            });
            let file = self.folder.join(segment.uri.replace('/', "-"));
            fs::write(&file, &bytes).unwrap();
            let digest = Md5::digest(&bytes).into();
            let kept = Kept { segment: segment.clone(), file, size: bytes.len(), digest };
            self.seen.lock().unwrap().segments.insert(number, kept);
        }
    }

    /// H6: what leaves the list stays for its own duration and the list's.
    fn watch_leaving(&mut self, playlist: &Playlist) {
        let mut seen = self.seen.lock().unwrap();
        let Some(before) = seen.playlist.take() else { return };
        let first = playlist.segments.first().map_or(0, |segment| segment.number);
        let whole: u64 = before.segments.iter().map(|segment| segment.duration).sum();
        for segment in before.segments.iter().filter(|segment| segment.number < first) {
            let Some(kept) = seen.segments.get(&segment.number) else { continue };
            // A second earlier, because we saw it later.
            let stays =
                Duration::from_micros(segment.duration + whole).saturating_sub(Duration::from_secs(1));
            self.left.push_back((Instant::now() + stays, segment.uri.clone(), kept.digest));
        }
    }

    fn refetch(&mut self, now: Instant) {
        while self.left.front().is_some_and(|(until, ..)| *until <= now) {
            let Some((_, uri, digest)) = self.left.pop_front() else { return };
            let Ok(reply) = http::try_get(&beside(&self.url, &uri), &[]) else { return };
            let same = reply.status == 200 && <[u8; 16]>::from(Md5::digest(&reply.body)) == digest;
            self.unless(same, || format!("H6: {uri} left the list, and is {} too early", reply.status));
        }
    }

    /// What left the list just before the end must be there still.
    fn close(&mut self) {
        let now = Instant::now();
        for (until, ..) in &mut self.left {
            *until = now;
        }
        self.refetch(now);
        for hint in std::mem::take(&mut self.hints).into_values() {
            let _ = hint.asked.join();
        }
    }

    fn fetch(&self, uri: &str) -> Option<Vec<u8>> {
        let url = beside(&self.url, uri);
        let reply = http::try_get(&url, &[]).ok()?;
        if reply.status == 200 {
            return Some(reply.body);
        }
        self.fault(&format!("H6: listed, but {url} gives {}", reply.status));
        None
    }
}

/// Segment and index of the part that comes next.
pub fn next_part(playlist: &Playlist) -> (u64, u64) {
    let next = playlist.segments.last().map_or(0, |last| last.number + 1);
    (next, playlist.parts.range((next, 0)..).count() as u64)
}
