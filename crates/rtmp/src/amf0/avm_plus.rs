//! One AMF3 value in AMF0 (AMF 0 §3.1): how Flash-based encoders pass arguments in type 17 messages.

use super::{Value, read::Cause, read::Reader};

/// A scalar. Objects and arrays have no known length without AMF3's tables, so they end the values like an unknown type.
pub fn value(reader: &mut Reader<'_>) -> Result<Value, Cause> {
    let [kind] = reader.take()?;
    Ok(match kind {
        0x00 => Value::Undefined,
        0x01 => Value::Null,
        0x02 => Value::Boolean(false),
        0x03 => Value::Boolean(true),
        0x04 => {
            let integer = variable(reader)?;
            // 29 bits, signed.
            let signed =
                if integer >= 1 << 28 { f64::from(integer) - f64::from(1 << 29) } else { f64::from(integer) };
            Value::Number(signed)
        }
        0x05 => Value::Number(f64::from_be_bytes(reader.take()?)),
        0x06 => match variable(reader)? {
            inline if inline & 1 == 1 => Value::String(reader.string((inline >> 1) as usize)?),
            _reference => Value::Undefined,
        },
        unknown => return Err(Cause::Unknown(unknown)),
    })
}

/// U29 (AMF 3 §1.3.1): 7 bits a byte, the fourth byte whole.
fn variable(reader: &mut Reader<'_>) -> Result<u32, Cause> {
    let mut number = 0;
    for _ in 0..3 {
        let [byte] = reader.take()?;
        number = number << 7 | u32::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    let [last] = reader.take()?;
    Ok(number << 8 | u32::from(last))
}
