//! A connection, with or without TLS.

use std::{
    io::{self, IoSlice, Read},
    mem, net,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// The bytes of a peer. What was written has to be flushed: TLS holds back what the socket did not take.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Plain and at rest, see [`Stream::rest`]. None once it could not be taken up again.
    Resting(Option<net::TcpStream>),
}

impl Stream {
    /// The socket below, while there is one.
    pub fn socket(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Plain(tcp) => Some(SockRef::from(tcp)),
            Self::Tls(tls) => Some(SockRef::from(tls.get_ref().0)),
            Self::Resting(tcp) => tcp.as_ref().map(SockRef::from),
        }
    }

    /// Has what comes gather in the kernel without waking anybody, until this is read or written as usual: otherwise epoll
    /// is told of everything that comes, whether or not somebody waits for it. False of TLS, which goes on as it is: how much
    /// has come is not to be seen there.
    pub fn rest(&mut self) -> io::Result<bool> {
        *self = match mem::replace(self, Self::Resting(None)) {
            Self::Plain(tcp) => Self::Resting(Some(tcp.into_std()?)),
            other => other,
        };
        Ok(matches!(self, Self::Resting(_)))
    }

    /// Reads what is there into the room of `input`, as far as it goes, without taking the connection up again. An error if
    /// it is not at rest.
    pub fn read_resting(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        let Self::Resting(Some(tcp)) = self else { return Err(io::ErrorKind::NotConnected.into()) };
        let filled = input.len();
        input.resize(input.capacity(), 0);
        let read = input.get_mut(filled..).map_or(Ok(0), |room| tcp.read(room));
        input.truncate(filled.saturating_add(*read.as_ref().unwrap_or(&0)));
        read
    }

    /// Ends the rest, if it is at rest. Reading and writing do so, too.
    pub fn take_up(&mut self) -> io::Result<()> {
        if let Self::Resting(tcp) = self {
            let tcp = tcp.take().ok_or(io::ErrorKind::NotConnected)?;
            *self = Self::Plain(TcpStream::from_std(tcp)?);
        }
        Ok(())
    }

    fn awake(&mut self) -> io::Result<Awake<'_>> {
        self.take_up()?;
        match self {
            Self::Plain(tcp) => Ok(Awake::Plain(Pin::new(tcp))),
            Self::Tls(tls) => Ok(Awake::Tls(Pin::new(tls.as_mut()))),
            Self::Resting(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The peer chose HTTP/2 in the handshake.
    pub fn is_h2(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Resting(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// A connection that the runtime tells of.
enum Awake<'s> {
    Plain(Pin<&'s mut TcpStream>),
    Tls(Pin<&'s mut TlsStream<TcpStream>>),
}

/// Hands the call on to whichever it is.
macro_rules! either {
    ($self:ident, $call:ident($($argument:expr),*)) => {
        match $self.get_mut().awake()? {
            Awake::Plain(tcp) => tcp.$call($($argument),*),
            Awake::Tls(tls) => tls.$call($($argument),*),
        }
    };
}

/// One `sendmsg`: `writev` goes through the file system's layers first.
pub fn send(tcp: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    tcp.try_io(Interest::WRITABLE, || SockRef::from(tcp).send_vectored(slices))
}

fn poll_send(tcp: &TcpStream, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        match send(tcp, slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().awake()? {
            Awake::Plain(tcp) => tcp.poll_read(cx, into),
            Awake::Tls(tls) => match tls.poll_read(cx, into) {
                // Many close without TLS's own goodbye. What is carried here knows by itself whether it is whole.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                read => read,
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut().awake()? {
            Awake::Plain(tcp) => poll_send(&tcp, cx, slices),
            Awake::Tls(tls) => tls.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Resting(_) => true,
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(*self, Self::Resting(_)) {
            // Only TLS holds anything back.
            return Poll::Ready(Ok(()));
        }
        either!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::yield_now,
    };

    use super::*;

    async fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (peer, Stream::Plain(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn a_connection_at_rest_is_read_without_being_taken_up() {
        let (mut peer, mut stream) = pair().await;
        let mut input = BytesMut::with_capacity(16);
        let not_at_rest = stream.read_resting(&mut input).unwrap_err();
        assert_eq!(not_at_rest.kind(), io::ErrorKind::NotConnected);
        assert_eq!([stream.rest().unwrap(), stream.rest().unwrap()], [true, true]);
        let nothing = stream.read_resting(&mut input).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert!(input.is_empty());
        peer.write_all(b"media").await.unwrap();
        while stream.read_resting(&mut input).is_err() {
            yield_now().await;
        }
        assert_eq!(input, b"media"[..]);
        assert!(matches!(stream, Stream::Resting(Some(_))));
    }

    #[tokio::test]
    async fn whoever_reads_or_writes_takes_it_up() {
        let (mut peer, mut stream) = pair().await;
        stream.rest().unwrap();
        stream.flush().await.unwrap();
        assert!(matches!(stream, Stream::Resting(_)), "there is nothing to flush");
        stream.write_all(b"acknowledged").await.unwrap();
        let mut answer = [0; 12];
        peer.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"acknowledged");
        stream.rest().unwrap();
        peer.write_all(b"play").await.unwrap();
        let mut wish = [0; 4];
        stream.read_exact(&mut wish).await.unwrap();
        assert_eq!(&wish, b"play");
        assert!(matches!(stream, Stream::Plain(_)));
    }

    #[tokio::test]
    async fn one_that_was_lost_says_so() {
        let mut stream = Stream::Resting(None);
        let lost = io::ErrorKind::NotConnected;
        assert_eq!(stream.read_resting(&mut BytesMut::new()).unwrap_err().kind(), lost);
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), lost);
        assert_eq!(stream.write_u8(0).await.unwrap_err().kind(), lost);
        assert!(stream.socket().is_none());
    }
}
