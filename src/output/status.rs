//! `/status/APP/STREAM`: what a viewer's page may know, as JSON or as a stream of changes.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, Response,
    header::{self, HeaderValue},
};
use kaibo_audience::{Pace, Phase};
use kaibo_broadcast::{App, BroadcastId, State, Stream as Name};
use kaibo_media::Cue;
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use super::{asking, mp4_url, replay_url};
use crate::{
    access::rfc3339,
    api::TimedEvent,
    audience::{Guest, Person},
    broadcasts::{Handle, Status},
    http::{Body, Cache, Call, Content},
    problem::Problem,
    server::Server,
    telemetry,
};

/// How often the stream says something though nothing changed: proxies drop silent connections.
const BEAT: Duration = Duration::from_secs(15);

/// How soon a page learns that a new broadcast has begun under the name.
const LOOK: Duration = Duration::from_secs(1);

/// How long somebody who asks again and again is taken to wait for a start.
const PATIENCE: Duration = Duration::from_secs(15);

/// Answers with JSON, or with server-sent events where they are asked for.
pub fn answer(call: &Call, app: &str, stream: &str) -> Result<Response<Body>, Problem> {
    let (Ok(app), Ok(name)) = (app.parse::<App>(), stream.parse::<Name>()) else {
        return Err(Problem::not_found());
    };
    if !call.header(header::ACCEPT).contains("text/event-stream") {
        let status = viewed(&call.server, &app, &name);
        let broadcast = status.as_ref().and_then(|status| call.server.broadcasts.get(&status.id));
        broadcast.iter().for_each(|broadcast| note_waiting(call, broadcast));
        let text = Bytes::from(document(status.as_deref()).to_string());
        let json =
            Content { kind: "application/json", cache: Cache::No, etag: "", chunks: &[text], gzip: None };
        return Ok(json.answer(call));
    }
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if *call.request.method() == Method::GET {
        *response.body_mut() = Body::Status(Stream::new(call, app, name));
    }
    Ok(response)
}

/// Somebody asked for a broadcast; before its start, that is to wait for it.
pub fn note_waiting(call: &Call, broadcast: &Handle) {
    if !is_awaited(&broadcast.status()) {
        return;
    }
    // Whoever waits has no session yet.
    let viewer = asking(call, "");
    let pace = Pace { kept: PATIENCE, target: Duration::ZERO };
    if let Some(visit) = broadcast.live().audience().visit(Phase::Before, viewer) {
        visit.served(telemetry::Protocol::Hls, 0, pace);
    }
}

fn is_awaited(status: &Status) -> bool {
    matches!(status.state, State::Created | State::Preview)
}

fn viewed(server: &Server, app: &App, name: &Name) -> Option<Arc<Status>> {
    server.broadcasts.viewed_status(app, name, &server.app_settings(app.as_str()).hls.qualities)
}

fn document(status: Option<&Status>) -> serde_json::Value {
    let Some(status) = status else {
        return json!({ "state": "not_started", "live_status": 102, "broadcast": null, "resume_deadline": null,
            "holding": false, "hold": null, "width": null, "height": null, "replay": null });
    };
    let state = match status.state {
        State::Created | State::Preview => "not_started",
        state => state.name(),
    };
    let replay = status.state.is_final() && status.has_public_replay();
    json!({
        "state": state,
        "live_status": status.state.live_status(),
        "broadcast": status.id,
        "started_at": status.started_at.map(rfc3339),
        "resume_deadline": status.resume_deadline.map(rfc3339),
        "holding": status.is_holding(),
        "hold": status.hold,
        "width": status.size.map(|size| size.0),
        "height": status.size.map(|size| size.1),
        "replay": replay.then(|| json!({ "hls": replay_url(&status.id), "mp4": mp4_url(&status.id) })),
    })
}

/// The changes of a name's status as server-sent events (HTML §9.2). It never ends by itself: under the name another
/// broadcast may begin.
pub struct Stream(mpsc::Receiver<Bytes>);

