//! Gathering the frames of a stream into blocks of bytes that every viewer shares.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kaibo_media::{Cue, Frame, Item, Run, Timestamp, TrackId, Tracks};

/// How frames are written one after the other.
pub trait Format {
    /// Appends a frame.
    fn frame(&self, out: &mut BytesMut, frame: &Frame);
    /// Appends a timed event.
    fn cue(&self, out: &mut BytesMut, cue: &Cue);
    /// Appends what a decoder needs before the first frame of `tracks`, at the time of that frame.
    fn headers(&self, out: &mut BytesMut, tracks: &Tracks, time: Timestamp);
}

/// Some frames as bytes: for every viewer of a stream the same, so one write each.
#[derive(Clone, Debug)]
pub struct Block {
    /// The frames in the packager's format; decoder parameters in front where they changed.
    pub bytes: Bytes,
    /// Its first frame is one that a viewer may start at.
    pub keyframe: bool,
    /// The decoder parameters of all its frames.
    pub tracks: Arc<Tracks>,
    /// The run of all its frames.
    pub run: Run,
    /// Decoding time of its first frame.
    pub start: Timestamp,
    /// How many frames it holds, at least one.
    pub frames: u32,
}

/// Turns the frames of one stream into [`Block`]s.
///
/// A block ends before a key picture, before the first frame of other tracks or of another run, when its buffer is
/// full, at a break, and when the caller flushes (how long frames are gathered is the caller's to decide). A frame's
/// bytes are copied once, into the block, and the memory of blocks is taken in pieces, not by the frame.
#[derive(Debug)]
pub struct Packager<F> {
    format: F,
    /// What is left of the memory in use: the bytes of the open block, and room after them.
    buffer: BytesMut,
    open: Option<Open>,
    /// The tracks that the frames so far were for.
    tracks: Option<Arc<Tracks>>,
}

/// What is known of the block that is being filled.
#[derive(Debug)]
struct Open {
    keyframe: bool,
    tracks: Arc<Tracks>,
    run: Run,
    start: Timestamp,
    frames: u32,
}

/// Memory is taken in pieces of this many bytes, or as much as a larger frame needs: about a second of a usual
/// stream, so that allocations are rare, and little enough that a ring of blocks pins at most two pieces too many.
/// It is also the bound of a block of more than one frame: even a fast stream's viewer gets its bytes in writes that
/// a socket buffer can hold.
const PIECE: usize = 256 * 1024;

/// Bytes that a frame takes beyond its own: tag header and back-pointer in FLV, or a chunk header per chunk of 128
/// bytes or more in RTMP. Only an estimate: a buffer that is too small grows.
const fn overhead(len: usize) -> usize {
    64 + len / 64
}

impl<F: Format> Packager<F> {
    /// For a stream whose viewers are sent the decoder parameters when they join.
    pub fn new(format: F) -> Self {
        Self { format, buffer: BytesMut::new(), open: None, tracks: None }
    }

    /// Takes the next item; gives the block that it ended.
    pub fn push(&mut self, item: &Item) -> Option<Block> {
        match item {
            Item::Frame(frame) => self.frame(frame),
            Item::Cue(cue) => self.cue(cue),
            Item::Break => self.flush(),
        }
    }

    /// Ends the block that is being filled, if there is one.
    pub fn flush(&mut self) -> Option<Block> {
        let Open { keyframe, tracks, run, start, frames } = self.open.take()?;
        let bytes = self.buffer.split().freeze();
        // Of tracks that the format doesn't carry nothing was written.
        (!bytes.is_empty()).then_some(Block { bytes, keyframe, tracks, run, start, frames })
    }

    /// Goes with the frames of the open block, or in front of the next one. While nothing else comes, no more wait than
    /// fit into a piece.
    fn cue(&mut self, cue: &Cue) -> Option<Block> {
        let needed = cue.size() + overhead(cue.size());
        let full = self.buffer.capacity() - self.buffer.len() < needed;
        let ended = if full { self.flush() } else { None };
        if full && self.buffer.is_empty() {
            self.buffer.reserve(PIECE);
        } else if full {
            return ended;
        }
        self.format.cue(&mut self.buffer, cue);
        ended
    }

    fn frame(&mut self, frame: &Arc<Frame>) -> Option<Block> {
        let changed = self.tracks.as_ref().is_some_and(|tracks| differ(tracks, &frame.tracks));
        let needed = frame.data.len() + overhead(frame.data.len());
        let full = self.buffer.capacity() - self.buffer.len() < needed;
        // Without pictures every frame is one to start at, and each alone would be a small block.
        let key_picture = frame.keyframe && frame.track == TrackId::Video;
        let other_run = self.open.as_ref().is_some_and(|open| open.run.number != frame.run.number);
        let ended = if key_picture || changed || full || other_run { self.flush() } else { None };

        if full {
            // Copies no frame: the buffer holds nothing now, or events that wait for one.
            self.buffer.reserve(needed.max(PIECE));
        }
        if changed {
            self.format.headers(&mut self.buffer, &frame.tracks, frame.dts);
        }
        self.tracks = Some(Arc::clone(&frame.tracks));
        self.format.frame(&mut self.buffer, frame);
        let open = self.open.get_or_insert_with(|| Open {
            keyframe: frame.keyframe,
            tracks: Arc::clone(&frame.tracks),
            run: frame.run,
            start: frame.dts,
            frames: 0,
        });
        open.frames += 1;
        ended
    }
}

/// Whether the decoder parameters are others: an equal copy is no change.
fn differ(old: &Arc<Tracks>, new: &Arc<Tracks>) -> bool {
    !Arc::ptr_eq(old, new) && old != new
}
