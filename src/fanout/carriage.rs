//! What goes around a stream's bytes on their way to one viewer.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use tokio::time::Instant;

use crate::output::{flv, rtmp};

/// Bytes of an HTTP viewer that are read and thrown away. Whoever sends more wants something else.
const CHATTER: usize = 4096;

/// How bytes without an end are carried.
pub enum Carriage {
    /// As the body of an HTTP response.
    Http(Http),
    /// As WebSocket messages (RFC 6455).
    WebSocket(flv::Conversation),
    /// As messages of an RTMP connection.
    Rtmp(rtmp::Conversation),
}

/// A body, and how much the viewer said meanwhile.
pub struct Http {
    coding: Coding,
    heard: usize,
}

/// How a body is known to be whole.
enum Coding {
    /// The connection's end ends it (RFC 9112 §6.3), for HTTP/1.0.
    Close,
    /// It comes in chunks (RFC 9112 §7.1): a server that was killed does not look like a broadcast that is over.
    Chunked {
        /// None was sent yet.
        first: bool,
    },
}

impl Carriage {
    /// The body of an answer to a request of HTTP/1.1, or else 1.0.
    pub fn http(is_1_1: bool) -> Self {
        let coding = if is_1_1 { Coding::Chunked { first: true } } else { Coding::Close };
        Self::Http(Http { coding, heard: 0 })
    }

    /// What goes before `len` bytes.
    pub fn header(&mut self, len: usize) -> Option<Bytes> {
        match self {
            Self::Http(Http { coding: Coding::Close, .. }) => None,
            Self::Http(Http { coding: Coding::Chunked { first }, .. }) => {
                // The end of the chunk before goes with it.
                let end = if std::mem::take(first) { "" } else { "\r\n" };
                Some(format!("{end}{len:x}\r\n").into())
            }
            Self::WebSocket(_) => Some(flv::Conversation::header(len)),
            Self::Rtmp(_) => None,
        }
    }

    /// What goes behind the last bytes.
    pub fn farewell(&mut self) -> Option<Bytes> {
        match self {
            Self::Http(Http { coding: Coding::Close, .. }) => None,
            Self::Http(Http { coding: Coding::Chunked { first: true }, .. }) => {
                Some(Bytes::from_static(b"0\r\n\r\n"))
            }
            Self::Http(_) => Some(Bytes::from_static(b"\r\n0\r\n\r\n")),
            Self::WebSocket(_) => Some(flv::Conversation::farewell()),
            Self::Rtmp(conversation) => conversation.farewell(),
        }
    }

    /// Answers what the viewer says; true if it takes its leave.
    ///
    /// # Errors
    /// If it makes no sense, or is too much.
    pub fn hear(&mut self, bytes: &[u8], out: &mut VecDeque<Bytes>) -> io::Result<bool> {
        match self {
            Self::Http(http) => {
                http.heard += bytes.len();
                let patience = http.heard <= CHATTER;
                patience.then_some(false).ok_or(io::ErrorKind::InvalidData.into())
            }
            Self::WebSocket(conversation) => conversation.hear(bytes, out),
            Self::Rtmp(conversation) => conversation.hear(bytes, out),
        }
    }

    /// Says what is due.
    pub fn tick(&mut self, now: Instant, out: &mut VecDeque<Bytes>) {
        if let Self::WebSocket(conversation) = self {
            conversation.tick(now, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_say_how_long_they_are_and_the_last_one_that_it_is_the_last() {
        let mut chunked = Carriage::http(true);
        assert_eq!(chunked.header(0x1F4).unwrap(), "1f4\r\n");
        assert_eq!(chunked.header(16).unwrap(), "\r\n10\r\n");
        assert_eq!(chunked.farewell().unwrap(), "\r\n0\r\n\r\n");
        assert_eq!(Carriage::http(true).farewell().unwrap(), "0\r\n\r\n", "nothing was to be shown");
        let mut old = Carriage::http(false);
        assert_eq!((old.header(500), old.farewell()), (None, None));
    }

    #[test]
    fn whoever_says_much_instead_of_listening_is_let_go() {
        let (mut carriage, mut out) = (Carriage::http(true), VecDeque::new());
        assert!(!carriage.hear(&[0; CHATTER], &mut out).unwrap());
        assert!(carriage.hear(&[0], &mut out).is_err());
    }
}