impl Stream {
    fn new(call: &Call, app: App, name: Name) -> Self {
        // One event at a time: a page that doesn't read gets the newest status when it does.
        let (events, stream) = mpsc::channel(1);
        let person = Person::new(call.address, call.header(header::USER_AGENT));
        tokio::spawn(tell(call.server.clone(), (app, name), person, events));
        Self(stream)
    }

    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}

/// Sends the status of a name, and every change of it, until the viewer is gone or the server stops.
async fn tell(server: Arc<Server>, (app, name): (App, Name), person: Person, events: mpsc::Sender<Bytes>) {
    let mut stopping = server.stopping();
    let (mut said, mut at) = (String::new(), Instant::now());
    let mut seat = None;
    let mut told = Told::default();
    loop {
        let broadcast = server.broadcasts.named(&app, &name);
        let changes = broadcast.as_ref().map(|broadcast| broadcast.watch());
        let news = told.news(&server, broadcast.as_deref());
        let status = viewed(&server, &app, &name);
        seat = wait(&server, status.as_deref(), seat, person);
        let text = document(status.as_deref()).to_string();
        let event = match text == said {
            true if at.elapsed() < BEAT => None,
            // A comment.
            true => Some(Bytes::from_static(b":\n\n")),
            false => Some(Bytes::from(format!("data: {text}\n\n"))),
        };
        if let Some(event) = event {
            (said, at) = (text, Instant::now());
            if events.send(event).await.is_err() {
                return;
            }
        }
        for cue in news.cues {
            at = Instant::now();
            let text = serde_json::to_string(&TimedEvent::of(&cue)).unwrap_or_default();
            if events.send(format!("event: timed\ndata: {text}\n\n").into()).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = changed(changes) => {}
            () = changed(news.more) => {}
            () = sleep(LOOK) => {}
            () = events.closed() => return,
            () = stopping.wait() => return,
        }
    }
}

/// The place of a page that waits for a start: kept while it is the same broadcast that is awaited.
fn wait(
    server: &Server,
    status: Option<&Status>,
    seat: Option<(BroadcastId, Guest)>,
    person: Person,
) -> Option<(BroadcastId, Guest)> {
    let awaited = status.filter(|status| is_awaited(status))?;
    if seat.as_ref().is_some_and(|(id, _)| *id == awaited.id) {
        return seat;
    }
    let broadcast = server.broadcasts.get(&awaited.id)?;
    Some((awaited.id.clone(), broadcast.live().audience().join(Phase::Before, None, person)))
}

/// How many timed events a page was told, and of which broadcast.
#[derive(Default)]
struct Told {
    looked: bool,
    of: Option<(BroadcastId, usize)>,
}

/// Those that it was not told yet.
struct News {
    cues: Vec<Arc<Cue>>,
    /// Changes when there are more.
    more: Option<watch::Receiver<usize>>,
}

impl Told {
    /// What is new of `broadcast`: nothing from before the page came, and nothing of one that not everybody may watch.
    fn news(&mut self, server: &Server, broadcast: Option<&Handle>) -> News {
        let is_first = !std::mem::replace(&mut self.looked, true);
        let shown = broadcast.filter(|broadcast| {
            !broadcast.status().state.is_withheld() && !server.access.play_is_guarded(broadcast.app())
        });
        let Some(broadcast) = shown else { return News { cues: Vec::new(), more: None } };
        let told = broadcast.live().told();
        let mut more = told.watch();
        let count = *more.borrow_and_update();
        let from = match &self.of {
            Some((id, seen)) if id == broadcast.id() => *seen,
            _ if is_first => count,
            _ => 0,
        };
        self.of = Some((broadcast.id().clone(), count));
        News { cues: told.after(from, count.saturating_sub(from)), more: Some(more) }
    }
}

/// Ready when what is watched changes; never, where there is no broadcast.
async fn changed<T>(changes: Option<watch::Receiver<T>>) {
    if let Some(mut changes) = changes
        && changes.changed().await.is_ok()
    {
        return;
    }
    // The broadcast is gone, or there was none: the next look finds its successor.
    std::future::pending().await
}
