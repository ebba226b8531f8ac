//! Replays: a playlist that grows while the broadcast is live and is final when it ends, over the recorded segments.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{Response, StatusCode};
use kaibo_audience::{Pace, Phase};
use kaibo_broadcast::{App, BroadcastId, EndReason, Stream};
use kaibo_hls::{DateRange, Entry, Format, Kind, Playlist, Uris};
use kaibo_media::{Cue, Span};
use kaibo_replay::{Edit, Error, Excerpt, Id, Segment};

use super::{
    Names, asking, banned, consent, keep_private, make_private, pictures, play_key, served, session,
};
use crate::{
    access::preview,
    audience::Viewer,
    broadcasts::Handle,
    gate::Protocol,
    http::{Body, Cache, Call, Content},
    live::Playlist as Rendered,
    problem::Problem,
    recorder::{Replay, Whole},
    telemetry,
};

/// How long somebody is taken to watch a replay after it got something of it: players load up to a minute ahead.
const PRESENCE: Duration = Duration::from_secs(60);

/// `/replay/BROADCAST.m3u8`, `/clip/CLIP.m3u8` and, with its cover, `/replay/BROADCAST.jpg`.
pub async fn playlist(call: &Call, file: &str) -> Result<Response<Body>, Problem> {
    if let Some(id) = file.strip_suffix(".jpg") {
        return pictures::cover(call, id).await;
    }
    let id = file.strip_suffix(".m3u8").ok_or_else(Problem::not_found)?;
    let found = find(call, id).await?;
    let query = admit(call, &found).await?;
    let prefix = format!("{}/", found.id);
    let uris = Uris { prefix: &prefix, format: Format::Fmp4, query: &query };
    let rendered = match query.is_empty() {
        true => shared(&found, uris).await,
        // A viewer's own is made for it alone.
        false => render(&found, uris).map(Arc::new),
    };
    let Some(rendered) = rendered else {
        let detail = "nothing of this broadcast is recorded yet";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_segment_yet", detail));
    };
    // A day: a final list never changes, but the replay may be deleted.
    let cache = match found.replay.is_final() {
        // A viewer's session is nobody else's.
        _ if !query.is_empty() => Cache::No,
        true => Cache::Seconds(86_400),
        false => Cache::Revalidate,
    };
    let kind = "application/vnd.apple.mpegurl";
    let Rendered { text, gzip, etag } = &*rendered;
    let response = Content { kind, cache, etag, gzip: gzip.as_deref(), chunks: text }.answer(call);
    count(call, &found, &query, &response).await;
    Ok(response)
}

/// `/replay/BROADCAST/…`, `/clip/CLIP/…`: segments, initialisation sections and thumbnails.
pub async fn file(call: &Call, id: &str, file: &str) -> Result<Response<Body>, Problem> {
    if file == "thumbnails.vtt" {
        return pictures::thumbnails(call, id).await;
    }
    let sheet = file.strip_prefix("thumbnails-").and_then(|name| name.strip_suffix(".jpg"));
    if let Some(number) = sheet {
        return pictures::sheet(call, id, number.parse().map_err(|_| Problem::not_found())?).await;
    }
    let found = find(call, id).await?;
    if found.token.is_none() {
        session(call, &found.app, &found.broadcast, call.query())?;
    }
    let Found { id, app, replay, private, .. } = &found;
    let recordings = &call.server.recordings;
    let bytes = match file.rsplit_once('.') {
        Some((number, "m4s")) => {
            let number: u64 = number.parse().map_err(|_| Problem::not_found())?;
            let bytes = match replay.excerpt() {
                Some((recording, excerpt)) => {
                    let mut pieces = excerpt.from_keyframes.pieces(recording.segments());
                    let nth = usize::try_from(number).ok().and_then(|number| pieces.nth(number));
                    recordings.piece(id, number, nth.ok_or_else(Problem::not_found)?).await
                }
                None => {
                    let segment = replay.segment(number);
                    recordings.segment(id, segment.ok_or_else(Problem::not_found)?).await
                }
            };
            bytes.map_err(|error| fault(id, &error))?
        }
        Some((name, "mp4")) => {
            let number = name.strip_prefix("init-").and_then(|number| number.parse().ok());
            let number = number.ok_or_else(Problem::not_found)?;
            let init = recordings.init(id, number).await.map_err(|error| fault(id, &error))?;
            init.ok_or_else(Problem::not_found)?.bytes.clone()
        }
        _ => return Err(Problem::not_found()),
    };
    let content =
        Content { kind: "video/mp4", cache: Cache::Immutable, etag: file, chunks: &[bytes], gzip: None };
    let mut response = content.answer(call);
    keep_private(call, app, &mut response);
    if *private {
        make_private(&mut response);
    }
    count(call, &found, call.query(), &response).await;
    Ok(response)
}

