//! A client that says whatever a test wants, and reads what the server answers.

use bytes::{Bytes, BytesMut};
use kaibo_rtmp::{
    Connection, Error, Event, Limits,
    amf0::{self, Value},
    chunk::{self, Message, Reader, kind},
};

/// C0, a simple C1 and a C2 that echoes nothing.
pub fn handshake() -> Vec<u8> {
    let mut bytes = vec![0x11; 3073];
    bytes[0] = 3;
    bytes[1..9].fill(0);
    bytes
}

/// A message in chunks of 128 bytes.
pub fn message(chunk_stream: u8, kind: u8, stream: u32, time_ms: u32, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    assert!(chunk::write(&mut out, 128, chunk_stream, kind, stream, time_ms, &[body]));
    out.to_vec()
}

pub fn values(values: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    values.iter().for_each(|value| amf0::write(&mut body, value));
    body
}

/// A command with its transaction id and what follows.
pub fn command(stream: u32, name: &str, transaction: f64, arguments: &[Value]) -> Vec<u8> {
    let body = values(&[&[name.into(), transaction.into()], arguments].concat());
    message(3, kind::COMMAND, stream, 0, &body)
}

pub fn connect(app: &str) -> Vec<u8> {
    command(0, "connect", 1.0, &[Value::object([("app", app.into())])])
}

pub fn create_stream() -> Vec<u8> {
    command(0, "createStream", 4.0, &[Value::Null])
}

pub fn publish(name: &str) -> Vec<u8> {
    command(1, "publish", 5.0, &[Value::Null, name.into(), "live".into()])
}

pub fn video(time_ms: u32, body: &[u8]) -> Vec<u8> {
    message(6, kind::VIDEO, 1, time_ms, body)
}

/// A connection with the client's side of it.
pub struct Peer {
    pub connection: Connection,
    buffer: BytesMut,
    answers: BytesMut,
    reader: Reader,
}

impl Peer {
    pub fn new() -> Self {
        Self {
            connection: Connection::new(Limits::default()),
            buffer: BytesMut::new(),
            answers: BytesMut::new(),
            reader: Reader::new(Limits::default().publishing, 0),
        }
    }

    /// Past handshake and `connect`.
    pub fn connected() -> Self {
        let mut peer = Self::new();
        peer.say(&[handshake(), connect("live"), create_stream()].concat());
        peer.handshake_answer();
        peer.answers();
        peer
    }

    /// An accepted publisher.
    pub fn publishing() -> Self {
        let mut peer = Self::connected();
        peer.say(&publish("room"));
        peer.connection.accept();
        peer.answers();
        peer
    }

    pub fn try_say(&mut self, bytes: &[u8]) -> (Vec<Event>, Option<Error>) {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        loop {
            match self.connection.receive(&mut self.buffer) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return (events, None),
                Err(error) => return (events, Some(error)),
            }
        }
    }

    pub fn say(&mut self, bytes: &[u8]) -> Vec<Event> {
        let (events, error) = self.try_say(bytes);
        assert_eq!(error, None);
        events
    }

    fn collect(&mut self) {
        if let Some(bytes) = self.connection.output() {
            self.answers.extend_from_slice(&bytes);
        }
    }

    /// Lets the client read bytes that the caller sends between the connection's own.
    pub fn deliver(&mut self, bytes: &[u8]) {
        self.collect();
        self.answers.extend_from_slice(bytes);
    }

    /// S0, S1 and S2.
    pub fn handshake_answer(&mut self) -> Bytes {
        self.collect();
        self.answers.split_to(3073).freeze()
    }

    /// The messages that the server has sent since the last call.
    pub fn messages(&mut self) -> Vec<Message> {
        self.collect();
        std::iter::from_fn(|| self.reader.read(&mut self.answers).unwrap()).collect()
    }

    /// Its commands: message stream, name and transaction, and the code of the last argument if it has one.
    pub fn answers(&mut self) -> Vec<(u32, String, f64, String)> {
        let commands = self.messages().into_iter().filter(|message| message.kind == kind::COMMAND);
        let answer = |message: Message| {
            let mut reader = amf0::Reader::new(&message.body, amf0::Limits::default());
            let values: Vec<_> = std::iter::from_fn(|| reader.value().unwrap()).collect();
            let code =
                values.last().and_then(|info| info.get("code")).and_then(Value::as_str).unwrap_or_default();
            let name = values[0].as_str().unwrap().to_owned();
            (message.stream, name, values[1].as_number().unwrap(), code.to_owned())
        };
        commands.map(answer).collect()
    }
}
