//! What the business is told: one body per event, the same for webhooks and for the event stream.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use kaibo_broadcast::{App, BroadcastId, Millis, Notice, Refusal, Stream};
use kaibo_replay::{Finished, Loss};
use kaibo_store::{Clip, NewNotice};
use serde_json::{Value, json};

use crate::{
    access::{play_urls, rfc3339},
    broadcasts::{Peer, PushFacts, Status},
    output::{mp4_url, replay_url},
    server::Server,
    snapshots::Facts,
};

/// Every event that there is.
pub const NAMES: [&str; 17] = [
    "broadcast.created",
    "broadcast.started",
    "broadcast.interrupted",
    "broadcast.resumed",
    "broadcast.paused",
    "broadcast.banned",
    "broadcast.duration_warning",
    "broadcast.ended",
    "broadcast.expired",
    "push.up",
    "push.down",
    "push.rejected",
    "replay.ready",
    "replay.truncated",
    "snapshot.ready",
    "replay.deleted",
    "clip.ready",
];

/// The event that `notice` means for the broadcast that is in `status` now. `push`: the one that is accepted,
/// `recorded`: the broadcast is to have a replay.
pub fn event(
    server: &Server,
    notice: &Notice,
    status: &Status,
    push: Option<&PushFacts>,
    recorded: bool,
    now: Millis,
) -> NewNotice {
    let mut more = details(notice);
    match (notice, push, &mut more) {
        (Notice::PushUp { epoch } | Notice::PushDown { epoch, .. }, Some(push), Value::Object(more))
            if *epoch == push.epoch =>
        {
            more.insert("push".into(), push.to_api(status.size, now));
        }
        (Notice::Started, _, Value::Object(more)) => {
            more.insert("recorded".into(), recorded.into());
        }
        _ => {}
    }
    about(server, notice.name(), new_id(), status, more, now)
}

/// What an event says beside the broadcast.
fn details(notice: &Notice) -> Value {
    match notice {
        Notice::PushUp { epoch } => json!({ "epoch": epoch.0 }),
        Notice::PushDown { epoch, cause } => {
            json!({ "epoch": epoch.0, "code": cause.code().to_string(), "reason": cause.to_string() })
        }
        Notice::PushRejected { refusal } => {
            json!({ "code": refusal.code().to_string(), "reason": refusal.to_string() })
        }
        Notice::Interrupted { deadline } => json!({ "resume_deadline": rfc3339(*deadline) }),
        Notice::Resumed { gap } => json!({ "gap_ms": u64::try_from(gap.as_millis()).unwrap_or(u64::MAX) }),
        Notice::DurationWarning { left } => json!({ "left_s": left.as_secs() }),
        Notice::Ended { reason } => json!({ "reason": reason.name() }),
        Notice::Created | Notice::Started | Notice::Paused | Notice::Banned | Notice::Expired => json!({}),
    }
}

/// The recording of a broadcast is final. There is one such event for each, however often it is made: a server that
/// was killed before it knew whether the event was stored makes it again.
pub fn replay_ready(server: &Server, status: &Status, finished: &Finished, now: Millis) -> NewNotice {
    let replay = json!({
        "hls": format!("{}{}", server.public_addresses().http, replay_url(&status.id)),
        "mp4": format!("{}{}", server.public_addresses().http, mp4_url(&status.id)),
        "duration_ms": finished.duration.as_millis(), "file_size": finished.bytes,
        "segments": finished.segments, "truncated": finished.truncated,
    });
    let id = format!("evt_{}-ready", status.id);
    about(server, "replay.ready", id, status, json!({ "replay": replay }), now)
}

/// A part of a broadcast is not recorded.
pub fn replay_truncated(server: &Server, status: &Status, loss: &Loss, now: Millis) -> NewNotice {
    let more = json!({ "from_ms": loss.from.as_millis(), "reason": loss.reason() });
    about(server, "replay.truncated", new_id(), status, more, now)
}

/// A snapshot was taken at the interval, or because the backend asked for it.
pub fn snapshot_ready(server: &Server, status: &Status, snapshot: Facts, now: Millis) -> NewNotice {
    let url = play_urls(&server.public_addresses(), &status.app, &status.stream).snapshot;
    // What is known of the broadcast may be a second old.
    let status = Status { snapshot: Some(snapshot), ..status.clone() };
    let more = json!({ "snapshot": snapshot.to_api(url) });
    about(server, "snapshot.ready", new_id(), &status, more, now)
}

