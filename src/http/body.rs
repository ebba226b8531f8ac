//! Response bodies: nothing, bytes at hand, a movie read from the disk, or a live stream.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::output::{feed, mp4, status};

/// What a viewer is sent. No boxing: every kind is named.
pub enum Body {
    Empty,
    /// Slices of shared bytes, sent one after the other.
    Bytes(VecDeque<Bytes>),
    Movie(mp4::Download),
    Flv(feed::Stream),
    Status(status::Stream),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(VecDeque::from([bytes]))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match self.get_mut() {
            Self::Empty => None,
            Self::Bytes(chunks) => chunks.pop_front(),
            Self::Movie(download) => {
                return Poll::Ready(ready!(download.poll_next(cx)).map(|bytes| bytes.map(Frame::data)));
            }
            Self::Flv(stream) => ready!(stream.poll_next(cx)),
            Self::Status(stream) => ready!(stream.poll_next(cx)),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(chunks) => chunks.is_empty(),
            Self::Movie(download) => download.left() == 0,
            Self::Flv(_) | Self::Status(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bytes(chunks) => SizeHint::with_exact(chunks.iter().map(|chunk| chunk.len() as u64).sum()),
            Self::Movie(download) => SizeHint::with_exact(download.left()),
            Self::Flv(_) | Self::Status(_) => SizeHint::default(),
        }
    }
}
