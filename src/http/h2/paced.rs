//! Response bodies at the pace of their request's window. HTTP/1.1 has a socket per viewer, and the kernel drops those
//! that take nothing; here a viewer may leave one request's window shut while its connection is well. What is held for
//! it then must not be held for longer than `limits.viewer_stall` either.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::{task_local, time::timeout};

use crate::{http::Body, socket::Place};

/// Bytes handed on at once: a viewer that takes this much within the time for stalling is slow, and no more than that.
const PIECE: usize = 64 << 10;

task_local! {
    /// Of the request that the task serves.
    static HANDED: Handed;
}

/// Since when bytes are handed on and nobody has come for more.
#[derive(Clone, Default)]
struct Handed(Arc<Mutex<Option<Instant>>>);

impl Handed {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn is_older_than(&self, age: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since.elapsed() >= age)
    }
}

/// Serves a request, and drops it (which resets it) when its viewer has taken nothing for `stall`; that is seen within
/// twice that time.
pub async fn until_stalled(stall: Duration, request: impl Future<Output = ()>) {
    let handed = Handed::default();
    let mut request = pin!(HANDED.scope(handed.clone(), request));
    while timeout(stall, request.as_mut()).await.is_err() {
        if handed.is_older_than(stall) {
            return;
        }
    }
}

/// A body in pieces. They are asked for as the viewer's window opens.
pub struct Paced {
    body: Body,
    rest: Bytes,
    handed: Handed,
    /// Held until the last byte is handed on.
    _place: Option<Arc<Place>>,
}

impl Paced {
    /// To be called in the task that serves the request.
    pub fn new(body: Body, place: Option<Arc<Place>>) -> Self {
        let handed = HANDED.try_with(Clone::clone).unwrap_or_default();
        Self { body, rest: Bytes::new(), handed, _place: place }
    }
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let paced = self.get_mut();
        paced.handed.set(None);
        while paced.rest.is_empty() {
            match ready!(Pin::new(&mut paced.body).poll_frame(cx)) {
                Some(Ok(frame)) => paced.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        // The last byte goes by itself: it is asked for when the window has taken all before it, so nothing is left
        // behind that the window holds back.
        let ahead = paced.rest.len() - usize::from(paced.body.is_end_stream());
        let piece = paced.rest.split_to(ahead.clamp(1, PIECE));
        paced.handed.set(Some(Instant::now()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            Some(bytes) => SizeHint::with_exact(bytes + self.rest.len() as u64),
            None => SizeHint::default(),
        }
    }
}
