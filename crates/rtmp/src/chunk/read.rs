use bytes::{Buf, Bytes, BytesMut};

use super::{
    INITIAL_CHUNK_SIZE, Message,
    header::{self, Format, Header},
    kind,
};
use crate::{Cause, Error};

/// A body of fewer bytes is copied: sound would hold the whole of a read buffer for as long as its frames are kept, and
/// the pictures beside it are gathered out of that buffer as a rule.
const COPIED: usize = 4 << 10;

/// Bounds on what a peer can make a [`Reader`] hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Chunk streams; each costs some 70 bytes.
    pub chunk_streams: usize,
    /// Messages that have begun and not ended.
    pub partial_messages: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes of all messages that have begun and not ended. Memory grows with what has arrived, not with what was
    /// announced.
    pub partial_bytes: usize,
}

/// Puts messages together again. Obeys SetChunkSize and Abort by itself.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    chunk_size: usize,
    streams: Vec<ChunkStream>,
    /// The chunk whose payload is being read: its stream and the bytes still to come.
    open: Option<(u32, usize)>,
    /// Streams with a message begun.
    partial_messages: usize,
    /// Capacity of all partial messages.
    held: usize,
    received: u64,
}

#[derive(Debug)]
struct ChunkStream {
    id: u32,
    header: Header,
    /// The message that has begun, as far as it has arrived.
    partial: Option<Vec<u8>>,
}

impl Reader {
    /// A reader at a chunk's first byte, `received` bytes after the connection's first.
    pub fn new(limits: Limits, received: u64) -> Self {
        Self {
            limits,
            chunk_size: INITIAL_CHUNK_SIZE,
            streams: Vec::new(),
            open: None,
            partial_messages: 0,
            held: 0,
            received,
        }
    }

    /// Replaces the limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Bytes consumed since the connection began.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of memory held for the peer.
    pub fn held(&self) -> usize {
        self.held.saturating_add(self.streams.capacity().saturating_mul(size_of::<ChunkStream>()))
    }

