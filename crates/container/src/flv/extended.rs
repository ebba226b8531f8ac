//! The extended tag header of Enhanced RTMP v2 ("ExVideoTagHeader", "ExAudioTagHeader"), which sound and pictures
//! share but for the numbers of some packet types.

use bytes::Bytes;

use super::{Error, cursor::Cursor};

pub(super) type FourCc = [u8; 4];

pub(super) const SEQUENCE_START: u8 = 0;
pub(super) const CODED_FRAMES: u8 = 1;
pub(super) const SEQUENCE_END: u8 = 2;
const MOD_EX: u8 = 7;

/// The ModEx type that carries nanoseconds.
const TIMESTAMP_OFFSET_NANO: u8 = 0;
const MAX_NANOS: u32 = 999_999;

const ONE_TRACK: u8 = 0;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// Reads the ModEx wrappers in front of the packet type proper; gives that type and the nanoseconds to be added to
/// the message's time.
pub(super) fn packet_type(cursor: &mut Cursor, first: u8) -> Result<(u8, u32), Error> {
    let mut packet = first;
    let mut nanos = 0;
    while packet == MOD_EX {
        let mut size = usize::from(cursor.u8()?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16()?) + 1;
        }
        let data = cursor.take(size)?;
        let next = cursor.u8()?;
        if let (TIMESTAMP_OFFSET_NANO, &[high, middle, low, ..]) = (next >> 4, &data[..]) {
            nanos = u32::from_be_bytes([0, high, middle, low]).min(MAX_NANOS);
        }
        packet = next & 0x0F;
    }
    Ok((packet, nanos))
}

/// One track's packet.
pub(super) struct Packet {
    pub kind: u8,
    pub four_cc: FourCc,
    pub body: Bytes,
}

/// Reads the packet of track 0, the default one; nothing when the message carries only others. `multitrack` is the
/// number of the packet type that wraps several tracks.
pub(super) fn packet(cursor: &mut Cursor, kind: u8, multitrack: u8) -> Result<Option<Packet>, Error> {
    if kind != multitrack {
        return Ok(Some(Packet { kind, four_cc: cursor.array()?, body: cursor.rest() }));
    }
    let head = cursor.u8()?;
    let (arrangement, kind) = (head >> 4, head & 0x0F);
    if arrangement > MANY_TRACKS_MANY_CODECS || kind == multitrack || kind == MOD_EX {
        return Err(cursor.malformed());
    }
    let shared = if arrangement == MANY_TRACKS_MANY_CODECS { None } else { Some(cursor.array()?) };
    while !cursor.is_empty() {
        let four_cc = shared.map_or_else(|| cursor.array(), Ok)?;
        let track = cursor.u8()?;
        let body = if arrangement == ONE_TRACK {
            cursor.rest()
        } else {
            let size = cursor.u24()?;
            cursor.take(size as usize)?
        };
        if track == 0 {
            return Ok(Some(Packet { kind, four_cc, body }));
        }
    }
    Ok(None)
}