/// The server has deleted a replay by itself. `reason`: `retention` or `disk_space`.
pub fn replay_deleted(server: &Server, status: &Status, reason: &str, now: Millis) -> NewNotice {
    about(server, "replay.deleted", new_id(), status, json!({ "reason": reason }), now)
}

/// A clip can be watched. There is one such event for each, however often it is made. `status` is that of its broadcast,
/// if it is still known.
pub fn clip_ready(
    server: &Server,
    status: Option<&Status>,
    clip: &Clip,
    object: Value,
    now: Millis,
) -> NewNotice {
    let id = format!("evt_{}-ready", clip.id);
    let more = json!({ "clip": object });
    match status {
        Some(status) => about(server, "clip.ready", id, status, more, now),
        None => notice(server, "clip.ready", id, Some(clip.broadcast.clone()), more, now),
    }
}

/// Tells of a push that was refused before a broadcast was asked: by its key or its name. What an address that was shut
/// out for guessing goes on to try is nobody's news.
pub async fn refused(server: &Server, app: &App, stream: &Stream, refusal: &Refusal, peer: &Peer) {
    if *refusal != Refusal::Address && server.rejections.may_tell(app, Instant::now()) {
        let data = json!({
            "app": app, "stream": stream, "push": { "address": peer.address(), "query": peer.query() },
            "code": refusal.code().to_string(), "reason": refusal.to_string(),
        });
        post(server, notice(server, "push.rejected", new_id(), None, data, server.clock.now())).await;
    }
}

fn new_id() -> String {
    format!("evt_{}", uuid::Uuid::now_v7().simple())
}

fn about(server: &Server, kind: &str, id: String, status: &Status, more: Value, now: Millis) -> NewNotice {
    let mut data = json!({ "broadcast": status.to_api(&server.public_addresses(), now) });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    notice(server, kind, id, Some(status.id.clone()), data, now)
}

fn notice(
    server: &Server,
    kind: &str,
    id: String,
    broadcast: Option<BroadcastId>,
    data: Value,
    now: Millis,
) -> NewNotice {
    let endpoints = server.hooks.wanting(kind, &data);
    let body = json!({ "type": kind, "id": id, "timestamp": rfc3339(now), "data": data });
    NewNotice { id, broadcast, kind: kind.to_string(), at: now, body: body.to_string(), endpoints }
}

/// Stores an event that follows from no transition, and tells those who listen. If it is about a broadcast in memory,
/// that stores it, behind its own events.
pub async fn post(server: &Server, notice: NewNotice) {
    let broadcast = notice.broadcast.as_ref().and_then(|id| server.broadcasts.get(id));
    let notice = match broadcast.map(|broadcast| broadcast.tell(notice.clone())) {
        Some(Ok(())) => return,
        Some(Err(_)) | None => notice,
    };
    let told = vec![notice];
    let stored = told.clone();
    match server.store.ask(move |store| store.post(&stored)).await {
        Ok(sequences) => server.tell(told, &sequences),
        Err(error) => {
            server.metrics.store_errors.inc();
            tracing::error!(%error, "can't store an event");
        }
    }
}

/// Apps whose refusals are told within [`Rejections::PAUSE`]: whoever knocks chooses the names, and must not push
/// other events out of the store.
const APPS: usize = 8;

/// Keeps those who knock at the door from flooding the business with `push.rejected`.
#[derive(Default)]
pub struct Rejections(Mutex<HashMap<App, Instant>>);

impl Rejections {
    /// Of the refusals of one app, one in this time is told.
    const PAUSE: Duration = Duration::from_secs(1);

    /// This one may be told.
    fn may_tell(&self, app: &App, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.duration_since(*at) < Self::PAUSE);
        if told.contains_key(app) || told.len() >= APPS {
            return false;
        }
        told.insert(app.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_of_an_app_is_told_in_a_second() {
        let (rejections, now) = (Rejections::default(), Instant::now());
        let app = |name: &str| name.parse::<App>().unwrap();
        assert!(rejections.may_tell(&app("live"), now));
        assert!(!rejections.may_tell(&app("live"), now));
        assert!(rejections.may_tell(&app("shop"), now), "each app by itself");
        let others = (0..100).filter(|number| rejections.may_tell(&app(&format!("a{number}")), now)).count();
        assert_eq!(others, APPS - 2);
        assert!(rejections.may_tell(&app("live"), now + Rejections::PAUSE));
    }
}
