//! An HLS viewer that keeps every segment, and checks every reload of the playlist against the rules.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    Kaibo, clip,
    hls_checker::{Checker, Playlist, Segment},
    http,
    push::{self, Pusher},
    seconds, wait_for,
};

/// How often the playlist is reloaded: often enough to see every version of it.
const RELOAD: Duration = Duration::from_millis(100);

/// A viewer of one media playlist, in a thread of its own.
pub struct Viewer {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
    /// Dropped to stop the thread.
    open: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Default)]
pub struct Seen {
    pub playlist: Option<Playlist>,
    /// Every segment that was ever listed, with its bytes.
    pub segments: BTreeMap<u64, (Segment, Vec<u8>)>,
    /// Initialisation sections by their URI.
    pub maps: BTreeMap<String, Vec<u8>>,
    /// Every part that was ever listed, by segment and index.
    pub parts: BTreeMap<(u64, u64), Vec<u8>>,
    /// How many delta updates left something out.
    pub deltas: usize,
    fault: Option<String>,
}

/// An encoder that is on air as `live/room` by `url`, and a viewer who has seen two segments of it.
pub fn on_air(server: &Kaibo, url: &str) -> (Pusher, Viewer) {
    let encoder = push::ffmpeg(&clip::long(), url);
    server.wait_for_state("room", "live", seconds(10));
    let viewer = Viewer::open(server, "/live/room.m3u8");
    viewer.wait_for_segment(2);
    (encoder, viewer)
}

/// The media playlist that `/live/STREAM.m3u8` or `/live/STREAM/ts.m3u8` leads to.
pub fn media_playlist(server: &Kaibo, way_in: &str) -> String {
    let reply = server.get(way_in);
    assert_eq!(reply.status, 200, "{way_in}: {}", reply.text());
    let text = reply.text();
    let uri = text.lines().find(|line| !line.starts_with('#') && !line.is_empty()).unwrap();
    beside(&server.url(way_in), uri)
}

/// `uri` as it stands in the playlist at `url`.
pub fn beside(url: &str, uri: &str) -> String {
    format!("{}/{uri}", url.rsplit_once('/').unwrap().0)
}

/// The number in the name of a segment: in a replay, which has no filler, the one that it has in the live playlist.
pub fn number(segment: &Segment) -> u64 {
    let name = segment.uri.rsplit('/').next().unwrap();
    name.split_once('.').unwrap().0.parse().unwrap()
}

impl Viewer {
    /// Follows what `way_in` leads to. A server that is away for a while is no fault.
    pub fn open(server: &Kaibo, way_in: &str) -> Self {
        let url = media_playlist(server, way_in);
        let seen = Arc::<Mutex<Seen>>::default();
        let (open, closed) = mpsc::channel();
        let thread = thread::spawn({
            let (url, seen) = (url.clone(), seen.clone());
            move || {
                let mut checker = Checker::default();
                loop {
                    if let Err(fault) = look(&url, &mut checker, &seen) {
                        seen.lock().unwrap().fault = Some(fault);
                        return;
                    }
                    if closed.recv_timeout(RELOAD) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            }
        });
        Self { url, seen, open: Some(open), thread: Some(thread) }
    }

    /// What it has seen so far.
    ///
    /// # Panics
    /// If a reload broke a rule.
    pub fn seen(&self) -> Seen {
        let seen = self.seen.lock().unwrap().clone();
        assert_eq!(seen.fault, None, "{}", self.url);
        seen
    }

    /// Waits until what it has seen is as wanted.
    pub fn wait_for(&self, what: &str, patience: Duration, wanted: impl Fn(&Seen) -> bool) -> Seen {
        wait_for(what, patience, || {
            let seen = self.seen();
            wanted(&seen).then_some(seen)
        })
    }

    /// Waits until the playlist says that it ends.
    pub fn wait_for_end(&self) -> Seen {
        self.wait_for("ENDLIST", seconds(5), |seen| {
            seen.playlist.as_ref().is_some_and(|playlist| playlist.ended)
        })
    }

    /// Waits until the newest listed segment is number `number` or later.
    pub fn wait_for_segment(&self, number: u64) -> Seen {
        self.wait_for(&format!("segment {number}"), seconds(15), |seen| seen.segments.contains_key(&number))
    }
}

impl Seen {
    /// The segments that stand behind an `EXT-X-DISCONTINUITY`.
    pub fn discontinuities(&self) -> Vec<u64> {
        self.segments
            .values()
            .filter(|(segment, _)| segment.tagged)
            .map(|(segment, _)| segment.number)
            .collect()
    }

