//! One peer's conversation.

use bytes::{Bytes, BytesMut};

use crate::{
    Cause, Client, Error, Event, Limits, Query,
    aggregate::Aggregate,
    amf0::Value,
    chunk::{self, Message, kind},
    client,
    command::{self, Command},
    control, data,
    handshake::{self, Handshake},
    location, play,
};

/// The window that we ask for, and assume until the peer names its own; 2,500,000 bytes as other servers.
const WINDOW: u32 = 2_500_000;

/// The smallest window that is obeyed: below, a peer would only make us talk.
const SMALLEST_WINDOW: u32 = 64 << 10;

/// The server's side of one connection. [`receive`](Self::receive) turns bytes into events,
/// [`output`](Self::output) has the bytes to be sent.
///
/// ```
/// # use bytes::BytesMut;
/// # use kaibo_rtmp::{Connection, Event, Limits, Refusal};
/// # fn turn(connection: &mut Connection, buffer: &mut BytesMut) -> Result<(), kaibo_rtmp::Error> {
/// // After every read from the socket into `buffer`:
/// while let Some(event) = connection.receive(buffer)? {
///     match event {
///         Event::Publish { name, .. } if name == "room" => connection.accept(),
///         Event::Publish { .. } => connection.reject(Refusal::BadName, "No such room."),
///         _ => {}
///     }
/// }
/// if let Some(bytes) = connection.output() { /* one write */ }
/// # Ok(()) }
/// ```
pub struct Connection {
    limits: Limits,
    handshake: Option<Box<Handshake>>,
    chunks: chunk::Reader,
    /// Set by `connect`.
    client: Option<Connected>,
    /// Message streams handed out since the last one was closed.
    streams: u32,
    role: Role,
    aggregate: Option<Aggregate>,
    /// The peer wants an acknowledgement every so many bytes.
    window: u32,
    acknowledged: u64,
    out: BytesMut,
}

/// What is kept of `connect`.
struct Connected {
    app: String,
    query: Query,
    can_reconnect: bool,
}

/// What the peer does, on which message stream. It can do one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    None,
    AsksToPublish(u32),
    AsksToPlay(u32),
    Publishes(u32),
    Plays(u32),
}

/// How far a conversation has come, for the caller's timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The handshake is not complete.
    Handshake,
    /// The peer has neither asked to publish nor to play.
    Idle,
    /// The peer waits for [`Connection::accept`] or [`Connection::reject`].
    Asking,
    /// The peer publishes.
    Publishing,
    /// The peer plays.
    Playing,
}

/// Why a request is refused: the codes that OBS knows (others leave it waiting). No client shows OBS's user the
/// description, but OBS logs it and FFmpeg prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Already live, or a name that cannot be: `NetStream.Publish.BadName`, `NetStream.Play.StreamNotFound`.
    BadName,
    /// The key is wrong or forbidden: `NetStream.Publish.Denied`, `NetStream.Play.Failed`.
    Denied,
    /// Not now: `NetStream.Publish.Rejected`, `NetStream.Play.Failed`.
    Rejected,
    /// Our fault: `NetStream.Failed`.
    Failed,
}

