//! RTMP play: the same shared blocks, as RTMP chunks.

use std::{collections::VecDeque, future::poll_fn, io, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use kaibo_audience::Phase;
use kaibo_broadcast::{App, Refusal, State, Stream};
use kaibo_rtmp::{Connection, Event};

use super::{
    Viewer,
    feed::{self, Feed},
};
use crate::{
    broadcasts::Handle,
    config::Action,
    gate::{self, Question},
    input::rtmp::{Ended, Session},
    server::Server,
    telemetry::Protocol,
};

/// Checks a player's request, and answers with what it is shown.
pub async fn admit(
    server: &Arc<Server>,
    peer: SocketAddr,
    app: &str,
    name: &str,
    query: &str,
) -> Result<Feed, (kaibo_rtmp::Refusal, Refusal)> {
    // Players of RTMP don't say what they are in a way that tells them apart.
    let whom = (peer.ip(), "");
    let show = |broadcast: &Handle, phase, blocks| {
        let viewer = Viewer::new(server, broadcast, (phase, Protocol::Rtmp), whom);
        Feed::new(viewer, feed::Format::Rtmp, blocks)
    };
    let bad_name = |refusal| (kaibo_rtmp::Refusal::BadName, refusal);
    let app: App = app.parse().map_err(|error| bad_name(Refusal::Name(error)))?;
    let stream: Stream = name.parse().map_err(|error| bad_name(Refusal::Name(error)))?;
    if let Some(broadcast) = server.broadcasts.named(&app, &stream)
        && server.access.is_preview(&app, broadcast.id(), query)
        && broadcast.status().state == State::Preview
        && let Some(blocks) = broadcast.live().preview_rtmp()
    {
        return Ok(show(&broadcast, Phase::Before, blocks));
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
            Ok(show(&broadcast, Phase::During, broadcast.live().join_rtmp()))
        }
        State::Banned { .. } => Err((kaibo_rtmp::Refusal::Denied, Refusal::Banned)),
        State::Created | State::Preview => Err(bad_name(Refusal::NoBroadcast)),
        State::Ended { .. } | State::Expired => Err(bad_name(Refusal::Ended)),
    }
}

/// Sends the stream until it or the player ends, where TLS carries it.
pub async fn play(session: &mut Session, feed: Feed) -> Ended {
    let mut stream = feed::Stream::new(feed);
    loop {
        let done = tokio::select! {
            bytes = poll_fn(|cx| stream.poll_next(cx)) => match bytes {
                Some(bytes) => session.write(&bytes).await,
                None => session.end_play().await.and(Err(Ended::StreamOver)),
            },
            event = session.next_event() => match event {
                Ok(Event::StopPlay) => Err(Ended::Stopped),
                Ok(_) => Ok(()),
                Err(ended) => Err(ended),
            },
        };
        if let Err(ended) = done {
            return ended;
        }
    }
}

/// What is said beside the media, where the connection is plain TCP.
pub struct Conversation {
    connection: Box<Connection>,
    /// Of a message of the player's that is not whole yet.
    input: BytesMut,
}

impl Conversation {
    /// The player was accepted.
    pub fn new(connection: Connection) -> Self {
        Self { connection: Box::new(connection), input: BytesMut::new() }
    }

    /// Answers what the player says; true if it plays no more.
    pub fn hear(&mut self, bytes: &[u8], out: &mut VecDeque<Bytes>) -> io::Result<bool> {
        self.input.extend_from_slice(bytes);
        let mut stops = false;
        while let Some(event) = self.connection.receive(&mut self.input).map_err(io::Error::other)? {
            stops |= event == Event::StopPlay;
        }
        out.extend(self.connection.output());
        if self.input.is_empty() {
            // Most have nothing to say for long.
            self.input = BytesMut::new();
        }
        Ok(stops)
    }

    /// The last thing said: the stream is over.
    pub fn farewell(&mut self) -> Option<Bytes> {
        self.connection.end_play();
        self.connection.output()
    }
}
