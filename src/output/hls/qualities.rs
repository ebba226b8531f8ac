//! Several qualities of one stream, each a broadcast of its own, under one address.

use std::{sync::Arc, time::Duration};

use hyper::Response;
use kaibo_broadcast::{App, Stream};
use kaibo_hls::{Format, Variant, multivariant};
use tokio::{task::JoinSet, time::timeout};

use super::{FIRST_SEGMENT, PLAYLIST, no_segment_yet};
use crate::{
    broadcasts::{Handle, stem},
    gate::Protocol,
    http::{Body, Cache, Call, Content},
    live::Shown,
    output::{consent_by_name, etag, play_key},
    problem::Problem,
};

/// How long the first segment of one quality waits for those of the others: players ask for the list of qualities once,
/// and see none that comes later.
const TOGETHER: Duration = Duration::from_millis(700);

/// The list of `members`, which are what `stream` can be watched as.
pub async fn answer(
    call: &Call,
    app: &App,
    stream: &Stream,
    members: &[Arc<Handle>],
    format: Format,
) -> Result<Response<Body>, Problem> {
    play_key(call, app, stream)?;
    consent_by_name(call, Protocol::Hls, app, stream).await?;
    wait_for_segments(members).await;
    let access = &call.server.access;
    // One viewer, whichever quality it is that moment.
    let session = members.first().and_then(|first| access.hls_session(app, first.id()));
    // Much may have happened in the meantime.
    let members = members.iter().filter(|member| super::shown(member).is_ok());
    // A player goes to any that is in the list. Where TS carries none, that is said at once, as by their own lists.
    let (carried, refused): (Vec<_>, Vec<_>) =
        members.partition(|member| super::carried(member.live(), format).is_ok());
    if let ([], [first, ..]) = (&carried[..], &refused[..]) {
        super::carried(first.live(), format)?;
    }
    let variants = carried.into_iter().filter_map(|member| {
        let shown = member.live().shown();
        let query = match &session {
            Some(session) => format!("?{}", access.hls_session_beside(app, member.id(), session)?),
            None => String::new(),
        };
        let (name, id) = (member.stream(), member.id());
        let uri = match format {
            Format::Fmp4 => format!("{name}/{id}/live.m3u8{query}"),
            Format::Ts => format!("../{name}/{id}/ts.m3u8{query}"),
        };
        let (tracks, rates) = (shown.view.tracks()?.clone(), shown.view.rates(format)?);
        Some((uri, tracks, rates))
    });
    let variants: Vec<_> = variants.collect();
    if variants.is_empty() {
        return Err(no_segment_yet());
    }
    let text =
        multivariant(variants.iter().map(|(uri, tracks, rates)| Variant { uri, tracks, rates: *rates }));
    let cache = if session.is_none() { Cache::Revalidate } else { Cache::No };
    let etag = if session.is_none() { etag(text.as_bytes()) } else { String::new() };
    Ok(Content { kind: PLAYLIST, cache, etag: &etag, chunks: &[text.into()], gzip: None }.answer(call))
}

/// Until every one has a segment, or one has and the others had their time.
async fn wait_for_segments(members: &[Arc<Handle>]) {
    let mut waiting = JoinSet::new();
    for live in members.iter().map(|member| member.live().clone()) {
        waiting.spawn(async move { live.with_segment_within(FIRST_SEGMENT).await.is_some() });
    }
    if waiting.join_next().await.is_some() {
        let others = async { while waiting.join_next().await.is_some() {} };
        // Too late is not in the list.
        let _ = timeout(TOGETHER, others).await;
    }
}

/// How far the other qualities of the same stream are, by the addresses of their low-latency lists beside that of
/// `broadcast`. They carry no session: players know those lists by the longer addresses that they were given.
pub fn reports(call: &Call, broadcast: &Handle, shown: &Shown) -> Vec<(String, (u64, u32))> {
    let (app, settings) = (broadcast.app(), call.server.app_settings(broadcast.app().as_str()));
    let endings = &settings.hls.qualities;
    let Some(stream) = stem(broadcast.stream(), endings) else { return Vec::new() };
    let members = call.server.broadcasts.qualities(app, &stream, endings);
    let others = members.iter().filter(|member| member.id() != broadcast.id());
    let report = |other: &Arc<Handle>| {
        let view = &other.live().shown().view;
        // Lists with other parts are not low-latency versions of this one.
        let alike = !view.ended() && view.part_target() == shown.view.part_target();
        let newest = view.newest_part().filter(|_| alike)?;
        Some((format!("../../{}/{}/live.m3u8", other.stream(), other.id()), newest))
    };
    others.filter_map(report).collect()
}
