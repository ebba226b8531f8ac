//! `ll-hls`: N viewers of low-latency HLS, each a blocking reload (as a delta) and a part for every part of the stream;
//! and `files`: the same requests to a server of static files, which has the same bytes under numbers.
//!
//! One thread and one epoll for all viewers, so that a core is enough for a thousand. A part is cut when the first
//! picture of the next one is there: the publisher runs in this process and notes when it wrote each picture, and the
//! parts themselves say (`tfdt`) with which one they begin. So no clock or word of the server is needed.

use crate::http::{Client, Head};
use crate::net::{bad, monotonic_ns, Epoll, Url};
use crate::push::{self, Written};
use crate::sample::{round3, Sample};
use crate::view::spread;
use serde_json::{json, Value};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time at both ends of the window within which no part is counted: it belongs to a part that is under way.
const MARGIN_NS: u64 = 1_000_000_000;

/// Bytes at the end of a playlist that hold its newest part and the hint.
const TAIL: usize = 1024;

pub struct Options {
    /// The stream's multivariant playlist, or the root of the files.
    pub url: String,
    pub count: usize,
    pub seconds: f64,
    pub settle: f64,
    pub ramp_ms: f64,
    /// Ask for the hinted part beside the playlist, on a connection of its own, as Apple's players do.
    pub hint: bool,
    pub pid: Option<u32>,
    pub media: Media,
}

pub enum Media {
    /// Published from `file` to `publish`; what the first viewer got is saved as files if there is a folder.
    Live {
        publish: String,
        file: String,
        save: Option<String>,
    },
    /// `files` playlists and parts, of which one falls due at each interval.
    Files { files: u64, interval_ms: f64 },
}

impl Media {
    fn is_live(&self) -> bool {
        matches!(self, Media::Live { .. })
    }
}

/// Segment and part.
type Place = (u64, u32);

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Nothing,
    List,
    Part(Place),
}

struct Connection {
    stream: TcpStream,
    asked: Asked,
    status: u16,
    head: Vec<u8>,
    /// Bytes of the body that are missing; none before it begins.
    left: Option<usize>,
    /// The body, where `keep` says so, or its end.
    body: Vec<u8>,
    keep: bool,
}

impl Connection {
    fn ask(&mut self, base: &Url, path: &str, asked: Asked) -> io::Result<()> {
        let (host, port) = (&base.host, base.port);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        (self.asked, self.left) = (asked, None);
        self.head.clear();
        self.body.clear();
        // A request always fits into an empty socket.
        self.stream.write_all(request.as_bytes())
    }

    /// Reads what is there; true once the answer is whole. Counts into `bytes`.
    fn read(&mut self, buf: &mut [u8], bytes: &mut u64) -> io::Result<bool> {
        loop {
            let unseen = self.left.is_some() && !self.keep && self.asked != Asked::List;
            let got = match unseen {
                true => drop_bytes(&self.stream, buf.len()),
                // Of a part, little more than its head.
                false if !self.keep && self.asked != Asked::List => {
                    let head = buf.len().min(1024);
                    self.stream.read(&mut buf[..head])
                }
                false => self.stream.read(buf),
            };
            let n = match got {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            };
            *bytes += n as u64;
            let mut data = &buf[..n];
            let rest;
            let left = match self.left {
                Some(left) => left,
                None => {
                    self.head.extend_from_slice(data);
                    let Some(at) = self.head.windows(4).position(|w| w == b"\r\n\r\n") else {
                        continue;
                    };
                    rest = self.head.split_off(at + 4);
                    data = &rest;
                    let head = Head::parse(&String::from_utf8_lossy(&self.head[..at]))?;
                    self.status = head.status;
                    head.length.ok_or_else(|| bad("no length"))?
                }
            };
            let left = left
                .checked_sub(data.len())
                .ok_or_else(|| bad("too long"))?;
            self.left = Some(left);
            if self.keep || self.asked == Asked::List {
                self.body.extend_from_slice(data);
            }
            if left == 0 {
                return Ok(true);
            }
        }
    }
}

