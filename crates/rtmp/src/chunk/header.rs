//! The headers in front of a chunk's payload.

use super::EXTENDED;

/// Takes the first `N` bytes of a slice.
pub fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*head)
}

/// How much of the message header a chunk carries (RTMP 1.0 §5.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Type 0: everything, with an absolute time.
    Full,
    /// Type 1: a time step, length and type.
    SameStream,
    /// Type 2: a time step.
    SameShape,
    /// Type 3: nothing.
    Repeat,
}

/// Format and chunk stream id (RTMP 1.0 §5.3.1.1); none if it is not all there yet.
pub fn basic(input: &mut &[u8]) -> Option<(Format, u32)> {
    let [first] = take(input)?;
    let format = match first >> 6 {
        0 => Format::Full,
        1 => Format::SameStream,
        2 => Format::SameShape,
        _ => Format::Repeat,
    };
    let id = match first & 0x3F {
        0 => {
            let [low] = take(input)?;
            64 + u32::from(low)
        }
        1 => 64 + u32::from(u16::from_le_bytes(take(input)?)),
        id => id.into(),
    };
    Some((format, id))
}

/// What the next message of a chunk stream inherits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Header {
    /// Absolute time of the message, modulo 2^32 ms.
    pub time: u32,
    /// The time field as it was sent: a step, or the absolute time of a type 0 header.
    field: u32,
    /// The time field was sent in the extended form.
    extended: bool,
    /// Bytes of the message.
    pub length: usize,
    /// Message type.
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
}

impl Header {
    /// The header of a new message on a chunk stream whose last one was `self`; none if it is not all there yet.
    pub fn next(mut self, format: Format, input: &mut &[u8]) -> Option<Self> {
        let field = match format {
            Format::Full => {
                let [t0, t1, t2, l0, l1, l2, kind, s0, s1, s2, s3] = take(input)?;
                self.length = u24([l0, l1, l2]) as usize;
                self.kind = kind;
                self.stream = u32::from_le_bytes([s0, s1, s2, s3]);
                Some(u24([t0, t1, t2]))
            }
            Format::SameStream => {
                let [t0, t1, t2, l0, l1, l2, kind] = take(input)?;
                self.length = u24([l0, l1, l2]) as usize;
                self.kind = kind;
                Some(u24([t0, t1, t2]))
            }
            Format::SameShape => Some(u24(take(input)?)),
            Format::Repeat => None,
        };
        match field {
            Some(field) => {
                self.extended = field == EXTENDED;
                self.field = if self.extended { u32::from_be_bytes(take(input)?) } else { field };
            }
            None => self.skip_repeated_time(input)?,
        }
        // The time of a type 0 header is also the step of a type 3 header after it (RTMP 1.0 §5.3.1.2.4; FFmpeg counts
        // on it).
        self.time = if format == Format::Full { self.field } else { self.time.wrapping_add(self.field) };
        Some(self)
    }

    /// Skips the extended time in a type 3 header, if it is there: FFmpeg, FMLE and WeChat repeat it as the
    /// specification says, older encoders do not. So it is taken for one only if it equals the one of the header
    /// before. None if that cannot be told yet.
    pub fn skip_repeated_time(&self, input: &mut &[u8]) -> Option<()> {
        let expected = self.field.to_be_bytes();
        if !self.extended {
            return Some(());
        }
        if let Some(rest) = input.strip_prefix(&expected) {
            *input = rest;
        } else if expected.starts_with(input) {
            return None;
        }
        Some(())
    }
}

fn u24([high, middle, low]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, high, middle, low])
}
