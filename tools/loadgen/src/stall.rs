//! `stall`: N viewers that ask and never read. What they cost a server, and when it is rid of them.

use crate::net::expand;
use crate::sample::{round, round3, Sample};
use crate::view::spread;
use crate::viewer::{Kind, Viewer};
use serde_json::{json, Value};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// Between two looks at the server.
const LOOK: Duration = Duration::from_millis(200);
/// How long the server may take to drop the last of them.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Options {
    pub url: String,
    pub count: usize,
    /// For so long after the first `count` there are always as many: who was dropped is replaced.
    pub seconds: f64,
    pub ramp_ms: f64,
    pub pid: u32,
}

/// Opens them one after the other, and watches until the server has dropped all of them.
pub fn run(opt: &Options) -> io::Result<Value> {
    let kind = if opt.url.starts_with("rtmp") {
        Kind::Rtmp
    } else {
        Kind::Flv
    };
    let before = Sample::take(Some(opt.pid));
    let open_before = open_files(opt.pid)?;
    // Those that the server has, and when each came.
    let mut stalled: VecDeque<(Viewer, Instant)> = VecDeque::new();
    let (mut kept, mut errors, mut joined) = (Vec::new(), Vec::<String>::new(), 0);
    let (mut most, mut rss_kb, mut socket_kb) = (0, 0, 0);
    let (mut full_at, mut look_at) = (None, Instant::now());
    let mut last_came = look_at;
    loop {
        let now = Instant::now();
        let over = full_at.is_some_and(|at: Instant| {
            now.duration_since(at).as_secs_f64() >= opt.seconds || errors.len() > opt.count
        });
        if stalled.len() < opt.count && !over {
            match Viewer::open(kind, &expand(&opt.url, joined)) {
                Ok(viewer) => stalled.push_back((viewer, Instant::now())),
                Err(e) => errors.push(e.to_string()),
            }
            joined += 1;
            last_came = now;
            if stalled.len() == opt.count || errors.len() > opt.count {
                full_at.get_or_insert(now);
            }
            std::thread::sleep(Duration::from_secs_f64(opt.ramp_ms / 1000.0));
        } else {
            std::thread::sleep(look_at.saturating_duration_since(now));
        }
        let now = Instant::now();
        if now < look_at {
            continue;
        }
        look_at = now + LOOK;
        let sample = Sample::take(Some(opt.pid));
        rss_kb = rss_kb.max(sample.rss_kb());
        socket_kb = socket_kb.max(sample.socket_kb());
        most = most.max(stalled.len());
        // The first that came is the first that a server without favourites drops. Its own end is closed last: the
        // kernel keeps what the server wrote until then.
        let alive = open_files(opt.pid)?.saturating_sub(open_before);
        while stalled.len() > alive {
            let Some((_viewer, came)) = stalled.pop_front() else {
                break;
            };
            kept.push(now.duration_since(came).as_secs_f64());
        }
        let waited = now.duration_since(last_came);
        if over && (stalled.is_empty() || waited > PATIENCE) {
            break;
        }
    }
    let left = stalled.len();
    drop(stalled);
    std::thread::sleep(LOOK);
    let end = Sample::take(Some(opt.pid));
    let per = |end: u64, before: u64| round(end.saturating_sub(before) as f64 / most.max(1) as f64);
    let failed = errors.len();
    errors.truncate(5);
    Ok(json!({
        "mode": "stall", "count": opt.count, "joined": joined - failed, "failed": failed, "errors": errors,
        "most_at_a_time": most, "not_dropped": left, "kept_s": spread(kept),
        "last_dropped_s": round3(look_at.duration_since(last_came).as_secs_f64()),
        "socket_kb_per_viewer": per(socket_kb, before.socket_kb()),
        "socket_kb_before": before.socket_kb(), "socket_kb_after": end.socket_kb(),
        "rss_kb_per_viewer": per(rss_kb, before.rss_kb()),
        "server": before.until(&end, 0),
    }))
}

/// Descriptors that a process has open: its viewers, but for some.
fn open_files(pid: u32) -> io::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