/// Takes bytes off a socket without copying them: a generator that copies is slower than what it measures.
fn drop_bytes(stream: &TcpStream, most: usize) -> io::Result<usize> {
    let (fd, nowhere) = (stream.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: with MSG_TRUNC, TCP writes nothing to the address (tcp(7)).
    match unsafe { libc::recv(fd, nowhere, most, libc::MSG_TRUNC) } {
        n if n >= 0 => Ok(n as usize),
        _ => Err(io::Error::last_os_error()),
    }
}

struct Viewer {
    /// For playlists, and for parts too unless there is another.
    connections: Vec<Connection>,
    joined: bool,
    /// The part that the next playlist is asked for.
    next: Place,
    dead: Option<String>,
}

/// Newest part and hint of a playlist.
fn ends(list: &[u8]) -> io::Result<(Option<Place>, Place)> {
    let tail = String::from_utf8_lossy(&list[list.len().saturating_sub(TAIL)..]);
    let place = |tag: &str| {
        let line = &tail[tail.rfind(tag)?..];
        let uri = line.lines().next()?.split_once("URI=\"")?.1;
        let mut numbers = uri.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    let hint = place("#EXT-X-PRELOAD-HINT:").ok_or_else(|| bad("no hint in the playlist"))?;
    Ok((place("#EXT-X-PART:"), hint))
}

/// `tfdt` of a part's first track (the picture).
fn begins(part: &[u8]) -> Option<u64> {
    let at = part.windows(4).position(|w| w == b"tfdt")? + 8;
    Some(u64::from_be_bytes(part.get(at..at + 8)?.try_into().ok()?))
}

#[derive(Default)]
struct Seen {
    /// When each part's playlist and last byte were there, at each viewer.
    lists: HashMap<Place, Vec<u64>>,
    parts: HashMap<Place, Vec<u64>>,
    /// What the first viewer got.
    kept: BTreeMap<Place, (Vec<u8>, Vec<u8>)>,
    /// Parts that a viewer did not see because the next one was there already, or that it was too late for.
    skipped: u64,
    /// Answers other than 200.
    refused: u64,
    bytes: u64,
}

struct Run<'a> {
    opt: &'a Options,
    base: Url,
    seen: Seen,
}

impl Run<'_> {
    fn list_path(&self, (segment, part): Place) -> String {
        match self.opt.media {
            Media::Live { .. } => {
                let path = &self.base.path;
                let and = if path.contains('?') { '&' } else { '?' };
                format!("{path}{and}_HLS_msn={segment}&_HLS_part={part}&_HLS_skip=YES")
            }
            Media::Files { .. } => format!("/{segment}.m3u8"),
        }
    }

    fn part_path(&self, (segment, part): Place) -> String {
        match self.opt.media {
            Media::Live { .. } => {
                let path = &self.base.path;
                let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
                let folder = &path[..path.rfind('/').unwrap_or(0)];
                format!("{folder}/{segment}.{part}.m4s{query}")
            }
            Media::Files { .. } => format!("/{segment}.m4s"),
        }
    }

    /// Asks for the next playlist, and with hints for its part.
    fn next(&self, viewer: &mut Viewer) -> io::Result<()> {
        let next = viewer.next;
        let [lists, parts @ ..] = viewer.connections.as_mut_slice() else {
            return Ok(());
        };
        lists.ask(&self.base, &self.list_path(next), Asked::List)?;
        match parts.first_mut() {
            Some(parts) => parts.ask(&self.base, &self.part_path(next), Asked::Part(next)),
            None => Ok(()),
        }
    }

    /// One of a viewer's answers is whole.
    fn answered(&mut self, viewer: &mut Viewer, which: usize) -> io::Result<()> {
        let now = monotonic_ns();
        let connection = &mut viewer.connections[which];
        let asked = std::mem::replace(&mut connection.asked, Asked::Nothing);
        self.seen.refused += (connection.status != 200) as u64;
        let live = self.opt.media.is_live();
        let mut wanted = None;
        match asked {
            Asked::Nothing => {}
            Asked::List if connection.status != 200 => {
                return Err(bad(format!("playlist: {}", connection.status)));
            }
            Asked::List => {
                let (newest, hint) = match live {
                    true => ends(&connection.body)?,
                    false => (Some(viewer.next), viewer.next),
                };
                if viewer.joined {
                    let newest = newest.ok_or_else(|| bad("no part in the playlist"))?;
                    self.seen.skipped += (newest != viewer.next) as u64;
                    self.seen.lists.entry(newest).or_default().push(now);
                    if connection.keep {
                        self.seen.kept.entry(newest).or_default().0 = connection.body.clone();
                    }
                    wanted = Some(newest);
                }
                (viewer.joined, viewer.next) = (true, hint);
            }
            Asked::Part(place) => {
                self.seen.parts.entry(place).or_default().push(now);
                if connection.keep {
                    self.seen.kept.entry(place).or_default().1 = connection.body.clone();
                }
            }
        }
        match (wanted, self.opt.hint) {
            (Some(place), false) => {
                let path = self.part_path(place);
                viewer.connections[0].ask(&self.base, &path, Asked::Part(place))
            }
            _ if live && viewer.connections.iter().all(|c| c.asked == Asked::Nothing) => {
                self.next(viewer)
            }
            _ => Ok(()),
        }
    }

    fn join(&self, i: usize, epoll: &Epoll) -> io::Result<Viewer> {
        let wide = 1 + self.opt.hint as usize;
        let mut connections = Vec::with_capacity(wide);
        for which in 0..wide {
            let stream = self.base.connect()?;
            stream.set_nonblocking(true)?;
            epoll.add(stream.as_raw_fd(), (i * 2 + which) as u64)?;
            connections.push(Connection {
                stream,
                asked: Asked::Nothing,
                status: 0,
                head: Vec::new(),
                left: None,
                body: Vec::new(),
                keep: i == 0,
            });
        }
        let live = self.opt.media.is_live();
        if live {
            connections[0].ask(&self.base, &self.base.path, Asked::List)?;
        }
        Ok(Viewer {
            connections,
            joined: !live,
            next: (0, 0),
            dead: None,
        })
    }
}

