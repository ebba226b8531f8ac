//! HLS: the live playlists, the segments and parts they list, from memory; and those who wait for what comes next.

mod qualities;
mod recorded;
mod shifted;

use std::{slice, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{Response, StatusCode, header};
use kaibo_broadcast::{App, BroadcastId, State, Stream};
use kaibo_container::ts;
use kaibo_hls::{BadDirective, BadShift, Directives, Format, Position, Shift, View, without_directives};
use kaibo_replay::Id;

use self::recorded::Past;
use super::{
    Names, asking, banned, consent, ended, etag, expired, make_private, named, not_started, play_key, served,
    session, status,
};
use crate::{
    broadcasts::Handle,
    gate::Protocol,
    http::{Body, Cache, Call, Content},
    live::{Live, Playlist, Shown},
    problem::Problem,
    recorder::Replay,
    telemetry,
};

/// How long the first request of a stream that just started waits for its first segment: players take an empty
/// playlist for a broken one, and their own patience is 10 s.
const FIRST_SEGMENT: Duration = Duration::from_secs(9);

/// How long a player waits for the first byte of a playlist (hls.js: 10 s), less what the network takes.
const PLAYERS_PATIENCE: Duration = Duration::from_secs(9);

/// Target durations for which a blocked answer may be kept: its address asks for one moment (Apple).
const KEPT: u32 = 6;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// `/APP/STREAM.m3u8` and `/APP/STREAM/ts.m3u8`: the way in. It leads to the playlist of the broadcast that is on
/// now; that one belongs to its broadcast for good, so its numbers never start over.
pub async fn multivariant(
    call: &Call,
    app: &str,
    stream: &str,
    format: Format,
) -> Result<Response<Body>, Problem> {
    let (Ok(app), Ok(stream)) = (app.parse::<App>(), stream.parse::<Stream>()) else {
        return Err(Problem::not_found());
    };
    let (shift, _) = Shift::parse(call.query()).map_err(bad_shift)?;
    let settings = call.server.app_settings(app.as_str());
    let members = call.server.broadcasts.qualities(&app, &stream, &settings.hls.qualities);
    // Another time is looked at in one quality, under its own name.
    if shift.is_none() && !members.is_empty() {
        return qualities::answer(call, &app, &stream, &members, format).await;
    }
    let broadcast = named(call, &app, &stream)?;
    status::note_waiting(call, &broadcast);
    shown(&broadcast)?;
    play_key(call, &app, &stream)?;
    consent(call, Protocol::Hls, &Names::from(&*broadcast)).await?;
    let live = broadcast.live();
    live.with_segment_within(FIRST_SEGMENT).await.ok_or_else(no_segment_yet)?;
    carried(live, format)?;
    let id = broadcast.id();
    if let Some(shift) = shift {
        let (id, replay) = recorded::of(call, &app, id).await?.ok_or_else(recorded::not_recorded)?;
        shifted::wait(call, &Past { id: &id, replay: &replay }, shift).await?;
    }
    // Much may happen in nine seconds.
    shown(&broadcast)?;
    let session = call.server.access.hls_session(&app, id);
    // A viewer's session is nobody else's.
    let cache = if session.is_none() { Cache::Revalidate } else { Cache::No };
    let query: Vec<String> = shift.map(|shift| shift.query()).into_iter().chain(session).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let uri = match format {
        Format::Fmp4 => format!("{stream}/{id}/live.m3u8{query}"),
        Format::Ts => format!("{id}/ts.m3u8{query}"),
    };
    let text = live.shown().view.multivariant(format, &uri).ok_or_else(no_segment_yet)?;
    // One that has a session in it is another each time.
    let etag = if cache == Cache::Revalidate { etag(text.as_bytes()) } else { String::new() };
    Ok(Content { kind: PLAYLIST, cache, etag: &etag, chunks: &[text.into()], gzip: None }.answer(call))
}

/// `/APP/STREAM/BROADCAST/…`: playlists, segments and initialisation sections of one broadcast.
pub async fn file(
    call: &Call,
    app: &str,
    stream: &str,
    broadcast: &str,
    file: &str,
) -> Result<Response<Body>, Problem> {
    // Players add directives to whatever query a playlist's address has.
    let query = without_directives(call.query());
    let (shift, query) = Shift::parse(&query).map_err(bad_shift)?;
    let found = broadcast.parse::<BroadcastId>().ok().and_then(|id| call.server.broadcasts.get(&id));
    let Some(broadcast) =
        found.filter(|found| found.app().as_ref() == app && found.stream().as_ref() == stream)
    else {
        return Box::pin(recorded::file(call, app, stream, broadcast, file, (shift, &query))).await;
    };
    shown(&broadcast)?;
    let guarded = call.server.access.play_is_guarded(broadcast.app());
    // Where everybody may watch there is none to hand on.
    let query = if guarded { &*query } else { "" };
    session(call, broadcast.app(), broadcast.id(), query)?;
    let visit = broadcast.live().visit(asking(call, query)).ok_or_else(shared)?;
    let mut response = match file.rsplit_once('.') {
        Some(("live", "m3u8")) => playlist(call, &broadcast, Format::Fmp4, shift, query).await,
        Some(("ts", "m3u8")) => playlist(call, &broadcast, Format::Ts, shift, query).await,
        Some((name, "m4s")) => match name.split_once('.') {
            Some((number, index)) => part(call, &broadcast, name, number, index).await,
            // Boxed, for what is read from a recording takes much room in the connection of whoever reads none.
            None => Box::pin(segment(call, &broadcast, name)).await,
        },
        Some((number, "ts")) => Box::pin(ts_segment(call, &broadcast, number)).await,
        Some((name, "mp4")) => Box::pin(init(call, &broadcast, name)).await,
        _ => Err(Problem::not_found()),
    }?;
    served(call, &visit, (telemetry::Protocol::Hls, broadcast.live().pace()), &response);
    if guarded {
        make_private(&mut response);
    }
    Ok(response)
}

/// What may be seen of a broadcast through HLS: everything from its start on, also for a while after its end.
pub(super) fn shown(broadcast: &Handle) -> Result<(), Problem> {
    let status = broadcast.status();
    match status.state {
        state if state.is_withheld() => Err(banned()),
        State::Live | State::Interrupted { .. } | State::Paused => Ok(()),
        State::Ended { .. } if status.started_at.is_some() => Ok(()),
        State::Ended { .. } => Err(ended(&status)),
        State::Banned { .. } => Err(banned()),
        State::Created | State::Preview => Err(not_started("the broadcast has not started")),
        State::Expired => Err(expired()),
    }
}

async fn playlist(
    call: &Call,
    broadcast: &Handle,
    format: Format,
    shift: Option<Shift>,
    query: &str,
) -> Result<Response<Body>, Problem> {
    if let Some(shift) = shift {
        return Box::pin(recorded::playlist(call, broadcast, shift, format, query)).await;
    }
    let live = broadcast.live();
    let now = live.with_segment_within(FIRST_SEGMENT).await.ok_or_else(no_segment_yet)?;
    carried(live, format)?;
    // TS has no parts, and after the end there is nothing to wait for.
    let directives = match format {
        Format::Fmp4 if !now.view.ended() => Directives::parse(call.query()).map_err(bad_directive)?,
        Format::Fmp4 | Format::Ts => Directives::default(),
    };
    let now = reload(broadcast, &directives, now).await?;
    let reports = || qualities::reports(call, broadcast, &now);
    let playlist = now.playlist(format, directives.delta, query, reports).ok_or_else(no_segment_yet)?;
    let Playlist { text, gzip, etag } = &*playlist;
    let target_duration = now.view.target_duration().unwrap_or(1);
    let cache = match directives.from {
        Some(_) => Cache::Seconds(target_duration.saturating_mul(KEPT)),
        // Half a target duration at the most, and never none: a CDN in front collapses the viewers' requests.
        None => Cache::Seconds((target_duration / 2).max(1)),
    };
    Ok(Content { kind: PLAYLIST, cache, etag, chunks: text, gzip: gzip.as_deref() }.answer(call))
}

/// What is shown as soon as it has what `directives` ask for.
async fn reload(broadcast: &Handle, directives: &Directives, now: Arc<Shown>) -> Result<Arc<Shown>, Problem> {
    if now.view.answers(directives).map_err(bad_directive)? {
        return Ok(now);
    }
    // Too far ahead is nothing any more that was not at first.
    wait(broadcast, |view| view.answers(directives) == Ok(true)).await
}

/// Waits for media, but never for long: an encoder may be away, and players give up on an answer that does not come.
async fn wait(broadcast: &Handle, wanted: impl Fn(&View) -> bool) -> Result<Arc<Shown>, Problem> {
    let live: &Live = broadcast.live();
    let target = Duration::from_secs(live.target_duration().unwrap_or(1).into());
    // Three target durations (rfc8216bis §6.2.5.2), or as long as players wait where that is less; but a whole segment
    // must have time to come.
    let patience = (target * 3).min(PLAYERS_PATIENCE.max(target * 3 / 2));
    let now = live.shown_when(patience, wanted).await.ok_or_else(no_media)?;
    // Much may have happened in the meantime.
    shown(broadcast)?;
    Ok(now)
}

/// A part. The one that was announced is waited for, and then sent as a whole.
async fn part(
    call: &Call,
    broadcast: &Handle,
    name: &str,
    number: &str,
    index: &str,
) -> Result<Response<Body>, Problem> {
    let (Ok(segment), Ok(index)) = (number.parse(), index.parse()) else { return Err(Problem::not_found()) };
    let asked = Position { segment, parts: index };
    let now = broadcast.live().shown();
    if now.view.position() == asked && !now.view.ended() {
        wait(broadcast, |view| view.position() > asked || view.ended()).await?;
    }
    // None if its segment ended without it: the next playlist announces another.
    match broadcast.live().part(asked) {
        Some(part) => immutable(call, "video/mp4", name, slice::from_ref(&part.bytes)),
        None => Err(Problem::not_found()),
    }
}

/// What memory does not have may be there.
async fn recording(call: &Call, broadcast: &Handle) -> Result<(Id, Replay), Problem> {
    recorded::of(call, broadcast.app(), broadcast.id()).await?.ok_or_else(Problem::not_found)
}

async fn segment(call: &Call, broadcast: &Handle, number: &str) -> Result<Response<Body>, Problem> {
    let segment = number.parse().ok().and_then(|number| broadcast.live().segment(number));
    match segment {
        Some(segment) => immutable(call, "video/mp4", number, &segment.chunks().collect::<Vec<_>>()),
        None => {
            let (id, replay) = recording(call, broadcast).await?;
            Past { id: &id, replay: &replay }.segment(call, number).await
        }
    }
}

async fn ts_segment(call: &Call, broadcast: &Handle, number: &str) -> Result<Response<Body>, Problem> {
    match number.parse().ok().and_then(|number| broadcast.live().ts_segment(number)) {
        Some(Ok(bytes)) => immutable(call, "video/mp2t", number, &[bytes]),
        Some(Err(error)) => Err(not_carried(&error)),
        None => {
            let (id, replay) = recording(call, broadcast).await?;
            Past { id: &id, replay: &replay }.ts_segment(call, number).await
        }
    }
}

/// A list of segments that are all refused is refused.
fn carried(live: &Live, format: Format) -> Result<(), Problem> {
    // Fragmented MP4 carries all that is taken in.
    let tracks = if format == Format::Ts { live.tracks() } else { None };
    tracks.map_or(Ok(()), |tracks| ts::carries(&tracks).map_err(|error| not_carried(&error)))
}

fn not_carried(error: &ts::Error) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "codec_not_carried", error.to_string())
}

