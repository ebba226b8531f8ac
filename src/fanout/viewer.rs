//! One viewer's socket.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::{net::TcpStream, time::Instant};

use super::carriage::Carriage;
use crate::{
    output::feed::{Fed, Feed},
    packager::{Blocks, Shared},
    socket::{self, Place},
};

/// Blocks in one write. Somebody who joins has a GOP of them to catch up with.
const SLICES: usize = 64;

/// Bytes of one read: viewers have little to say.
const READ: usize = 1024;

/// A viewer whose request was granted.
pub struct Viewer {
    tcp: TcpStream,
    feed: Feed,
    carriage: Carriage,
    /// What its socket has yet to take: of one read of the ring, so 256 KiB or one frame, and what goes before.
    pending: VecDeque<Bytes>,
    /// Nothing comes after that.
    over: bool,
    /// One of the places for connections.
    _place: Arc<Place>,
}

/// What a visit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    Stays,
    Leaves,
}

/// What visits need while they last.
pub struct Room {
    batch: Vec<Shared>,
    blocks: VecDeque<Bytes>,
    read: Box<[u8; READ]>,
}

impl Default for Room {
    fn default() -> Self {
        Self { batch: Vec::new(), blocks: VecDeque::new(), read: Box::new([0; READ]) }
    }
}

impl Viewer {
    /// Whoever asked over `tcp` is sent `first`, then `feed` as `carriage` has it.
    pub fn new(
        tcp: TcpStream,
        first: impl IntoIterator<Item = Bytes>,
        carriage: Carriage,
        feed: Feed,
        place: Arc<Place>,
    ) -> Self {
        Self { tcp, feed, carriage, pending: first.into_iter().collect(), over: false, _place: place }
    }

    /// What it is shown.
    pub fn blocks(&self) -> &Blocks {
        self.feed.blocks()
    }

    /// Its first visit: what there is already goes out together with what goes before it.
    pub fn welcome(&mut self, cx: &mut Context<'_>, now: Instant, room: &mut Room) -> Visit {
        if self.take(room) {
            self.pending.extend(room.blocks.drain(..));
        }
        self.visit(cx, now, room)
    }

    /// Writes what there is for it. If that is more than its socket takes, or if it says something, `cx` is woken.
    pub fn visit(&mut self, cx: &mut Context<'_>, now: Instant, room: &mut Room) -> Visit {
        match self.listen(cx, now, room).and_then(|()| self.write(cx, room)) {
            Ok(visit) => visit,
            Err(_) => Visit::Leaves,
        }
    }

    /// Hears what it has to say; an error if it has gone.
    fn listen(&mut self, cx: &mut Context<'_>, now: Instant, room: &mut Room) -> io::Result<()> {
        while let Poll::Ready(ready) = self.tcp.poll_read_ready(cx) {
            ready?;
            match self.tcp.try_read(&mut room.read[..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    let said = room.read.get(..read).unwrap_or_default();
                    self.over |= self.carriage.hear(said, &mut self.pending)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.carriage.tick(now, &mut self.pending);
        Ok(())
    }

    /// What is new, into `room.blocks`; false if that is nothing.
    fn take(&mut self, room: &mut Room) -> bool {
        // What somebody had not got who went away in the middle of a write is nobody's.
        room.blocks.clear();
        match self.feed.take(&mut room.batch, &mut room.blocks) {
            Fed::Nothing => return false,
            Fed::Some => {
                let bytes = room.blocks.iter().map(Bytes::len).sum();
                if let Some(header) = self.carriage.header(bytes) {
                    room.blocks.push_front(header);
                }
            }
            Fed::Over => {
                self.over = true;
                room.blocks.extend(self.carriage.farewell());
            }
        }
        true
    }

    fn write(&mut self, cx: &mut Context<'_>, room: &mut Room) -> io::Result<Visit> {
        loop {
            let full = if !self.pending.is_empty() {
                let full = write(&self.tcp, &mut self.pending)?;
                // Most need it never again.
                self.pending.shrink_to_fit();
                full
            } else if self.over {
                return Ok(Visit::Leaves);
            } else if self.take(room) {
                let full = write(&self.tcp, &mut room.blocks)?;
                self.pending.extend(room.blocks.drain(..));
                full
            } else {
                return Ok(Visit::Stays);
            };
            if full {
                match self.tcp.poll_write_ready(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Ok(Visit::Stays),
                }
            }
        }
    }
}

/// Writes as much of `blocks` as `tcp` takes, and removes it from them. True if it takes no more.
fn write(tcp: &TcpStream, blocks: &mut VecDeque<Bytes>) -> io::Result<bool> {
    while !blocks.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(blocks.iter()) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let mut written = match socket::send(tcp, slices) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        while let Some(first) = blocks.front_mut().filter(|_| written > 0) {
            let part = first.len().min(written);
            first.advance(part);
            written -= part;
            if first.is_empty() {
                blocks.pop_front();
            }
        }
    }
    Ok(false)
}
