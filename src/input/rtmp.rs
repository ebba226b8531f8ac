//! RTMP connections: publishers, and players on their way to `output`.

use std::{collections::VecDeque, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::BytesMut;
use kaibo_broadcast::{App, DownCause, KeyError, Publish, Refusal, Stream};
use kaibo_media::AssemblyError;
use kaibo_rtmp::{Connection, Event, Limits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tracing::{Instrument, Span, field::Empty, info_span};

use super::{gather::Gather, publisher::Publisher};
use crate::{
    access::{self, unix_now},
    broadcasts::{Peer, Push},
    config::Action,
    fanout::{Carriage, Viewer},
    gate::{Protocol, Question},
    notices,
    output::{self, feed::Feed, rtmp::Conversation},
    server::Server,
    socket::{self, Listener, Place},
};

/// From the first byte to a publish or play: encoders need a few round trips.
const GREETING: Duration = Duration::from_secs(10);

/// How long a refused peer may take to read why, and to close.
const FAREWELL: Duration = Duration::from_secs(2);

/// A goodbye inside the media (an end-of-sequence tag) counts if the connection closes within this time.
const EOS: Duration = Duration::from_secs(1);

/// Room for a read. Frames up to this size are taken from the kernel at once.
const READ: usize = 16 << 10;

/// Accepts publishers and players until `server` closes, and waits until those who are there have read to the end.
pub async fn serve(server: Arc<Server>, listener: Listener) {
    let places = listener.places.clone();
    socket::accept(&server, listener, server.closing(), move |server, stream, peer, place| async move {
        let span = info_span!("rtmp", %peer, name = Empty);
        Session::new(server, stream, peer).run(place).instrument(span).await;
    })
    .await;
    places.all_gone().await;
}

/// Why a session ended, for its one log line.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] kaibo_rtmp::Error),
    #[error("the peer sent nothing for {0:?}")]
    Silent(Duration),
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("the media can't be used: {0}")]
    Media(#[from] AssemblyError),
    #[error("closed by us: {0}")]
    Dropped(DownCause),
    #[error("the player stopped")]
    Stopped,
    #[error("the stream is over")]
    StreamOver,
}

/// How a session is over.
enum Outcome {
    Ended(Ended),
    /// It is moved on together with others that play.
    Plays(Feed),
}

impl Ended {
    /// What it means to a broadcast that was being published.
    fn cause(&self) -> DownCause {
        match self {
            Self::Closed => DownCause::Fin,
            Self::Silent(_) | Self::Media(_) => DownCause::Idle,
            Self::Dropped(cause) => *cause,
            Self::Io(_) | Self::Protocol(_) | Self::Refused(_) | Self::Stopped | Self::StreamOver => {
                DownCause::Error
            }
        }
    }
}

/// One connection.
pub struct Session {
    pub server: Arc<Server>,
    pub peer: SocketAddr,
    stream: socket::Stream,
    connection: Connection,
    input: BytesMut,
    /// What came last, until what is to be sent because of it was sent.
    event: Option<Result<Event, kaibo_rtmp::Error>>,
    /// What the connection wants sent and the socket has not taken yet.
    output: BytesMut,
    received: u64,
}

impl Session {
    fn new(server: Arc<Server>, stream: socket::Stream, peer: SocketAddr) -> Self {
        let mut limits = Limits::default();
        limits.publishing.message_bytes = server.settings().config.limits.publish_message.0;
        limits.publishing.partial_bytes = limits.publishing.message_bytes.saturating_mul(2);
        socket::for_publisher(&stream, server.settings().config.rtmp.idle_timeout.0);
        Self {
            server,
            peer,
            stream,
            connection: Connection::new(limits),
            input: BytesMut::new(),
            event: None,
            output: BytesMut::new(),
            received: 0,
        }
    }

    /// From the first byte to the last, and the line that says how it went; of players, to the first of media.
    async fn run(mut self, place: Place) {
        let begin = Instant::now();
        let ended = match self.converse().await {
            Outcome::Ended(ended) => ended,
            Outcome::Plays(feed) => return self.hand_on(feed, place),
        };
        // TLS has a goodbye of its own; a peer that does not take it is closed without.
        let _ = timeout(FAREWELL, self.stream.shutdown()).await;
        tracing::info!(bytes = self.received, seconds = begin.elapsed().as_secs(), reason = %ended, "session ended");
    }

    async fn converse(&mut self) -> Outcome {
        let mut closing = self.server.closing();
        let mut deadline = Instant::now() + GREETING;
        loop {
            let event = tokio::select! {
                event = timeout_at(deadline, self.next_event()) => event,
                // Publishers and players are closed by their broadcasts.
                () = closing.wait() => return Outcome::Ended(Ended::Dropped(DownCause::Server)),
            };
            match event {
                Ok(Ok(Event::Publish { app, name, query })) => {
                    match self.publish(&app, &name, query.as_str()).await {
                        // A clean end; the same connection may publish again.
                        Ok(()) => deadline = Instant::now() + GREETING,
                        Err(ended) => return Outcome::Ended(ended),
                    }
                }
                Ok(Ok(Event::Play { app, name, query })) => {
                    return self.play(&app, &name, query.as_str()).await;
                }
                Ok(Ok(Event::Connect(client))) => tracing::debug!(client = client.flash_ver, "connected"),
                Ok(Ok(_)) => {}
                Ok(Err(ended)) => return Outcome::Ended(ended),
                Err(_) => return Outcome::Ended(Ended::Silent(GREETING)),
            }
        }
    }

    /// The next event, reading and answering as needed. Cancelling loses nothing.
    pub async fn next_event(&mut self) -> Result<Event, Ended> {
        loop {
            // What was said before an error is still to be sent, and never waits for more input.
            if self.event.is_none() {
                self.event = self.connection.receive(&mut self.input).transpose();
            }
            self.flush().await?;
            if let Some(event) = self.event.take() {
                return Ok(event?);
            }
            self.read().await?;
        }
    }

    /// Reads what is there. Cancelling loses nothing.
    pub async fn read(&mut self) -> Result<(), Ended> {
        self.make_room();
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(Ended::Closed),
            length => {
                self.received += length as u64;
                Ok(())
            }
        }
    }

    /// Media bodies share the read buffer's memory, so a fresh buffer for each read would pin one per frame: the one
    /// in use is read to its end first.
    fn make_room(&mut self) {
        if self.input.capacity() - self.input.len() < READ / 4 {
            self.input.reserve(READ);
        }
    }

    /// Sends what is to be sent. Cancelling loses nothing.
    async fn flush(&mut self) -> Result<(), Ended> {
        while let Some(output) = self.connection.output() {
            self.output.extend_from_slice(&output);
        }
        while !self.output.is_empty() {
            self.stream.write_buf(&mut self.output).await?;
        }
        Ok(self.stream.flush().await?)
    }

    /// Sends media to a player, between whole messages of the connection.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.flush().await?;
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Tells a player that the stream is over.
    pub async fn end_play(&mut self) -> Result<(), Ended> {
        self.connection.end_play();
        self.flush().await
    }

    /// Says no, in words that an encoder shows, and gives the peer time to read them.
    async fn refuse(&mut self, code: kaibo_rtmp::Refusal, refusal: Refusal) -> Ended {
        self.server.metrics.rejected.inc();
        self.connection.reject(code, &refusal.to_string());
        let farewell = async {
            self.flush().await?;
            loop {
                self.input.clear();
                self.read().await?;
            }
        };
        let _: Result<Result<(), Ended>, _> = timeout(FAREWELL, farewell).await;
        Ended::Refused(refusal)
    }

    async fn publish(&mut self, app: &str, name: &str, query: &str) -> Result<(), Ended> {
        let push = match self.admit(app, name, query).await {
            Ok(push) => push,
            Err(refusal) => {
                let code = match refusal.status() {
                    "NetStream.Publish.BadName" => kaibo_rtmp::Refusal::BadName,
                    "NetStream.Publish.Rejected" => kaibo_rtmp::Refusal::Rejected,
                    _ => kaibo_rtmp::Refusal::Denied,
                };
                return Err(self.refuse(code, refusal).await);
            }
        };
        self.connection.accept();
        self.server.metrics.publishers.inc();
        let span = info_span!("push", broadcast = %push.broadcast.id(), epoch = push.epoch.0);
        let mut publisher = Publisher::new(&self.server, push);
        let ended = self.receive_media(&mut publisher).instrument(span).await;
        self.server.metrics.publishers.dec();
        let cause = match &ended {
            // Whoever leaves when asked to comes back: what it says on its way ends no broadcast.
            _ if !self.server.is_ready() => DownCause::Server,
            Ok(()) => DownCause::DeleteStream,
            // The encoder ended the stream in its own way before it closed (media.md's "EOS then FIN").
            Err(Ended::Closed | Ended::Io(_)) if publisher.said_goodbye_within(EOS) => {
                DownCause::DeleteStream
            }
            Err(ended) => ended.cause(),
        };
        publisher.push.down(cause).await;
        ended
    }

    /// Names, then the key, then the broadcast: strangers learn nothing about what exists.
    async fn admit(&mut self, app: &str, name: &str, query: &str) -> Result<Push, Refusal> {
        let server = self.server.clone();
        let app: App = app.parse()?;
        let stream: Stream = name.parse()?;
        Span::current().record("name", format_args!("{app}/{stream}").to_string());
        let peer = Peer::new(self.peer.ip(), query);
        let admitted = match self.knock(&app, &stream, query) {
            Ok(publish) => self.ask(&app, &stream, query).await.map(|()| publish),
            refused => refused,
        };
        let publish = match admitted {
            Ok(publish) => publish,
            Err(refusal) => {
                notices::refused(&server, &app, &stream, &refusal, &peer).await;
                return Err(refusal);
            }
        };
        // The answer may be held for up to 3 s, while another publisher has to prove itself.
        server.broadcasts.publish(&server, &app, &stream, publish, peer).await
    }

    /// Whether the door is open for this key.
    fn knock(&self, app: &App, stream: &Stream, query: &str) -> Result<Publish, Refusal> {
        let server = &self.server;
        if access::is_reserved(app) {
            return Err(Refusal::Reserved { app: app.clone() });
        }
        if !server.is_ready() {
            return Err(Refusal::Stopping);
        }
        if server.access.is_shut_out(self.peer.ip()) {
            return Err(Refusal::Address);
        }
        match server.access.push(app, stream, query, unix_now()) {
            Ok(credential) => Ok(Publish { credential, expired: false }),
            Err(KeyError::Expired { credential, .. }) => {
                Ok(Publish { credential: Some(credential), expired: true })
            }
            Err(error) => {
                server.access.refused(self.peer.ip());
                Err(error.into())
            }
        }
    }

    /// What the backend says to this push, where it is asked.
    async fn ask(&self, app: &App, stream: &Stream, query: &str) -> Result<(), Refusal> {
        let server = &self.server;
        let open = server.broadcasts.named_status(app, stream).filter(|status| !status.state.is_final());
        let id = open.map(|status| status.id.clone());
        let from = (self.peer.ip(), query);
        let question = Question::new(Action::Publish, app, stream, Protocol::Rtmp, from, id);
        server.gate.ask(server, question).await.of_push()
    }

    async fn receive_media(&mut self, publisher: &mut Publisher) -> Result<(), Ended> {
        let idle = self.server.settings().config.rtmp.idle_timeout.0;
        // An encoder that closes without reading our acknowledgements resets the connection; its goodbye may still be
        // here to be read, and decides how this ended.
        let mut writable = self.flush().await.is_ok();
        let mut stopping = self.server.stopping();
        // What is seldom ready waits on, while read after read comes and goes.
        let mut stopping = pin!(stopping.wait());
        let mut asked_to_leave = false;
        let mut heard = None;
        let mut gather = Gather::new();
        let mut silence = pin!(sleep_until(Instant::now() + idle));
        loop {
            // A whole read's worth of events goes by without a look at clocks or wakers.
            while let Some(event) = self.connection.receive(&mut self.input)? {
                match event {
                    Event::Video { time_ms, body } => publisher.video(time_ms, body).await?,
                    Event::Audio { time_ms, body } => publisher.audio(time_ms, body).await?,
                    Event::Data { time_ms, values, .. } => publisher.data(time_ms, values).await?,
                    Event::Unpublish => return Ok(()),
                    _ => {}
                }
            }
            writable = writable && self.flush().await.is_ok();
            self.make_room();
            let silent_since = *heard.get_or_insert_with(Instant::now);
            tokio::select! {
                read = gather.read(&mut self.stream, &mut self.input, publisher.may_gather()) => match read? {
                    0 => return Err(Ended::Closed),
                    length => {
                        heard = None;
                        self.received += length as u64;
                        publisher.received(length);
                    }
                },
                cause = &mut publisher.push.closing => {
                    return Err(Ended::Dropped(cause.unwrap_or(DownCause::Over)));
                }
                () = &mut stopping, if !asked_to_leave => {
                    // It leaves by itself, or is closed with its broadcast. Others find out by being closed.
                    if !self.connection.request_reconnect(None) {
                        return Err(Ended::Dropped(DownCause::Server));
                    }
                    asked_to_leave = true;
                }
                () = &mut silence => {
                    if silent_since.elapsed() >= idle {
                        return Err(Ended::Silent(idle));
                    }
                    silence.as_mut().reset(silent_since + idle);
                }
            }
        }
    }

    async fn play(&mut self, app: &str, name: &str, query: &str) -> Outcome {
        let feed = match output::rtmp::admit(&self.server, self.peer, app, name, query).await {
            Ok(feed) => feed,
            Err((code, refusal)) => return Outcome::Ended(self.refuse(code, refusal).await),
        };
        // It may have been published on before.
        if let Err(error) = self.stream.take_up() {
            return Outcome::Ended(error.into());
        }
        socket::for_viewer(&self.stream, self.server.settings().config.limits.viewer_stall.0);
        self.connection.accept();
        match self.stream {
            socket::Stream::Plain(_) | socket::Stream::Resting(_) => Outcome::Plays(feed),
            socket::Stream::Tls(_) => Outcome::Ended(output::rtmp::play(self, feed).await),
        }
    }

    /// Has the rest of the server move a player on: its acceptance and its first media go out together.
    fn hand_on(self, feed: Feed, place: Place) {
        let socket::Stream::Plain(tcp) = self.stream else { return };
        let mut out = VecDeque::from([self.output.freeze()]);
        let mut conversation = Conversation::new(self.connection);
        // What makes no sense is the end of it.
        if let Ok(false) = conversation.hear(&self.input, &mut out) {
            let carriage = Carriage::Rtmp(conversation);
            self.server.fanout.take(Viewer::new(tcp, out, carriage, feed, Arc::new(place)));
        }
    }
}