/// When each place fell due: the moment its media was there to be cut.
fn cuts(
    kept: &BTreeMap<Place, (Vec<u8>, Vec<u8>)>,
    origin: u64,
    written: &[Written],
) -> HashMap<Place, u64> {
    let starts: Vec<(Place, u64)> = kept
        .iter()
        .filter_map(|(place, (_, part))| Some((*place, begins(part)?)))
        .collect();
    let gaps = starts
        .windows(2)
        .map(|pair| pair[1].1.saturating_sub(pair[0].1));
    let usual = gaps.min().unwrap_or(0);
    let mut cuts = HashMap::new();
    for pair in starts.windows(2) {
        let [(place, from), (_, start)] = pair else {
            continue;
        };
        // The first viewer missed what is in between.
        if start.saturating_sub(*from) > usual * 3 / 2 {
            continue;
        }
        // 90 kHz; pictures are tens of milliseconds apart.
        let Some(ms) = start.checked_sub(origin).map(|ticks| ticks / 90) else {
            continue;
        };
        let at = written.partition_point(|w| w.ms + 5 < ms);
        if let Some(first) = written.get(at).filter(|w| w.ms <= ms + 5) {
            cuts.insert(*place, first.at_ns);
        }
    }
    cuts
}

/// Runs the viewers and reports.
pub fn run(opt: &Options) -> io::Result<Value> {
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(Mutex::new(Vec::new()));
    let (mut base, mut origin, mut publisher) = (Url::parse(&opt.url, 80)?, 0, None);
    if let Media::Live { publish, file, .. } = &opt.media {
        let (publish, file) = (publish.clone(), file.clone());
        let (stop, written) = (stop.clone(), written.clone());
        publisher = Some(std::thread::spawn(move || {
            push::noted(&publish, &file, &stop, &written)
        }));
        std::thread::sleep(Duration::from_secs(5));
        let (mut client, mut body) = (Client::new(), Vec::new());
        client.get(&base, &mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let list = text.lines().find(|l| !l.is_empty() && !l.starts_with('#'));
        base = base.join(list.ok_or_else(|| bad("no variant"))?)?;
        client.get(&base, &mut body)?;
        // The stream is so young that its first segment is still listed.
        let text = String::from_utf8_lossy(&body).into_owned();
        let first = text.lines().find(|l| !l.is_empty() && !l.starts_with('#'));
        client.get(
            &base.join(first.ok_or_else(|| bad("no segment"))?)?,
            &mut body,
        )?;
        origin = begins(&body).ok_or_else(|| bad("the first segment has no time"))?;
    }
    let mut run = Run {
        opt,
        base,
        seen: Seen::default(),
    };
    let epoll = Epoll::new()?;
    let (mut buf, mut tokens) = (vec![0u8; 256 << 10], Vec::new());
    let mut viewers: Vec<Viewer> = Vec::new();
    let mut due = HashMap::new();
    let began = monotonic_ns();
    let ramp_ns = (opt.ramp_ms * 1e6) as u64;
    let start = began + ramp_ns * opt.count as u64 + (opt.settle * 1e9) as u64;
    let end = start + (opt.seconds * 1e9) as u64;
    let (mut before, mut bytes_before, mut released) = (None, 0, 0u64);
    loop {
        let now = monotonic_ns();
        while viewers.len() < opt.count && now >= began + ramp_ns * viewers.len() as u64 {
            viewers.push(run.join(viewers.len(), &epoll)?);
        }
        if before.is_none() && now >= start {
            (before, bytes_before) = (Some(Sample::take(opt.pid)), run.seen.bytes);
        }
        if now >= end {
            break;
        }
        if let Media::Files { files, interval_ms } = opt.media {
            let interval = (interval_ms * 1e6) as u64;
            if viewers.len() == opt.count && now >= start + released * interval - interval {
                let place = (released % files, 0);
                due.insert(place, now);
                released += 1;
                for viewer in viewers.iter_mut().filter(|v| v.dead.is_none()) {
                    if viewer.connections.iter().any(|c| c.asked != Asked::Nothing) {
                        run.seen.skipped += 1;
                        continue;
                    }
                    viewer.next = place;
                    if let Err(e) = run.next(viewer) {
                        viewer.dead = Some(e.to_string());
                    }
                }
            }
        }
        epoll.wait(&mut tokens, 1)?;
        for token in &tokens {
            let (i, which) = ((token / 2) as usize, (token % 2) as usize);
            let viewer = &mut viewers[i];
            let connection = &mut viewer.connections[which];
            let result = match connection.read(&mut buf, &mut run.seen.bytes) {
                Ok(true) => run.answered(viewer, which),
                other => other.map(drop),
            };
            if let Err(e) = result {
                viewer.dead = Some(e.to_string());
                for connection in &viewer.connections {
                    epoll.remove(connection.stream.as_raw_fd());
                }
            }
        }
    }
    let after = Sample::take(opt.pid);
    stop.store(true, Ordering::Relaxed);
    let publisher = publisher.and_then(|p| p.join().ok()?.err());
    let Run { seen, .. } = run;
    if let Media::Live { save, .. } = &opt.media {
        let written = written.lock().map_err(|_| bad("the publisher panicked"))?;
        due = cuts(&seen.kept, origin, &written);
        if let Some(folder) = save {
            save_files(folder, &seen.kept)?;
        }
    }
    due.retain(|_, at| *at >= start && *at + MARGIN_NS < end);
    // From the cut, and from the first viewer that had it.
    let delays = |seen: &HashMap<Place, Vec<u64>>, from_first: bool| -> Vec<f64> {
        let mut all = Vec::new();
        for (place, cut) in &due {
            let arrivals = seen.get(place).map(Vec::as_slice).unwrap_or_default();
            let from = if from_first {
                arrivals.iter().min()
            } else {
                Some(cut)
            };
            let from = from.copied().unwrap_or_default() as f64;
            all.extend(arrivals.iter().map(|at| (*at as f64 - from) / 1e6));
        }
        all
    };
    // Whether the slow ones are those of single parts: then something else had the core.
    let mut slowest: Vec<(Place, f64)> = due
        .iter()
        .filter_map(|(place, cut)| {
            let last = seen.parts.get(place)?.iter().max()?;
            Some((*place, (*last as f64 - *cut as f64) / 1e6))
        })
        .collect();
    slowest.sort_by_key(|(place, _)| *place);
    let slowest: Vec<f64> = slowest.into_iter().map(|(_, ms)| ms.round()).collect();
    let expected = due.len() * opt.count;
    let missing = |seen: &HashMap<Place, Vec<u64>>| {
        expected.saturating_sub(due.keys().filter_map(|p| Some(seen.get(p)?.len())).sum())
    };
    let mut errors: Vec<String> = viewers.iter().filter_map(|v| v.dead.clone()).collect();
    let failed = errors.len();
    errors.extend(publisher.map(|e| format!("publisher: {e}")));
    errors.truncate(5);
    let server = before.map(|b| b.until(&after, seen.bytes - bytes_before));
    let cpu = server.as_ref().and_then(|s| {
        Some(s["server_cpu_s"].as_f64()? / s["window_s"].as_f64()? / opt.count as f64 * 1000.0)
    });
    Ok(json!({
        "mode": if opt.media.is_live() { "ll-hls" } else { "files" },
        "count": opt.count, "hint": opt.hint, "failed": failed, "errors": errors,
        "parts": due.len(), "skipped": seen.skipped, "refused": seen.refused,
        "missing": missing(&seen.lists) + missing(&seen.parts),
        "list_ms": spread(delays(&seen.lists, false)), "part_ms": spread(delays(&seen.parts, false)),
        "list_after_first_ms": spread(delays(&seen.lists, true)),
        "part_after_first_ms": spread(delays(&seen.parts, true)),
        "slowest_ms_of_each_part": slowest,
        "cpu_s_per_1000_viewers_and_s": cpu.map(round3), "saved": seen.kept.len(), "server": server,
    }))
}

/// Writes the whole steps as `0.m3u8`, `0.m4s`, `1.m3u8`…
fn save_files(folder: &str, kept: &BTreeMap<Place, (Vec<u8>, Vec<u8>)>) -> io::Result<()> {
    let whole = kept
        .values()
        .filter(|(list, part)| !list.is_empty() && !part.is_empty());
    for (number, (list, part)) in whole.enumerate() {
        std::fs::write(Path::new(folder).join(format!("{number}.m3u8")), list)?;
        std::fs::write(Path::new(folder).join(format!("{number}.m4s")), part)?;
    }
    Ok(())
}