/// Counts whoever was served `response` of a replay, or of what was cut out of one.
pub(super) async fn count(call: &Call, found: &Found, query: &str, response: &Response<Body>) {
    let Some(audience) = call.server.audiences.go_on(&call.server, &found.broadcast).await else { return };
    if let Some(visit) = audience.visit(Phase::After, found.asking(call, query)) {
        served(call, &visit, (telemetry::Protocol::Replay, found.pace()), response);
    }
}

/// Lets a viewer in; answers with the query that opens what lies behind the list, empty where everybody may have it.
pub(super) async fn admit(call: &Call, found: &Found) -> Result<String, Problem> {
    // Whoever has watched it live, or reloads the list, comes with a session; others with a key.
    Ok(match session(call, &found.app, &found.broadcast, call.query()) {
        _ if found.token.is_some() => found.token.clone().unwrap_or_default(),
        Ok(()) if call.server.access.play_is_guarded(&found.app) => call.query().to_string(),
        Ok(()) => String::new(),
        Err(_) => {
            play_key(call, &found.app, &found.stream)?;
            let names = Names { app: &found.app, stream: &found.stream, id: &found.broadcast };
            consent(call, Protocol::Hls, &names).await?;
            call.server.access.hls_session(&found.app, &found.broadcast).unwrap_or_default()
        }
    })
}

/// A replay or what was cut out of one, and whose it is.
pub(super) struct Found {
    pub(super) id: Id,
    /// That was recorded, or that it was cut out of.
    pub(super) broadcast: BroadcastId,
    pub(super) app: App,
    pub(super) stream: Stream,
    pub(super) replay: Replay,
    /// More of it may come. No recorder need have it open: one that has just started hasn't yet, one whose disk takes
    /// nothing can't.
    goes_on: bool,
    /// It is not for everybody.
    pub(super) private: bool,
    /// A query with the token that opens it all the same, without a key.
    pub(super) token: Option<String>,
}

impl Found {
    /// As whom its viewer is counted.
    pub(super) fn asking<'a>(&self, call: &'a Call, query: &'a str) -> Viewer<'a> {
        // A token is everybody's who has its address.
        let guarded = self.token.is_none() && call.server.access.play_is_guarded(&self.app);
        asking(call, if guarded { query } else { "" })
    }

    /// How its viewers come and go.
    pub(super) fn pace(&self) -> Pace {
        let target = Duration::from_secs(self.replay.target_duration().unwrap_or(0).into());
        Pace { kept: PRESENCE, target }
    }
}

pub(super) async fn find(call: &Call, id: &str) -> Result<Found, Problem> {
    let named: BroadcastId = id.parse().map_err(|_| Problem::not_found())?;
    let id: Id = id.parse().map_err(|_| Problem::not_found())?;
    let replay = call.server.recordings.find(&id).await.map_err(|error| fault(&id, &error))?;
    let source = replay.excerpt().and_then(|(_, excerpt)| excerpt.of.as_str().parse().ok());
    let is_excerpt = source.is_some();
    let broadcast = source.unwrap_or_else(|| named.clone());
    let handle = call.server.broadcasts.get(&broadcast);
    let ended_by_ban = match &replay {
        Replay::Growing(_) => false,
        Replay::Final(Whole { recording, .. }) => {
            recording.finished().is_some_and(|finished| finished.reason == EndReason::Banned.name())
        }
    };
    let is_banned = |broadcast: &Arc<Handle>| broadcast.status().state.is_withheld();
    if ended_by_ban || handle.as_ref().is_some_and(is_banned) {
        return Err(banned());
    }
    let goes_on = match &replay {
        Replay::Growing(_) => true,
        Replay::Final(_) => {
            !replay.is_final() && handle.is_some_and(|broadcast| !broadcast.status().state.is_final())
        }
    };
    if is_excerpt && call.server.clips.is_withheld(&call.server, &broadcast).await.map_err(no_store)? {
        return Err(banned());
    }
    let names = match &replay {
        Replay::Growing(growing) => Some((growing.app.clone(), growing.stream.clone())),
        Replay::Final(Whole { recording, .. }) => {
            let meta = recording.meta();
            meta.app.parse().ok().zip(meta.stream.parse().ok())
        }
    };
    // Only a damaged index has no names in it.
    let (app, stream) = names.ok_or_else(Problem::not_found)?;
    let server = &call.server;
    let private = match is_excerpt {
        true => server.clips.is_private(server, &named).await,
        false => server.broadcasts.has_private_replay(server, &broadcast).await,
    };
    let private = private.map_err(no_store)?;
    if is_excerpt && private.is_none() {
        // It was just deleted.
        return Err(fault(&id, &Error::Missing(id.clone())));
    }
    let private = private.unwrap_or(!server.app_settings(app.as_ref()).record.public);
    let token = server.access.is_preview(&app, &broadcast, call.query()).then(|| {
        let token = preview::of_query(call.query()).unwrap_or_default();
        format!("{}={token}", preview::PARAMETER)
    });
    if private && token.is_none() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "replay_private", "this replay is not public"));
    }
    Ok(Found { id, broadcast, app, stream, replay, goes_on, private, token })
}