async fn init(call: &Call, broadcast: &Handle, name: &str) -> Result<Response<Body>, Problem> {
    let number = name.strip_prefix("init-").and_then(|number| number.parse().ok());
    match number.and_then(|number| broadcast.live().init(number)) {
        Some(init) => immutable(call, "video/mp4", name, slice::from_ref(&init.bytes)),
        None => {
            let (id, replay) = recording(call, broadcast).await?;
            Past { id: &id, replay: &replay }.init(call, name).await
        }
    }
}

fn immutable(
    call: &Call,
    kind: &'static str,
    etag: &str,
    chunks: &[Bytes],
) -> Result<Response<Body>, Problem> {
    Ok(Content { kind, cache: Cache::Immutable, etag, chunks, gzip: None }.answer(call))
}

fn no_segment_yet() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_segment_yet", "the first segment is not complete; try again")
        .with_header(header::RETRY_AFTER, "1")
}

fn bad_directive(error: BadDirective) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_directive", error.to_string())
}

fn shared() -> Problem {
    let detail = "this session has too many requests under way; it is for one viewer";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        .with_header(header::RETRY_AFTER, "1")
}

fn bad_shift(error: BadShift) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_time", error.to_string())
}

fn no_media() -> Problem {
    let detail = "what was waited for has not come; try again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_media", detail).with_header(header::RETRY_AFTER, "1")
}
