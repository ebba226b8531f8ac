//! Reading an FLV file that is in memory.

use bytes::Bytes;

use super::{Error, TagKind, cursor::Cursor};

/// A tag of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: TagKind,
    /// Its time in milliseconds.
    pub time_ms: u32,
    /// Its body, a slice of the file: for [`super::parse_video`], [`super::parse_audio`], or AMF0.
    pub body: Bytes,
}

/// The tags of a file, one after the other; other kinds than [`TagKind`]'s are passed over. Ends at the end of the
/// file or after the first error.
#[derive(Clone, Debug)]
pub struct Tags(Cursor);

impl Tags {
    /// Reads the file's header (FLV §E.2).
    pub fn new(file: Bytes) -> Result<Self, Error> {
        let mut cursor = Cursor::new("the FLV file", file);
        if &cursor.array()? != b"FLV" {
            return Err(cursor.malformed());
        }
        let [_version, _flags, offset @ ..] = cursor.array::<6>()?;
        let more = (u32::from_be_bytes(offset) as usize).checked_sub(9).ok_or_else(|| cursor.malformed())?;
        cursor.take(more)?;
        Ok(Self(cursor))
    }

    /// The next tag of any kind; `None` for one that is passed over.
    fn read(&mut self) -> Result<Option<Tag>, Error> {
        let _size_of_tag_before: [u8; 4] = self.0.array()?;
        if self.0.is_empty() {
            return Ok(None);
        }
        let kind = self.0.u8()?;
        let size = self.0.u24()?;
        let [time @ .., extended, _, _, _] = self.0.array::<7>()?;
        let body = self.0.take(size as usize)?;
        let [high, middle, low] = time;
        let time_ms = u32::from_be_bytes([extended, high, middle, low]);
        let kind = match kind {
            8 => TagKind::Audio,
            9 => TagKind::Video,
            18 => TagKind::Script,
            // Also whatever has the filter (encryption) bit set.
            _ => return Ok(None),
        };
        Ok(Some(Tag { kind, time_ms, body }))
    }
}

impl Iterator for Tags {
    type Item = Result<Tag, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.read() {
                Ok(Some(tag)) => return Some(Ok(tag)),
                Ok(None) => {}
                Err(error) => {
                    self.0.rest();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
