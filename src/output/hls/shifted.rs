//! Another time of a broadcast than now: what was live a while ago, or between two moments, out of its recording.

use std::time::Duration;

use hyper::{Response, StatusCode};
use kaibo_broadcast::App;
use kaibo_hls::{Entry, Format, Kind, Selection, Shift, Uris};
use kaibo_media::{Span, UnixMillis};
use kaibo_replay::Segment;
use tokio::time::{sleep, timeout};

use super::{FIRST_SEGMENT, PLAYLIST, no_segment_yet, recorded::Past};
use crate::{
    http::{Body, Cache, Call, Content},
    output::{etag, gzip},
    problem::Problem,
    recorder::Replay,
};

/// What a delayed list shows at least, like a live one. Not a setting: what may change while somebody watches would
/// bring segments back that had left.
const WINDOW: Span = Span::from_millis(30_000);

/// After this time nothing comes any more that began before it: segments last for 20 s at the most, and a recorder that is
/// further behind than 30 s gives up.
const SETTLED: Span = Span::from_millis(60_000);

/// A final list never changes, but the recording may be deleted.
const FINAL: Cache = Cache::Seconds(3600);

/// What is shown, and how.
struct Chosen {
    selection: Selection,
    kind: Kind,
    ended: bool,
    independent: bool,
    target_duration: u32,
}

/// The media playlist of `shift`: plain, without low latency.
pub async fn playlist(
    call: &Call,
    app: &App,
    past: &Past<'_>,
    shift: Shift,
    format: Format,
    query: &str,
) -> Result<Response<Body>, Problem> {
    let chosen = ready(call, past, shift).await?;
    let query = if call.server.access.play_is_guarded(app) { query } else { "" };
    let uris = Uris { prefix: "", format, query };
    let Chosen { selection, kind, ended, independent, target_duration } = chosen;
    let text = selection.playlist(kind, ended, target_duration, independent, &past.replay.cues(), uris);
    let cache = match ended {
        true if past.replay.is_final() => FINAL,
        // As of a live list.
        _ => Cache::Seconds((target_duration / 2).max(1)),
    };
    let gzip = query.is_empty().then(|| [gzip(text.as_bytes())]);
    let gzip = gzip.as_ref().map(<[_; 1]>::as_slice);
    Ok(Content { kind: PLAYLIST, cache, etag: &etag(&text), gzip, chunks: &[text.into()] }.answer(call))
}

/// Returns when there is something to show; a player takes an empty playlist for a broken one. What comes soon is waited
/// for, and when what comes later may be asked for is said.
pub async fn wait(call: &Call, past: &Past<'_>, shift: Shift) -> Result<(), Problem> {
    ready(call, past, shift).await.map(drop)
}

async fn ready(call: &Call, past: &Past<'_>, shift: Shift) -> Result<Chosen, Problem> {
    let due = match (choose(call, past, shift), shift) {
        (Some(chosen), _) if !chosen.selection.is_empty() => return Ok(chosen),
        (Some(chosen), Shift::Delay(delay)) => chosen.selection.next.map(|next| next + delay),
        (Some(chosen), Shift::Range { .. }) if chosen.ended => {
            let detail = "nothing of that time is recorded";
            return Err(Problem::new(StatusCode::NOT_FOUND, "nothing_recorded", detail));
        }
        (_, Shift::Range { start, .. }) => Some(start).filter(|start| *start > now(call)),
        (None, Shift::Delay(_)) => None,
    };
    let Some(due) = due else {
        // What is live already is about to be written.
        let first = timeout(FIRST_SEGMENT, written(call, past, shift)).await;
        return first.ok().flatten().ok_or_else(no_segment_yet);
    };
    let left = u64::try_from(due.0.saturating_sub(now(call).0)).unwrap_or(0);
    let left = Duration::from_millis(left.saturating_add(1));
    if left <= FIRST_SEGMENT {
        sleep(left).await;
        return choose_some(call, past, shift).ok_or_else(no_segment_yet);
    }
    let detail = "the broadcast has not been on for that long";
    Err(Problem::new(StatusCode::NOT_FOUND, "not_started", detail)
        .with_retry_after(left.as_secs().saturating_add(1)))
}

/// What is chosen once there is something; none where nothing more is written.
async fn written(call: &Call, past: &Past<'_>, shift: Shift) -> Option<Chosen> {
    let Replay::Growing(growing) = past.replay else { return None };
    let mut written = growing.written.clone();
    loop {
        written.borrow_and_update();
        if let Some(chosen) = choose_some(call, past, shift) {
            return Some(chosen);
        }
        written.changed().await.ok()?;
    }
}

/// None while there is nothing to be shown.
fn choose_some(call: &Call, past: &Past<'_>, shift: Shift) -> Option<Chosen> {
    choose(call, past, shift).filter(|chosen| !chosen.selection.is_empty())
}

/// None before the first segment is recorded.
fn choose(call: &Call, past: &Past<'_>, shift: Shift) -> Option<Chosen> {
    let now = now(call);
    let is_final = past.replay.is_final();
    past.replay.read(|segments| {
        let longest = || segments.iter().map(|segment| segment.duration.as_millis()).max();
        // A recording that broke off within its first segment knows no target duration yet.
        let target_duration = match past.replay.target_duration() {
            Some(target_duration) => target_duration,
            None => u32::try_from((longest()? + 999) / 1000).unwrap_or(1).max(1),
        };
        let entries = segments.iter().map(entry);
        let (selection, kind, ended) = match shift {
            Shift::Delay(delay) => {
                let until = UnixMillis(now.0.saturating_sub(delay.as_millis()));
                let selection = Selection::live_at(entries, until, WINDOW, target_duration);
                let ended = is_final && selection.next.is_none();
                (selection, Kind::Live, ended)
            }
            // Of one kind from the beginning to the end: a player that saw it grow sees its end, too.
            Shift::Range { start, end } => {
                let selection = Selection::between(entries, start, end);
                let settled = end.is_some_and(|end| end + SETTLED < now);
                let ended = is_final || settled || selection.next.is_some();
                (selection, Kind::Event, ended)
            }
        };
        let independent = segments.iter().all(|segment| segment.independent);
        Some(Chosen { selection, kind, ended, independent, target_duration })
    })
}

fn entry(segment: &Segment) -> Entry<'static> {
    Entry {
        number: segment.number,
        duration: Some(segment.duration),
        discontinuity: segment.discontinuity,
        init: segment.init,
        wall: segment.wall,
        parts: &[],
    }
}

/// The clock by which segments are dated.
fn now(call: &Call) -> UnixMillis {
    UnixMillis(call.server.clock.now().0)
}
