//! RTMP play: the same shared blocks, as RTMP chunks.

use std::{net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use kaibo_audience::Phase;
use kaibo_broadcast::{App, Refusal, State, Stream};
use kaibo_container::flv::{Flv, Format, TagKind, millis};
use kaibo_hub::{Cursor, Next};
use kaibo_media::{Cue, Frame, Timestamp, Tracks};
use kaibo_rtmp::{Event, play::write_message};

use super::Viewer;
use crate::{
    broadcasts::Handle,
    config::Action,
    gate::{self, Question},
    input::rtmp::{Ended, Session},
    packager::Shared,
    server::Server,
    telemetry::Protocol,
};

/// FLV tag bodies in RTMP messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtmp(Flv);

impl Format for Rtmp {
    fn frame(&self, out: &mut BytesMut, frame: &Frame) {
        if let Some((kind, prefix)) = self.0.body_prefix(frame) {
            write_message(out, kind as u8, millis(frame.dts), &[&prefix, &self.0.body(frame)]);
        }
    }

    fn cue(&self, out: &mut BytesMut, cue: &Cue) {
        write_message(out, TagKind::Script as u8, millis(cue.at), &[&self.0.cue_body(cue)]);
    }

    fn headers(&self, out: &mut BytesMut, tracks: &Tracks, time: Timestamp) {
        for (kind, prefix, record) in self.0.config_bodies(tracks) {
            write_message(out, kind as u8, millis(time), &[&prefix, record]);
        }
    }
}

/// What a player gets before its first block.
fn preamble(tracks: &Tracks, time: Timestamp) -> BytesMut {
    let mut out = BytesMut::new();
    let format = Rtmp::default();
    // At 0, always: ffmpeg takes metadata at any other time for a track of subtitles.
    write_message(&mut out, TagKind::Script as u8, 0, &[&format.0.metadata(tracks)]);
    format.headers(&mut out, tracks, time);
    out
}

/// A player, and what it is shown.
pub struct Admitted {
    pub broadcast: Arc<Handle>,
    pub blocks: Cursor<Shared>,
    pub phase: Phase,
}

/// Checks a player's request.
pub async fn admit(
    server: &Arc<Server>,
    peer: SocketAddr,
    app: &str,
    name: &str,
    query: &str,
) -> Result<Admitted, (kaibo_rtmp::Refusal, Refusal)> {
    let bad_name = |refusal| (kaibo_rtmp::Refusal::BadName, refusal);
    let app: App = app.parse().map_err(|error| bad_name(Refusal::Name(error)))?;
    let stream: Stream = name.parse().map_err(|error| bad_name(Refusal::Name(error)))?;
    if let Some(broadcast) = server.broadcasts.named(&app, &stream)
        && server.access.is_preview(&app, broadcast.id(), query)
        && broadcast.status().state == State::Preview
        && let Some(blocks) = broadcast.live().preview_rtmp()
    {
        return Ok(Admitted { broadcast, blocks, phase: Phase::Before });
    }
    if server.access.play_is_signed(&app) {
        if server.access.is_shut_out(peer.ip()) {
            return Err((kaibo_rtmp::Refusal::Denied, Refusal::Address));
        }
        server.access.play(&app, &stream, query).map_err(|error| {
            server.access.refused(peer.ip());
            (kaibo_rtmp::Refusal::Denied, Refusal::Key(error))
        })?;
    }
    let broadcast = server.broadcasts.named(&app, &stream).ok_or(bad_name(Refusal::NoBroadcast))?;
    match broadcast.status().state {
        State::Live | State::Interrupted { .. } | State::Paused => {
            let (from, id) = ((peer.ip(), query), broadcast.id().clone());
            let question = Question::new(Action::Play, &app, &stream, gate::Protocol::Rtmp, from, Some(id));
            let allowed = server.gate.ask(server, question).await.of_play();
            allowed.map_err(|reason| (kaibo_rtmp::Refusal::Denied, Refusal::Forbidden { reason }))?;
            let blocks = broadcast.live().join_rtmp();
            Ok(Admitted { broadcast, blocks, phase: Phase::During })
        }
        State::Banned { .. } => Err((kaibo_rtmp::Refusal::Denied, Refusal::Banned)),
        State::Created | State::Preview => Err(bad_name(Refusal::NoBroadcast)),
        State::Ended { .. } | State::Expired => Err(bad_name(Refusal::Ended)),
    }
}

/// Sends the stream until it or the player ends.
pub async fn play(
    session: &mut Session,
    Admitted { broadcast, blocks: mut cursor, phase }: Admitted,
) -> Result<(), Ended> {
    // Players of RTMP don't say what they are in a way that tells them apart.
    let whom = (session.peer.ip(), "");
    let mut viewer = Viewer::new(&session.server, &broadcast, (phase, Protocol::Rtmp), whom);
    let mut batch = Vec::new();
    let mut tracks: Option<Arc<Tracks>> = None;
    loop {
        tokio::select! {
            next = cursor.next(&mut batch) => match next {
                Next::Entries => {
                    for Shared(block) in batch.drain(..) {
                        match &tracks {
                            Some(known) if Arc::ptr_eq(known, &block.tracks) || **known == *block.tracks => {}
                            _ => session.write(&preamble(&block.tracks, block.start)).await?,
                        }
                        tracks = Some(block.tracks.clone());
                        session.write(&block.bytes).await?;
                        viewer.sent(block.bytes.len());
                    }
                }
                Next::Lagged { .. } if viewer.lagged() > super::LAGS => return Err(Ended::StreamOver),
                Next::Lagged { .. } => {}
                Next::End => {
                    session.end_play().await?;
                    return Err(Ended::StreamOver);
                }
            },
            event = session.next_event() => {
                if let Event::StopPlay = event? {
                    return Ok(());
                }
            }
        }
    }
}
