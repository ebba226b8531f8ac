//! Reading from publishers: at once where somebody waits for what comes, else in few reads.

use std::{io, pin::Pin, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    task::coop::consume_budget,
    time::{Instant, Sleep, sleep_until},
};

use crate::socket::Stream;

/// How long media gathers in the kernel while nobody waits for it.
pub const GATHER: Duration = Duration::from_millis(50);

/// Nobody waits who did not for this long: players of low-latency HLS are between two requests now and then.
const AWHILE: Duration = Duration::from_secs(3);

/// Reads the media of one publisher. An encoder sends 77 messages a second, each of which is a wake-up, a read and an
/// acknowledgement if it is read when it comes.
pub struct Gather {
    /// When somebody was last waiting.
    awaited: Instant,
    due: Pin<Box<Sleep>>,
    /// The last read filled its room.
    more: bool,
}

impl Gather {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { awaited: now, due: Box::pin(sleep_until(now)), more: false }
    }

    /// Reads into the room of `input`, which must have some: what comes next, or, if that is not awaited, all that has come
    /// when it has gathered for `time`. Nothing once the peer has closed. Cancelling loses nothing.
    pub async fn read(
        &mut self,
        stream: &mut Stream,
        input: &mut BytesMut,
        time: Option<Duration>,
    ) -> io::Result<usize> {
        let now = Instant::now();
        match time {
            Some(time) if now - self.awaited >= AWHILE && stream.rest()? => {
                self.due.as_mut().reset(now + time);
                return self.read_resting(stream, input, time).await;
            }
            Some(_) => {}
            None => self.awaited = now,
        }
        stream.read_buf(input).await
    }

    /// Reads what is there when it is due; if that is nothing, it is due again after `time`.
    async fn read_resting(
        &mut self,
        stream: &mut Stream,
        input: &mut BytesMut,
        time: Duration,
    ) -> io::Result<usize> {
        loop {
            if self.more {
                // A flood is no reason to keep others waiting.
                consume_budget().await;
            } else {
                self.due.as_mut().await;
            }
            let room = input.capacity() - input.len();
            let read = stream.read_resting(input);
            self.more = read.as_ref().is_ok_and(|length| *length == room);
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.due.as_mut().reset(Instant::now() + time);
                }
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const ROOM: usize = 1 << 10;

    struct Rig {
        encoder: TcpStream,
        stream: Stream,
        input: BytesMut,
        gather: Gather,
    }

    impl Rig {
        /// Nobody has been waiting for a while.
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let encoder = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            encoder.set_nodelay(true).unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            let gather = Gather { awaited: Instant::now() - AWHILE, ..Gather::new() };
            Self { encoder, stream: Stream::Plain(tcp), input: BytesMut::with_capacity(ROOM), gather }
        }

        async fn send(&mut self, bytes: &[u8]) {
            self.encoder.write_all(bytes).await.unwrap();
        }

        /// What is read next, with fresh room.
        async fn read(&mut self, is_awaited: bool) -> usize {
            self.input = BytesMut::with_capacity(ROOM);
            let time = (!is_awaited).then_some(GATHER);
            self.gather.read(&mut self.stream, &mut self.input, time).await.unwrap()
        }

        fn is_ready(&mut self) -> bool {
            let mut reading = std::pin::pin!(self.read(false));
            matches!(reading.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_read_together() {
        let mut rig = Rig::new().await;
        assert!(!rig.is_ready());
        for _ in 0..4 {
            rig.send(b"sound").await;
        }
        assert!(!rig.is_ready(), "it is not due");
        assert_eq!(rig.read(false).await, 20);
        assert_eq!(rig.input, b"soundsoundsoundsound"[..]);
        drop(rig.encoder);
        rig.input.clear();
        let read = rig.gather.read(&mut rig.stream, &mut rig.input, Some(GATHER)).await;
        assert_eq!(read.unwrap(), 0, "it is seen that the encoder is gone");
    }

    #[tokio::test]
    async fn what_is_awaited_is_read_when_it_comes() {
        let mut rig = Rig::new().await;
        assert!(!rig.is_ready());
        assert!(matches!(rig.stream, Stream::Resting(_)));
        for message in [&b"picture"[..], b"sound"] {
            rig.send(message).await;
            assert_eq!(rig.read(true).await, message.len());
            assert!(matches!(rig.stream, Stream::Plain(_)));
        }
        rig.send(b"more").await;
        rig.read(false).await;
        assert!(matches!(rig.stream, Stream::Plain(_)), "whoever was there may be back soon");
    }

    #[tokio::test]
    async fn a_flood_is_read_without_a_pause() {
        let mut rig = Rig::new().await;
        rig.send(&[0; 3 * ROOM + 1]).await;
        assert_eq!(rig.read(false).await, ROOM);
        for _ in 0..2 {
            assert!(rig.is_ready());
        }
        assert!(rig.is_ready(), "the last byte");
        assert!(!rig.is_ready());
    }
}
