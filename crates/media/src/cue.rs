//! Timed events: what viewers are told at a media time.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Timestamp, UnixMillis};

/// Bytes of a [`Cue::payload`]: a product card has some hundred.
pub const MOST_PAYLOAD: usize = 8 << 10;

/// A timed event: a product card, a coupon, an encoder's cue point. It stands among the frames of a broadcast and is no
/// frame: nothing is decoded, and nothing lasts longer or shorter for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Its name, never given twice: ASCII letters, digits and `-`.
    pub id: Arc<str>,
    /// What it is, for those who show it: see [`is_kind`].
    pub kind: Arc<str>,
    /// What there is to be told, as JSON on one line; at most [`MOST_PAYLOAD`] bytes.
    pub payload: Arc<str>,
    /// When on the broadcast's timeline, in whole milliseconds.
    pub at: Timestamp,
    /// When by the wall clock, as the run that it belongs to has it.
    pub wall: UnixMillis,
    /// The AMF0 values of the data message that a publisher sent it in; none where it came another way or was read
    /// from a recording. Live viewers of FLV and RTMP get them as they are.
    pub script: Option<Bytes>,
}

impl Cue {
    /// Its bytes in memory, more or less.
    pub fn size(&self) -> usize {
        let script = self.script.as_ref().map_or(0, Bytes::len);
        size_of::<Self>() + self.id.len() + self.kind.len() + self.payload.len() + script
    }
}

/// Whether `text` can be a [`Cue::kind`]: 1 to 64 of the characters that need no quoting anywhere.
pub fn is_kind(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_a_plain_name() {
        for good in ["product", "onTextData", "a", "x.y_z-1", &"k".repeat(64)] {
            assert!(is_kind(good), "{good}");
        }
        for bad in ["", " ", "|RtmpSampleAccess", "a b", "卡片", "a\"b", &"k".repeat(65)] {
            assert!(!is_kind(bad), "{bad}");
        }
    }
}
