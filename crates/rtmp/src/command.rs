//! Commands (RTMP 1.0 §7.2): a name, a transaction id and arguments.

use bytes::BytesMut;

use crate::{
    amf0::{self, Value},
    chunk::{self, kind},
    play,
};

/// A command from the peer.
pub struct Command {
    pub name: String,
    /// The peer's number for its answer; 0 if it wants none.
    pub transaction: f64,
    /// What follows; the first is the command object or null.
    arguments: Vec<Value>,
}

impl Command {
    /// Reads a command; none if it has no name. A value that cannot be read ends the arguments, one over the limits is
    /// an error.
    pub fn read(body: &[u8], limits: amf0::Limits) -> Result<Option<Self>, amf0::Error> {
        let mut reader = amf0::Reader::new(body, limits);
        let mut values = Vec::new();
        loop {
            match reader.value() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) if error.cause.is_limit() => return Err(error),
                Err(_) => break,
            }
        }
        let mut values = values.into_iter();
        let Some(Value::String(name)) = values.next() else { return Ok(None) };
        let transaction = values.next().and_then(|value| value.as_number()).unwrap_or_default();
        Ok(Some(Self { name, transaction, arguments: values.collect() }))
    }

    /// The command object.
    pub fn object(&self) -> Option<&Value> {
        self.arguments.first()
    }

    /// The first argument after the command object.
    pub fn argument(&self) -> Option<&Value> {
        self.arguments.get(1)
    }
}

/// Appends a command of ours on a message stream.
pub fn write(out: &mut BytesMut, stream: u32, name: &str, transaction: f64, arguments: &[Value]) {
    let mut body = Vec::new();
    amf0::write(&mut body, &name.into());
    amf0::write(&mut body, &transaction.into());
    for argument in arguments {
        amf0::write(&mut body, argument);
    }
    chunk::write(out, play::CHUNK_SIZE, 3, kind::COMMAND, stream, 0, &[&body]);
}

/// Appends an `onStatus` (RTMP 1.0 §7.2.2). Level is `status` or `error`.
pub fn write_status(out: &mut BytesMut, stream: u32, level: &str, code: &str, description: &str) {
    write(out, stream, "onStatus", 0.0, &[Value::Null, status(level, code, description)]);
}

/// The object that says how something went.
pub fn status(level: &str, code: &str, description: &str) -> Value {
    Value::object([("level", level.into()), ("code", code.into()), ("description", description.into())])
}