    /// The segments of which every part was fetched, and that are not their parts one after the other.
    pub fn unlike_their_parts(&self) -> (usize, Vec<u64>) {
        let whole = |number: u64, bytes: &Vec<u8>| {
            let parts: Vec<u8> =
                self.parts.range((number, 0)..(number + 1, 0)).flat_map(|(_, part)| part.clone()).collect();
            (parts.len() >= bytes.len()).then_some(parts)
        };
        let compared: Vec<_> = self
            .segments
            .iter()
            .filter_map(|(number, (_, bytes))| Some((*number, whole(*number, bytes)? == *bytes)))
            .collect();
        let unlike = compared.iter().filter(|(_, same)| !same).map(|(number, _)| *number).collect();
        (compared.len(), unlike)
    }

    /// All segments one after the other; fMP4 with every initialisation section where it first applies.
    pub fn joined(&self) -> Vec<u8> {
        let mut joined = Vec::new();
        let mut map = None;
        for (segment, bytes) in self.segments.values() {
            if let Some(uri) = segment.map.as_ref().filter(|uri| map != Some(*uri)) {
                joined.extend(&self.maps[uri]);
            }
            map = segment.map.as_ref();
            joined.extend(bytes);
        }
        joined
    }
}

fn look(url: &str, checker: &mut Checker, seen: &Mutex<Seen>) -> Result<(), String> {
    let Ok(reply) = http::try_get(url, &[]) else { return Ok(()) };
    if reply.status != 200 {
        return Err(format!("the playlist answers {}: {}", reply.status, reply.text()));
    }
    let playlist = checker.observe(&reply.text())?;
    if playlist.low_latency.is_some() && !look_at_delta(url, checker, &playlist, seen)? {
        return Ok(());
    }
    for (place, part) in &playlist.parts {
        if !seen.lock().unwrap().parts.contains_key(place) {
            let Some(bytes) = fetch(url, &part.uri)? else { return Ok(()) };
            seen.lock().unwrap().parts.insert(*place, bytes);
        }
    }
    for segment in &playlist.segments {
        if let Some(uri) = segment.map.as_ref().filter(|uri| !seen.lock().unwrap().maps.contains_key(*uri)) {
            let Some(bytes) = fetch(url, uri)? else { return Ok(()) };
            seen.lock().unwrap().maps.insert(uri.clone(), bytes);
        }
        if seen.lock().unwrap().segments.contains_key(&segment.number) {
            continue;
        }
        let Some(bytes) = fetch(url, &segment.uri)? else { return Ok(()) };
        seen.lock().unwrap().segments.insert(segment.number, (segment.clone(), bytes));
    }
    seen.lock().unwrap().playlist = Some(playlist);
    Ok(())
}

/// The same as a delta update, which stands for the whole list. False if the server is away.
fn look_at_delta(url: &str, checker: &Checker, whole: &Playlist, seen: &Mutex<Seen>) -> Result<bool, String> {
    let Ok(reply) = http::try_get(&format!("{url}?_HLS_skip=YES"), &[]) else { return Ok(false) };
    let skips = reply.text().contains("#EXT-X-SKIP:");
    let expanded = checker.expand(&reply.text())?;
    let hint = |playlist: &Playlist| playlist.low_latency.as_ref().map(|low| low.hint.clone());
    // Else something came in between.
    if hint(&expanded) == hint(whole) && expanded != *whole && expanded.ended == whole.ended {
        return Err(format!("L7: a delta stands for {expanded:?}, the list is {whole:?}"));
    }
    seen.lock().unwrap().deltas += usize::from(skips);
    Ok(true)
}

/// None if the server is away, as it is for a reload.
fn fetch(playlist: &str, uri: &str) -> Result<Option<Vec<u8>>, String> {
    let url = beside(playlist, uri);
    let Ok(reply) = http::try_get(&url, &[]) else { return Ok(None) };
    if reply.status == 200 { Ok(Some(reply.body)) } else { Err(format!("{url}: {}", reply.status)) }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        drop(self.open.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread shows as a fault of the test in `seen`.
            let _ = thread.join();
        }
    }
}
