//! Media without an end leaves hyper behind once its request was read: what follows is one response head and the same
//! bytes for everybody, which [`crate::fanout`] writes.

use std::{
    future::pending,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use bytes::{BufMut, Bytes, BytesMut};
use hyper::{Response, Version, header};
use tokio::sync::Notify;

use super::Body;
use crate::{fanout::Carriage, output::feed::Feed, socket::Stream};

/// Bytes of a response head, about.
const HEAD: usize = 512;

/// Whether a connection over HTTP/1.1 is taken from hyper.
pub struct Takeover {
    /// It is plain TCP.
    possible: bool,
    taken: Mutex<Option<Taken>>,
    wanted: Notify,
}

/// What is sent instead of hyper's answer, to the end of the connection.
pub struct Taken {
    /// The response's.
    pub head: Bytes,
    pub carriage: Carriage,
    pub feed: Feed,
}

impl Takeover {
    /// Of `stream`, which must not have TLS: its bytes are nobody else's.
    pub fn of(stream: &Stream) -> Self {
        let possible = matches!(stream, Stream::Plain(_));
        Self { possible, taken: Mutex::default(), wanted: Notify::new() }
    }

    /// `response` to a request of `version`, unless it is one that is to be taken over: then never.
    pub async fn unless_media(&self, version: Version, response: Response<Body>) -> Response<Body> {
        let (head, body) = response.into_parts();
        match body {
            Body::Flv(stream) if self.possible => {
                let is_1_1 = version == Version::HTTP_11;
                let (head, carriage) = (written(&head, is_1_1), Carriage::http(is_1_1));
                let taken = Taken { head, carriage, feed: stream.into_feed() };
                *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
                self.wanted.notify_one();
                pending().await
            }
            body => Response::from_parts(head, body),
        }
    }

    /// Ready when there is something to be taken over.
    pub async fn wanted(&self) -> Taken {
        loop {
            self.wanted.notified().await;
            if let Some(taken) = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return taken;
            }
        }
    }
}

/// The head of a response without a length.
fn written(response: &hyper::http::response::Parts, is_1_1: bool) -> Bytes {
    let mut head = BytesMut::with_capacity(HEAD);
    head.put_slice(if is_1_1 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    head.put_slice(response.status.as_str().as_bytes());
    head.put_slice(b" ");
    head.put_slice(response.status.canonical_reason().unwrap_or_default().as_bytes());
    head.put_slice(b"\r\n");
    for (name, value) in response.headers.iter().filter(|(name, _)| **name != header::CONNECTION) {
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(format!("date: {}\r\n", httpdate::fmt_http_date(SystemTime::now())).as_bytes());
    if is_1_1 {
        head.put_slice(b"transfer-encoding: chunked\r\n");
    }
    head.put_slice(b"connection: close\r\n\r\n");
    head.freeze()
}
