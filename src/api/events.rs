//! `/events`: everything that webhooks carry, as server-sent events (HTML §9.2).

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::Frame;
use kaibo_broadcast::BroadcastId;
use kaibo_media::Cue;
use kaibo_store::Notice;
use serde_json::json;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::timeout,
};

use super::TimedEvent;
use crate::{problem::Problem, server::Server};

/// How often the stream says something though nothing happened: proxies drop silent connections.
const BEAT: Duration = Duration::from_secs(15);

/// Events read from the store at once.
const PAGE: usize = 100;

/// Everything that webhooks carry, from now on, or from what follows on `Last-Event-ID`: the newest 100,000 events of
/// 30 days are kept. Also the timed events of all broadcasts as they are told (`timed`, without an id).
#[utoipa::path(get, operation_id = "listen_to_events", path = "/api/v1/events", tag = "events",
    params(("Last-Event-ID" = Option<u64>, Header, description = "`id` of the last event that was seen")),
    responses((status = 200, body = String, content_type = "text/event-stream",
        description = "`id`: its number; `event`: its type; `data`: the body that webhooks carry")))]
pub async fn listen(State(server): State<Arc<Server>>, headers: HeaderMap) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default().parse::<u64>());
    let last = last.transpose().map_err(|_| Problem::invalid("Last-Event-ID is no id of an event"))?;
    // One at a time: a listener that doesn't read is not read for.
    let (events, stream) = mpsc::channel(1);
    tokio::spawn(tell(server, last, events));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(Stream(stream))).into_response())
}

/// Events on their way out.
struct Stream(mpsc::Receiver<Bytes>);

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Reads everything from the store, in its order; what is told live only says that there is something to read.
async fn tell(server: Arc<Server>, after: Option<u64>, events: mpsc::Sender<Bytes>) {
    let mut live = server.events.subscribe();
    let mut timed = server.timed.subscribe();
    let mut stopping = server.stopping();
    // Asked for after the subscription and before the listener knows that it is heard: it misses nothing from there on.
    let last = match after {
        Some(after) => Ok(after),
        None => server.store.ask(|store| store.newest()).await,
    };
    let mut last = match last {
        Ok(last) => last,
        Err(error) => return tracing::error!(%error, "events can't be read"),
    };
    // Shows the listener that it is heard.
    if events.send(Bytes::from_static(b":\n\n")).await.is_err() {
        return;
    }
    loop {
        let page = match server.store.ask(move |store| store.notices(last, PAGE)).await {
            Ok(page) => page,
            // The listener comes back with the last id that it saw.
            Err(error) => return tracing::error!(%error, "events can't be read"),
        };
        for notice in &page {
            if events.send(event(notice)).await.is_err() {
                return;
            }
            last = notice.sequence;
        }
        if page.len() == PAGE {
            continue;
        }
        tokio::select! {
            news = timeout(BEAT, live.recv()) => match news {
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return,
                // A comment.
                Err(_) => if events.send(Bytes::from_static(b":\n\n")).await.is_err() { return },
            },
            // What a listener who is far behind has missed is in the lists of the broadcasts.
            told = timed.recv() => if let Ok((id, cue)) = told
                && events.send(timed_event(&id, &cue)).await.is_err()
            {
                return;
            },
            () = events.closed() => return,
            () = stopping.wait() => return,
        }
    }
}

/// Without an id: it is not stored, so nobody can go on behind it.
fn timed_event(id: &BroadcastId, cue: &Cue) -> Bytes {
    let data = json!({ "broadcast": id, "event": TimedEvent::of(cue) });
    format!("event: timed\ndata: {data}\n\n").into()
}

/// Bodies are JSON on one line.
fn event(Notice { sequence, kind, body, .. }: &Notice) -> Bytes {
    format!("id: {sequence}\nevent: {kind}\ndata: {body}\n\n").into()
}