fn no_store(error: kaibo_store::Error) -> Problem {
    tracing::error!(%error, "can't see whether a replay is public");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", "the store can't be used; try again")
}

pub(super) fn fault(id: &Id, error: &Error) -> Problem {
    if let Error::Missing(_) = error {
        return Problem::new(StatusCode::NOT_FOUND, "no_such_replay", "there is no replay of this id");
    }
    if let Error::Io { source, .. } = error
        && source.kind() == ErrorKind::HostUnreachable
    {
        tracing::warn!(recording = %id, %error, "a viewer gets nothing from the bucket");
        let detail = "the storage can't be reached; try again";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage", detail);
    }
    tracing::error!(recording = %id, %error, "can't read a recording");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "replay_unreadable", "this replay can't be read")
}

/// The list that everybody may have: made once for each change.
async fn shared(found: &Found, uris: Uris<'_>) -> Option<Arc<Rendered>> {
    let (playlist, version) = match &found.replay {
        Replay::Growing(growing) => {
            let segments = growing.listing.read(<[_]>::len);
            (&growing.playlist, (segments, growing.live.target_duration()))
        }
        Replay::Final(Whole { recording, playlist }) => {
            (playlist, (recording.segments().len(), recording.resume().target_duration))
        }
    };
    playlist.get(version, || render(found, uris)).await
}

fn render(found: &Found, uris: Uris<'_>) -> Option<Rendered> {
    let kind = if found.goes_on { Kind::Event } else { Kind::Vod };
    let text = match &found.replay {
        Replay::Growing(growing) => {
            let target_duration = growing.live.target_duration();
            let (edit, cues) = (Edit::default(), growing.listing.cues());
            growing.listing.read(|segments| {
                let (edit, cues) = (&edit, &cues[..]);
                Film { segments, cues, edit, target_duration, kind, start: None, counted: false }.list(uris)
            })
        }
        Replay::Final(Whole { recording, .. }) => {
            let (segments, target_duration) = (recording.segments(), recording.resume().target_duration);
            let excerpt = recording.meta().excerpt.as_ref();
            let whole = Edit::default();
            let film = Film {
                segments,
                cues: recording.cues(),
                edit: excerpt.map_or(&whole, |excerpt| &excerpt.from_keyframes),
                target_duration,
                kind,
                start: excerpt.and_then(|excerpt| hidden(excerpt, segments)),
                counted: excerpt.is_some(),
            };
            film.list(uris)
        }
    }?;
    Some(Rendered { gzip: Some(vec![super::gzip(&text)]), etag: super::etag(&text), text: vec![text] })
}

/// How much there is before the first picture that is to be shown: a segment begins with a keyframe.
fn hidden(excerpt: &Excerpt, segments: &[Segment]) -> Option<Span> {
    let first = |edit: &Edit| edit.pieces(segments).next().map(|piece| piece.start());
    let hidden = first(&excerpt.edit)? - first(&excerpt.from_keyframes)?;
    Some(hidden).filter(|hidden| *hidden > Span::ZERO)
}

/// What a list shows.
struct Film<'a> {
    segments: &'a [Segment],
    cues: &'a [Arc<Cue>],
    edit: &'a Edit,
    target_duration: Option<u32>,
    kind: Kind,
    start: Option<Span>,
    /// A segment may come twice, so its pieces are what is counted in their addresses.
    counted: bool,
}

impl Film<'_> {
    /// A list of it, or none before its first segment.
    fn list(&self, uris: Uris<'_>) -> Option<Bytes> {
        let &Self { segments, cues, edit, target_duration, kind, start, counted } = self;
        let pieces = || edit.pieces(segments);
        let longest = pieces().map(|piece| piece.duration().as_millis()).max()?;
        let dated = cues.iter().filter_map(|cue| {
            let start = edit.date_of(segments, cue.at, kind == Kind::Vod)?;
            Some(DateRange { cue: cue.clone(), start })
        });
        let date_ranges: Vec<_> = dated.collect();
        // A recording that broke off within its first segment knows no target duration yet.
        let target_duration =
            target_duration.unwrap_or_else(|| u32::try_from((longest + 999) / 1000).unwrap_or(1).max(1));
        let mut discontinuity = 0;
        let entries = pieces().zip(0..).map(|(piece, at)| {
            discontinuity += u64::from(piece.joint);
            Entry {
                number: if counted { at } else { piece.segment.number },
                duration: Some(piece.duration()),
                discontinuity,
                init: piece.segment.init,
                wall: piece.segment.wall + (piece.start() - piece.segment.start),
                parts: &[],
            }
        });
        let playlist = Playlist {
            kind,
            ended: kind == Kind::Vod,
            target_duration,
            media_sequence: 0,
            discontinuity_sequence: 0,
            // What begins inside of a segment begins there with a keyframe.
            independent: pieces().all(|piece| piece.segment.independent || piece.from.is_some()),
            date_ranges: &date_ranges,
            start,
            uris,
            entries,
            low_latency: None,
        };
        Some(playlist.render().into())
    }
}
