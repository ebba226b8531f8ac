use bytes::BufMut;

use super::{Value, marker};

/// Appends a value.
pub fn write(out: &mut impl BufMut, value: &Value) {
    match value {
        Value::Number(number) => {
            out.put_u8(marker::NUMBER);
            out.put_f64(*number);
        }
        Value::Boolean(yes) => {
            out.put_u8(marker::BOOLEAN);
            out.put_u8((*yes).into());
        }
        Value::String(text) => match u16::try_from(text.len()) {
            Ok(length) => {
                out.put_u8(marker::STRING);
                out.put_u16(length);
                out.put_slice(text.as_bytes());
            }
            Err(_) => {
                out.put_u8(marker::LONG_STRING);
                out.put_u32(count(text.len()));
                out.put_slice(text.as_bytes());
            }
        },
        Value::Object(properties) => {
            out.put_u8(marker::OBJECT);
            write_properties(out, properties);
        }
        Value::EcmaArray(properties) => {
            out.put_u8(marker::ECMA_ARRAY);
            out.put_u32(count(properties.len()));
            write_properties(out, properties);
        }
        Value::StrictArray(values) => {
            out.put_u8(marker::STRICT_ARRAY);
            out.put_u32(count(values.len()));
            for value in values {
                write(out, value);
            }
        }
        Value::Date(millis) => {
            out.put_u8(marker::DATE);
            out.put_f64(*millis);
            out.put_i16(0);
        }
        Value::Null => out.put_u8(marker::NULL),
        Value::Undefined => out.put_u8(marker::UNDEFINED),
    }
}

fn write_properties(out: &mut impl BufMut, properties: &[(String, Value)]) {
    for (name, value) in properties {
        // A name over 64 KiB cannot be written; an empty one could pass for the end.
        let Ok(length @ 1..) = u16::try_from(name.len()) else { continue };
        out.put_u16(length);
        out.put_slice(name.as_bytes());
        write(out, value);
    }
    out.put_u16(0);
    out.put_u8(marker::OBJECT_END);
}

/// Lengths beyond 32 bits do not occur in memory that a message can hold.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
