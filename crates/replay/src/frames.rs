//! The `moof`s of a recording in one file beside its index, so that a progressive MP4 begins without a look into
//! thousands of segments.
//!
//! The file is a row of records, one per segment that a publisher sent the media of: a checksum, the segment's number
//! and length, and the `moof`s of its parts. It says nothing that the segments do not say: a record that is missing,
//! torn, or of other bytes than the index speaks of is made anew from the segment. So it is appended without being
//! synced, but for the end.

use std::io;

use kaibo_container::fmp4;

use crate::{DiskFile, Segment};

/// What a record begins with.
const MAGIC: [u8; 4] = *b"kbf1";
/// Bytes of a record before the `moof`s: the magic, CRC-32 of all that follows it, length of the `moof`s, the segment's
/// number and length.
const HEAD: usize = 4 + 4 + 4 + 8 + 8;
/// Bytes of `moof`s in one record: 16 per picture and 8 per frame of sound make this minutes.
const MOST: usize = 4 << 20;

/// What the parts of one segment are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The segment's number.
    pub number: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The `moof`s of its parts, one after the other.
    pub moofs: Vec<u8>,
}

impl Record {
    /// It is of `segment` as the index knows it.
    pub fn is_of(&self, segment: &Segment) -> bool {
        (self.number, self.bytes) == (segment.number, segment.bytes)
    }

    /// The record's bytes in the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut rest = Vec::with_capacity(HEAD + self.moofs.len());
        // At most `MOST`; a longer one is not read.
        rest.extend_from_slice(&u32::try_from(self.moofs.len()).unwrap_or(u32::MAX).to_be_bytes());
        rest.extend_from_slice(&self.number.to_be_bytes());
        rest.extend_from_slice(&self.bytes.to_be_bytes());
        rest.extend_from_slice(&self.moofs);
        [&MAGIC[..], &crc32fast::hash(&rest).to_be_bytes(), &rest].concat()
    }
}

/// Reads records out of bytes that come piece by piece.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    at: usize,
    whole: u64,
}

impl Frames {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.drain(..self.at);
        self.at = 0;
        self.held.extend_from_slice(bytes);
    }

    /// How many bytes the records that were read take.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// The next record, if the bytes so far hold it.
    ///
    /// # Errors
    /// Where something else stands there: nothing behind it can be found.
    pub fn record(&mut self) -> Result<Option<Record>, Torn> {
        let rest = self.held.get(self.at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
        let [m0, m1, m2, m3, c0, c1, c2, c3, l0, l1, l2, l3, numbers @ ..] = *head;
        let (number, bytes) = (u64_of(&numbers, 0), u64_of(&numbers, 8));
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if [m0, m1, m2, m3] != MAGIC || len > MOST {
            return Err(Torn);
        }
        let Some(moofs) = rest.get(..len) else { return Ok(None) };
        let checked = self.held.get(self.at + 8..self.at + HEAD + len).unwrap_or_default();
        if crc32fast::hash(checked) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(Torn);
        }
        let record = Record { number, bytes, moofs: moofs.to_vec() };
        self.at += HEAD + len;
        self.whole += (HEAD + len) as u64;
        Ok(Some(record))
    }
}

/// Not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a torn record")]
pub struct Torn;

fn u64_of(bytes: &[u8; 16], at: usize) -> u64 {
    let eight = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied();
    u64::from_be_bytes(eight.unwrap_or_default())
}

/// The `moof`s of a segment that is being written.
#[derive(Debug, Default)]
pub(crate) struct Moofs {
    bytes: Vec<u8>,
    /// Where each part ends in the segment, and its `moof` in `bytes`.
    ends: Vec<(u64, usize)>,
    /// A part was none as this server writes it.
    unknown: bool,
}

impl Moofs {
    /// Adds that of `part`, which ends at `end` of the segment.
    pub fn push(&mut self, part: &[u8], end: u64) {
        match fmp4::measure(part) {
            Some((moof, _)) if self.bytes.len() + moof.len() <= MOST => self.bytes.extend_from_slice(moof),
            _ => self.unknown = true,
        }
        self.ends.push((end, self.bytes.len()));
    }

    /// The record of `segment`, which may be shorter than what was pushed.
    fn record(mut self, segment: &Segment) -> Option<Record> {
        let (_, end) = *self.ends.iter().rev().find(|(end, _)| *end <= segment.bytes)?;
        self.bytes.truncate(end);
        let (number, bytes) = (segment.number, segment.bytes);
        (!self.unknown && !segment.filler).then_some(Record { number, bytes, moofs: self.bytes })
    }
}

/// The writing end. What can't be written is left out: a recording is not lost for it.
#[derive(Debug)]
pub(crate) struct FramesFile<F> {
    file: Option<F>,
    /// Bytes that count.
    len: u64,
    /// Behind them may be others.
    torn: bool,
}

impl<F: DiskFile> FramesFile<F> {
    /// For a file whose first `len` bytes count. None: there is no file.
    pub fn new(file: Option<F>, len: u64) -> Self {
        Self { file, len, torn: true }
    }

    pub fn append(&mut self, segment: &Segment, moofs: Moofs) {
        if let Some(record) = moofs.record(segment) {
            // It is made anew by whoever misses it.
            let _missing = self.write(&record.encode());
        }
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.torn {
            file.set_len(self.len)?;
        }
        self.torn = true;
        file.write_all(record)?;
        self.torn = false;
        self.len += record.len() as u64;
        Ok(())
    }

    pub fn sync(&mut self) {
        if let Some(file) = &mut self.file {
            let cut = if self.torn { file.set_len(self.len) } else { Ok(()) };
            // What a power loss takes is made anew.
            let _unsure = cut.and_then(|()| file.sync());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_record_and_no_damaged_one_is_read() {
        let record = Record { number: 7, bytes: 99, moofs: b"moofs of some parts".to_vec() };
        let encoded = record.encode();
        let read = |bytes: &[u8]| {
            let mut frames = Frames::default();
            frames.feed(bytes);
            frames.record()
        };
        assert_eq!(read(&encoded), Ok(Some(record)));
        for torn in 0..encoded.len() {
            assert_eq!(read(&encoded[..torn]), Ok(None));
        }
        for at in 0..encoded.len() {
            let mut damaged = encoded.clone();
            damaged[at] ^= 1;
            assert!(!matches!(read(&damaged), Ok(Some(_))), "byte {at}");
        }
    }
}