    /// Takes the next message out of `input`; none if the rest of it is still to come. A large message that lies whole in
    /// one chunk shares `input`'s memory, another is gathered with one copy.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        self.message(input).map_err(|cause| Error { position: self.received, cause })
    }

    fn message(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Cause> {
        loop {
            let Some((id, room)) = self.chunk(input)? else { return Ok(None) };
            let Some(message) = self.payload(id, room, input)? else { continue };
            match message.kind {
                kind::SET_CHUNK_SIZE => self.set_chunk_size(&message.body)?,
                kind::ABORT => self.abort(&message.body),
                _ => return Ok(Some(message)),
            }
        }
    }

    /// The chunk that is open or begins here: its stream and how much of its payload is still to come.
    fn chunk(&mut self, input: &mut BytesMut) -> Result<Option<(u32, usize)>, Cause> {
        if input.is_empty() {
            return Ok(None);
        }
        if let Some(open) = self.open.take() {
            return Ok(Some(open));
        }
        let mut rest: &[u8] = input;
        let Some((format, id)) = header::basic(&mut rest) else { return Ok(None) };
        let full = self.streams.len() >= self.limits.chunk_streams;
        let room = match self.streams.iter_mut().find(|stream| stream.id == id) {
            Some(ChunkStream { header, partial: Some(partial), .. }) => {
                // A new header could change the length of what has been gathered (CVE-2016-10191).
                if format != Format::Repeat {
                    return Err(Cause::Interrupted(id));
                }
                if header.skip_repeated_time(&mut rest).is_none() {
                    return Ok(None);
                }
                header.length.saturating_sub(partial.len())
            }
            known => {
                let last = match &known {
                    Some(stream) => stream.header,
                    // librtmp begins with a type 1 header.
                    None if matches!(format, Format::Full | Format::SameStream) => Header::default(),
                    None => return Err(Cause::NoHeader(id)),
                };
                let Some(header) = last.next(format, &mut rest) else { return Ok(None) };
                let Limits { partial_messages, message_bytes: limit, .. } = self.limits;
                if header.length > limit {
                    return Err(Cause::MessageTooLong { length: header.length, limit });
                }
                if self.partial_messages >= partial_messages {
                    return Err(Cause::PartialMessages(partial_messages));
                }
                match known {
                    Some(stream) => *stream = ChunkStream { id, header, partial: Some(Vec::new()) },
                    None if full => return Err(Cause::ChunkStreams(self.limits.chunk_streams)),
                    None => self.streams.push(ChunkStream { id, header, partial: Some(Vec::new()) }),
                }
                self.partial_messages = self.partial_messages.saturating_add(1);
                header.length
            }
        };
        let header_bytes = input.len().saturating_sub(rest.len());
        self.consume(input, header_bytes);
        Ok(Some((id, room.min(self.chunk_size))))
    }

    /// Takes what has arrived of a chunk's payload; the message, if that completes it.
    fn payload(&mut self, id: u32, room: usize, input: &mut BytesMut) -> Result<Option<Message>, Cause> {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else { return Ok(None) };
        let Some(partial) = &mut stream.partial else { return Ok(None) };
        let Header { length, kind, stream: stream_id, time: time_ms, .. } = stream.header;
        let arrived = room.min(input.len());
        let body = if arrived == length {
            stream.partial = None;
            self.received = self.received.saturating_add(arrived as u64);
            take_whole(input, arrived)
        } else {
            let capacity = partial.capacity();
            let others = self.held.saturating_sub(capacity);
            let wanted = wanted_capacity(partial, arrived, input.len(), length);
            if others.saturating_add(wanted) > self.limits.partial_bytes {
                return Err(Cause::PartialBytes(self.limits.partial_bytes));
            }
            partial.reserve_exact(wanted.saturating_sub(partial.len()));
            partial.extend_from_slice(input.get(..arrived).unwrap_or_default());
            self.held = others.saturating_add(partial.capacity());
            let complete = partial.len() == length;
            let gathered = if complete { stream.partial.take() } else { None };
            self.consume(input, arrived);
            let Some(gathered) = gathered else {
                self.open = (arrived < room).then_some((id, room.saturating_sub(arrived)));
                return Ok(None);
            };
            self.held = others;
            Bytes::from(gathered)
        };
        self.partial_messages = self.partial_messages.saturating_sub(1);
        Ok(Some(Message { kind, stream: stream_id, time_ms, body }))
    }

    fn consume(&mut self, input: &mut BytesMut, bytes: usize) {
        input.advance(bytes);
        self.received = self.received.saturating_add(bytes as u64);
    }

    fn set_chunk_size(&mut self, body: &[u8]) -> Result<(), Cause> {
        let size = header::take(&mut &*body).map_or(0, u32::from_be_bytes);
        if size == 0 || size > 0x7FFF_FFFF {
            return Err(Cause::ChunkSize(size));
        }
        // No message is longer (RTMP 1.0 §5.4.1), so a larger chunk means the same.
        self.chunk_size = size.min(0xFF_FFFF) as usize;
        Ok(())
    }

    fn abort(&mut self, body: &[u8]) {
        let Some(id) = header::take(&mut &*body).map(u32::from_be_bytes) else { return };
        let stream = self.streams.iter_mut().find(|stream| stream.id == id);
        if let Some(partial) = stream.and_then(|stream| stream.partial.take()) {
            self.partial_messages = self.partial_messages.saturating_sub(1);
            self.held = self.held.saturating_sub(partial.capacity());
        }
    }
}

/// A message that lies whole at the beginning of `input`.
fn take_whole(input: &mut BytesMut, length: usize) -> Bytes {
    if length >= COPIED {
        return input.split_to(length).freeze();
    }
    let body = Bytes::copy_from_slice(input.get(..length).unwrap_or_default());
    input.advance(length);
    body
}

/// Capacity for a partial message of `length` bytes when `arrived` more go in. It doubles, and begins with what is in
/// the read buffer: memory follows what has arrived, not what was announced.
fn wanted_capacity(partial: &Vec<u8>, arrived: usize, buffered: usize, length: usize) -> usize {
    let needed = partial.len().saturating_add(arrived);
    if needed <= partial.capacity() {
        return partial.capacity();
    }
    partial.capacity().saturating_mul(2).max(partial.len().saturating_add(buffered)).max(needed).min(length)
}