impl Connection {
    /// A connection from which nothing has been received.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            handshake: Some(Box::new(Handshake::new())),
            chunks: chunk::Reader::new(limits.before_publish, handshake::BYTES as u64),
            client: None,
            streams: 0,
            role: Role::None,
            aggregate: None,
            window: WINDOW,
            acknowledged: 0,
            out: BytesMut::new(),
        }
    }

    /// Takes bytes from `input` up to the next event. None when all that is left there is the beginning of something,
    /// or while a request waits for its answer: call again with more bytes, or after the answer. Media bodies share
    /// `input`'s memory where they can.
    ///
    /// After an error the connection is over; [`output`](Self::output) may still have something to send.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Error> {
        if let Some(handshake) = &mut self.handshake {
            let position = handshake.received() as u64;
            if !handshake.receive(input, &mut self.out).map_err(|cause| Error { position, cause })? {
                return Ok(None);
            }
            self.handshake = None;
        }
        let event = self.event(input)?;
        self.acknowledge();
        Ok(event)
    }

    /// The bytes to be sent now, if any: whole messages, to be sent in one write. OBS stops sending while a message is
    /// incomplete.
    pub fn output(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out).freeze())
    }

    /// How far the conversation has come.
    pub fn state(&self) -> State {
        match self.role {
            _ if self.handshake.is_some() => State::Handshake,
            Role::None => State::Idle,
            Role::AsksToPublish(_) | Role::AsksToPlay(_) => State::Asking,
            Role::Publishes(_) => State::Publishing,
            Role::Plays(_) => State::Playing,
        }
    }

    /// Bytes of memory that are held for this peer, except what was handed out.
    pub fn held(&self) -> usize {
        let client =
            self.client.as_ref().map_or(0, |client| client.app.capacity() + client.query.as_str().len());
        let aggregate = self.aggregate.as_ref().map_or(0, Aggregate::held);
        let handshake = if self.handshake.is_some() { handshake::HELD } else { 0 };
        self.chunks.held() + self.out.capacity() + client + aggregate + handshake
    }

    /// Grants the request of the last [`Event::Publish`] or [`Event::Play`]. No effect without a request.
    ///
    /// After a play the caller sends what [`play::write_message`] makes.
    pub fn accept(&mut self) {
        let out = &mut self.out;
        match self.role {
            Role::AsksToPublish(stream) => {
                self.chunks.set_limits(self.limits.publishing);
                self.role = Role::Publishes(stream);
                control::write_stream_begin(out, stream);
                command::write_status(out, stream, "status", "NetStream.Publish.Start", "Publishing.");
            }
            Role::AsksToPlay(stream) => {
                self.role = Role::Plays(stream);
                control::write_stream_begin(out, stream);
                command::write_status(out, stream, "status", "NetStream.Play.Reset", "Playing.");
                command::write_status(out, stream, "status", "NetStream.Play.Start", "Playing.");
            }
            Role::None | Role::Publishes(_) | Role::Plays(_) => {}
        }
    }

    /// Refuses the request of the last [`Event::Publish`] or [`Event::Play`], with a description in plain words. No
    /// effect without a request.
    ///
    /// Then send the output, read and drop what comes until the peer closes or 2 s are over, and close: closing with
    /// bytes unread would reset the connection and lose the answer.
    pub fn reject(&mut self, refusal: Refusal, description: &str) {
        let (stream, code) = match (self.role, refusal) {
            (Role::AsksToPublish(stream), Refusal::BadName) => (stream, "NetStream.Publish.BadName"),
            (Role::AsksToPublish(stream), Refusal::Denied) => (stream, "NetStream.Publish.Denied"),
            (Role::AsksToPublish(stream), Refusal::Rejected) => (stream, "NetStream.Publish.Rejected"),
            (Role::AsksToPlay(stream), Refusal::BadName) => (stream, "NetStream.Play.StreamNotFound"),
            (Role::AsksToPlay(stream), Refusal::Denied | Refusal::Rejected) => {
                (stream, "NetStream.Play.Failed")
            }
            (Role::AsksToPublish(stream) | Role::AsksToPlay(stream), Refusal::Failed) => {
                (stream, "NetStream.Failed")
            }
            (Role::None | Role::Publishes(_) | Role::Plays(_), _) => return,
        };
        self.role = Role::None;
        command::write_status(&mut self.out, stream, "error", code, description);
    }

    /// Tells a player that the stream is over. No effect unless it plays.
    pub fn end_play(&mut self) {
        if let Role::Plays(stream) = self.role {
            self.role = Role::None;
            control::write_stream_eof(&mut self.out, stream);
            let code = "NetStream.Play.UnpublishNotify";
            command::write_status(&mut self.out, stream, "status", code, "The stream is over.");
        }
    }

    /// Asks the peer to connect again, to `tc_url` if given (Enhanced RTMP v2, "Reconnect Request"). False, and nothing
    /// sent, unless the peer has said that it understands.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>) -> bool {
        if !self.client.as_ref().is_some_and(|client| client.can_reconnect) {
            return false;
        }
        let code = "NetConnection.Connect.ReconnectRequest";
        let mut info = command::status("status", code, "The server is going away.");
        if let (Value::Object(properties), Some(url)) = (&mut info, tc_url) {
            properties.push(("tcUrl".to_owned(), url.into()));
        }
        command::write(&mut self.out, 0, "onStatus", 0.0, &[Value::Null, info]);
        true
    }

    fn event(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Error> {
        loop {
            if let Some(aggregate) = &mut self.aggregate {
                match aggregate.next() {
                    Some(message) => match self.media(message) {
                        Some(event) => return Ok(Some(event)),
                        None => continue,
                    },
                    None => self.aggregate = None,
                }
            }
            if matches!(self.role, Role::AsksToPublish(_) | Role::AsksToPlay(_)) {
                return Ok(None);
            }
            let Some(message) = self.chunks.read(input)? else { return Ok(None) };
            let event = self.message(message);
            let position = self.chunks.received();
            if let Some(event) = event.map_err(|cause| Error { position, cause })? {
                return Ok(Some(event));
            }
            if self.out.len() > self.limits.unsent_bytes {
                return Err(Error { position, cause: Cause::Replies(self.limits.unsent_bytes) });
            }
        }
    }

    fn message(&mut self, message: Message) -> Result<Option<Event>, Cause> {
        match message.kind {
            kind::COMMAND => return self.command(message.stream, &message.body),
            // AMF0 behind one byte 0 (RTMP 1.0 §7.1.1 leaves it out, every client has it).
            kind::COMMAND_AMF3 => {
                return self
                    .command(message.stream, message.body.strip_prefix(&[0]).unwrap_or(&message.body));
            }
            kind::AGGREGATE if matches!(self.role, Role::Publishes(_)) => {
                self.aggregate = Some(Aggregate::new(message));
            }
            kind::USER_CONTROL => {
                if let Some(time) = control::ping_request(&message.body) {
                    control::write_ping_response(&mut self.out, time);
                }
            }
            kind::WINDOW_SIZE => {
                self.window = control::number(&message.body).unwrap_or(WINDOW).max(SMALLEST_WINDOW);
            }
            _ => return Ok(self.media(message)),
        }
        Ok(None)
    }

    /// What an accepted publisher sends. Encoders disagree about its message stream id, so that is not looked at.
    fn media(&mut self, message: Message) -> Option<Event> {
        let Message { kind, time_ms, body, .. } = message;
        if !matches!(self.role, Role::Publishes(_)) || body.is_empty() {
            return None;
        }
        match kind {
            kind::VIDEO => Some(Event::Video { time_ms, body }),
            kind::AUDIO => Some(Event::Audio { time_ms, body }),
            kind::DATA | kind::DATA_AMF3 if body.len() > self.limits.data_bytes => None,
            kind::DATA => data::event(time_ms, &body, self.limits.amf),
            kind::DATA_AMF3 => {
                let values = if body.starts_with(&[0]) { body.slice(1..) } else { body };
                data::event(time_ms, &values, self.limits.amf)
            }
            _ => None,
        }
    }

    fn command(&mut self, stream: u32, body: &[u8]) -> Result<Option<Event>, Cause> {
        let Some(command) = Command::read(body, self.limits.amf)? else { return Ok(None) };
        let id = command.transaction;
        match command.name.as_str() {
            "connect" => return Ok(self.connect(&command)),
            "createStream" => {
                if self.client.is_none() {
                    return Err(Cause::NotConnected("createStream"));
                }
                self.streams = self.streams.wrapping_add(1);
                self.result(id, &[Value::Null, f64::from(self.streams).into()]);
            }
            "publish" => return self.ask(stream, &command, Role::AsksToPublish(stream)),
            "play" => return self.ask(stream, &command, Role::AsksToPlay(stream)),
            // No answer: FFmpeg would close with it unread, and its deleteStream be lost.
            "FCUnpublish" | "closeStream" => return Ok(self.end()),
            "deleteStream" => {
                // rtmp2sink names the key, others null. A number may mean another stream of the same peer.
                let other = |number: f64| number != 0.0 && Some(number) != self.own_stream().map(f64::from);
                if !command.argument().and_then(Value::as_number).is_some_and(other) {
                    return Ok(self.end());
                }
            }
            "releaseStream" => self.result(id, &[Value::Null, Value::Undefined]),
            "FCPublish" => {
                // Flash Media Live Encoder waits for it.
                self.result(id, &[Value::Null, Value::Undefined]);
                self.notify("onFCPublish", "NetStream.Publish.Start");
            }
            "FCSubscribe" => self.notify("onFCSubscribe", "NetStream.Play.Start"),
            "_checkbw" | "getStreamLength" => self.result(id, &[Value::Null, 0.0.into()]),
            _ => {}
        }
        Ok(None)
    }

    fn connect(&mut self, command: &Command) -> Option<Event> {
        if self.client.is_some() {
            return None;
        }
        let client = Client::new(command.object());
        self.client = Some(Connected {
            app: client.app.clone(),
            query: client.query.clone(),
            can_reconnect: client.can_reconnect(),
        });
        // First, so that no reply comes in chunks that OBS does not expect (SRS #454).
        control::write_terms(&mut self.out, WINDOW);
        let mut info = command::status("status", "NetConnection.Connect.Success", "Connected.");
        if let Value::Object(properties) = &mut info {
            properties.push(("objectEncoding".to_owned(), 0.0.into()));
            if command.object().is_some_and(client::is_enhanced) {
                properties.extend(client::enhanced_capabilities());
            }
        }
        let server = Value::object([("fmsVer", "FMS/3,5,7,7009".into()), ("capabilities", 31.0.into())]);
        self.result(command.transaction, &[server, info]);
        Some(Event::Connect(client))
    }

    fn ask(&mut self, stream: u32, command: &Command, role: Role) -> Result<Option<Event>, Cause> {
        let publish = matches!(role, Role::AsksToPublish(_));
        let Some(client) = &self.client else {
            return Err(Cause::NotConnected(if publish { "publish" } else { "play" }));
        };
        let (name, query) =
            location::split_query(command.argument().and_then(Value::as_str).unwrap_or_default());
        let (app, name) = location::split_path(&client.app, name);
        let query = if query.is_empty() { client.query.clone() } else { query };
        if self.role != Role::None {
            let code = if publish { "NetStream.Publish.BadName" } else { "NetStream.Play.Failed" };
            let description = "One connection publishes or plays one stream.";
            command::write_status(&mut self.out, stream, "error", code, description);
            return Ok(None);
        }
        self.role = role;
        if !publish && stream != play::STREAM {
            self.reject(Refusal::Failed, "Play on the first stream that the connection creates.");
            return Ok(None);
        }
        Ok(Some(if publish { Event::Publish { app, name, query } } else { Event::Play { app, name, query } }))
    }

    fn own_stream(&self) -> Option<u32> {
        match self.role {
            Role::None => None,
            Role::AsksToPublish(stream)
            | Role::AsksToPlay(stream)
            | Role::Publishes(stream)
            | Role::Plays(stream) => Some(stream),
        }
    }

    /// The peer's own end of what it does. A refused publisher says goodbye too, and ends nothing.
    fn end(&mut self) -> Option<Event> {
        let event = match self.role {
            Role::Publishes(_) => Event::Unpublish,
            Role::Plays(_) => Event::StopPlay,
            Role::None | Role::AsksToPublish(_) | Role::AsksToPlay(_) => return None,
        };
        self.role = Role::None;
        self.streams = 0;
        Some(event)
    }

    fn acknowledge(&mut self) {
        let received = self.chunks.received();
        // At half the window: a peer that waits for it must not come to stand still.
        if received.saturating_sub(self.acknowledged) >= u64::from(self.window / 2) {
            self.acknowledged = received;
            control::write_acknowledgement(&mut self.out, received);
        }
    }

    /// Answers a command, unless the peer wants no answer.
    fn result(&mut self, transaction: f64, values: &[Value]) {
        if transaction != 0.0 {
            command::write(&mut self.out, 0, "_result", transaction, values);
        }
    }

    fn notify(&mut self, name: &str, code: &str) {
        let info = command::status("status", code, "");
        command::write(&mut self.out, 0, name, 0.0, &[Value::Null, info]);
    }
}
