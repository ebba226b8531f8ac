//! Pictures: the newest snapshot of a stream, the cover of a replay, the thumbnails of its seek bar.

use std::{
    slice,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hyper::Response;
use kaibo_broadcast::{App, Stream};
use kaibo_replay::Picture;

use super::{
    Names, consent, etag,
    hls::shown,
    keep_private, make_private, named, play_key,
    replay::{Found, admit, find},
    session,
};
use crate::{
    broadcasts::Handle,
    gate::Protocol,
    http::{Body, Cache, Call, Content},
    problem::Problem,
    recorder::Replay,
    snapshots::{Error, Snapshot, Wish, snapshot},
};

const JPEG: &str = "image/jpeg";

/// Seconds for which a cover may be kept: it never changes, but the replay may be deleted.
const DAY: u32 = 86_400;

/// `/APP/STREAM.jpg`: for those who may have the live playlist.
pub async fn newest(call: &Call, app: &str, stream: &str) -> Result<Response<Body>, Problem> {
    let (Ok(app), Ok(stream)) = (app.parse::<App>(), stream.parse::<Stream>()) else {
        return Err(Problem::not_found());
    };
    let settings = call.server.app_settings(app.as_str());
    // Of several qualities the best.
    let broadcast = match call.server.broadcasts.qualities(&app, &stream, &settings.hls.qualities).pop() {
        Some(best) => best,
        None => named(call, &app, &stream)?,
    };
    shown(&broadcast)?;
    let admitted =
        call.server.access.play_is_guarded(&app) && session(call, &app, broadcast.id(), call.query()).is_ok();
    if !admitted {
        play_key(call, &app, &stream)?;
        consent(call, Protocol::Hls, &Names::from(&*broadcast)).await?;
    }
    let mut response = of_broadcast(call, &broadcast).await?;
    keep_private(call, &app, &mut response);
    Ok(response)
}

async fn of_broadcast(call: &Call, broadcast: &Arc<Handle>) -> Result<Response<Body>, Problem> {
    let taken = snapshot(&call.server, broadcast.live(), Wish::Recent).await;
    // Much may happen while it is taken.
    shown(broadcast)?;
    let taken: Arc<Snapshot> = taken.map_err(|error| error.problem())?;
    let age = call.server.settings().config.snapshot.max_age.0.as_secs();
    let millis = u64::try_from(taken.facts.taken.0).unwrap_or(0);
    let content = Content {
        kind: JPEG,
        // Half of what it may be old, so that it is never much older than that.
        cache: Cache::Seconds(u32::try_from(age / 2).unwrap_or(u32::MAX).max(1)),
        etag: &taken.etag,
        chunks: slice::from_ref(&taken.jpeg.bytes),
        gzip: None,
    };
    Ok(content.answer_dated(call, SystemTime::UNIX_EPOCH + Duration::from_millis(millis)))
}

/// `/replay/BROADCAST.jpg`
pub async fn cover(call: &Call, id: &str) -> Result<Response<Body>, Problem> {
    let found = find(call, id).await?;
    admit(call, &found).await?;
    if let Replay::Growing(growing) = &found.replay {
        let handle = call.server.broadcasts.get(&found.broadcast);
        let broadcast = handle.ok_or_else(|| Error::Pending.problem())?;
        let mut response = of_broadcast(call, &broadcast).await?;
        keep_private(call, &growing.app, &mut response);
        if found.private {
            make_private(&mut response);
        }
        return Ok(response);
    }
    let bytes = kept(call, &found, Picture::Cover).await?;
    Ok(answer(call, &found, JPEG, Cache::Seconds(DAY), bytes))
}

/// `/replay/BROADCAST/thumbnails.vtt`
pub async fn thumbnails(call: &Call, id: &str) -> Result<Response<Body>, Problem> {
    let found = find(call, id).await?;
    let query = admit(call, &found).await?;
    let bytes = kept(call, &found, Picture::Index).await?;
    let kind = "text/vtt; charset=utf-8";
    if query.is_empty() {
        return Ok(answer(call, &found, kind, Cache::Seconds(DAY), bytes));
    }
    // What lies behind it needs the session, too.
    let text = String::from_utf8_lossy(&bytes).replace("#xywh=", &format!("?{query}#xywh="));
    Ok(answer(call, &found, kind, Cache::No, text.into()))
}

/// `/replay/BROADCAST/thumbnails-N.jpg`
pub async fn sheet(call: &Call, id: &str, number: u32) -> Result<Response<Body>, Problem> {
    let found = find(call, id).await?;
    if found.token.is_none() {
        session(call, &found.app, &found.broadcast, call.query())?;
    }
    // They are made with the index that names them.
    let bytes = call.server.recordings.picture(&found.id, Picture::Sheet(number)).await;
    let bytes = bytes.map_err(|error| super::replay::fault(&found.id, &error))?;
    Ok(answer(call, &found, JPEG, Cache::Immutable, bytes))
}

async fn kept(call: &Call, found: &Found, picture: Picture) -> Result<Bytes, Problem> {
    if !found.replay.is_final() {
        return Err(Error::Pending.problem());
    }
    let bytes = call.server.snapshots.kept(&call.server, &found.id, picture).await;
    bytes.map_err(|error| error.problem())
}

fn answer(call: &Call, found: &Found, kind: &'static str, cache: Cache, bytes: Bytes) -> Response<Body> {
    let etag = etag(&bytes);
    let content = Content { kind, cache, etag: &etag, chunks: &[bytes], gzip: None };
    let mut response = content.answer(call);
    keep_private(call, &found.app, &mut response);
    if found.private {
        make_private(&mut response);
    }
    response
}
