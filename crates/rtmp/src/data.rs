//! Data messages: metadata and timed events (RTMP 1.0 §7.1.2).

use bytes::Bytes;

use crate::{
    Event,
    amf0::{self, Value},
};

/// The event in a data message; none if it has no name or cannot be read. `@setDataFrame` in front is left out, and so
/// is a stray number, which some cameras send.
pub fn event(time_ms: u32, body: &Bytes, limits: amf0::Limits) -> Option<Event> {
    let mut reader = amf0::Reader::new(body, limits);
    let (start, name) = loop {
        let start = reader.position();
        match reader.value().ok()?? {
            Value::String(name) if name == "@setDataFrame" => {}
            Value::String(name) => break (start, name),
            _ => {}
        }
    };
    let values = body.slice(start.min(body.len())..);
    match name.as_str() {
        "onMetaData" => {
            let properties = match reader.value().ok()? {
                Some(Value::Object(properties) | Value::EcmaArray(properties)) => properties,
                _ => Vec::new(),
            };
            Some(Event::Metadata { time_ms, properties, values })
        }
        "@clearDataFrame" => None,
        _ => Some(Event::Data { time_ms, name, values }),
    }
}
