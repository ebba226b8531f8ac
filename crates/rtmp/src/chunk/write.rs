use bytes::{BufMut, BytesMut};

use super::EXTENDED;

/// Appends a message as a type 0 chunk and as many type 3 chunks as it takes. False, and nothing written, if the body
/// is longer than a message can be (16 MiB − 1).
///
/// Type 0 headers carry everything, so what is written depends on nothing written before and can be shared by many
/// connections. `chunk_stream` is 2 to 63; `body` is the concatenation of its parts.
pub fn write(
    out: &mut BytesMut,
    chunk_size: usize,
    chunk_stream: u8,
    kind: u8,
    stream: u32,
    time_ms: u32,
    body: &[&[u8]],
) -> bool {
    let length = body.iter().map(|part| part.len()).sum::<usize>();
    let Some(length_field) = u32::try_from(length).ok().filter(|length| *length <= 0xFF_FFFF) else {
        return false;
    };
    let chunk_size = chunk_size.max(1);
    out.reserve(length.saturating_add((length / chunk_size).saturating_mul(5)).saturating_add(16));

    out.put_u8(chunk_stream & 0x3F);
    out.put_uint(time_ms.min(EXTENDED).into(), 3);
    out.put_uint(length_field.into(), 3);
    out.put_u8(kind);
    out.put_u32_le(stream);
    let extended = (time_ms >= EXTENDED).then_some(time_ms);
    if let Some(time) = extended {
        out.put_u32(time);
    }
    let mut room = chunk_size;
    for part in body {
        let mut rest = *part;
        while !rest.is_empty() {
            if room == 0 {
                out.put_u8(0xC0 | chunk_stream);
                if let Some(time) = extended {
                    out.put_u32(time);
                }
                room = chunk_size;
            }
            let (now, later) = rest.split_at(room.min(rest.len()));
            out.put_slice(now);
            room = room.saturating_sub(now.len());
            rest = later;
        }
    }
    true
}
