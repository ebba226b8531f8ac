//! What publishers send in data messages, as JSON.

use bytes::Bytes;
use kaibo_media::{MOST_PAYLOAD, is_kind};
use kaibo_rtmp::amf0::{Limits, Reader, Value};
use serde_json::Value as Json;

/// The name of a data message and its values as JSON: the one that there is, or a list.
pub fn read(script: &Bytes) -> Option<(String, String)> {
    let mut reader = Reader::new(script, Limits { string_bytes: MOST_PAYLOAD, ..Limits::default() });
    let Some(Value::String(name)) = reader.value().ok()? else { return None };
    let mut values = Vec::new();
    while let Some(value) = reader.value().ok()? {
        values.push(json(value));
    }
    let value = if values.len() > 1 { Json::Array(values) } else { values.pop().unwrap_or_default() };
    let payload = value.to_string();
    (is_kind(&name) && payload.len() <= MOST_PAYLOAD).then_some((name, payload))
}

/// The reader bounds how deep this goes.
fn json(value: Value) -> Json {
    match value {
        // Exact as far as a double is.
        Value::Number(number) | Value::Date(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Json::from(number as i64)
        }
        Value::Number(number) | Value::Date(number) => Json::from(number),
        Value::Boolean(yes) => Json::from(yes),
        Value::String(text) => Json::from(text),
        Value::Object(properties) | Value::EcmaArray(properties) => {
            Json::Object(properties.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
        Value::StrictArray(values) => Json::Array(values.into_iter().map(json).collect()),
        Value::Null | Value::Undefined => Json::Null,
    }
}
