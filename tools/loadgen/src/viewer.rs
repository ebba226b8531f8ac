//! One live viewer: its socket, its parser and what it found.

use crate::flv::{self, TagInfo, AUDIO, VIDEO};
use crate::http::{Framing, Head, Piece};
use crate::net::{bad, Url};
use crate::rtmp::{self, Message, Role};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Without a byte for so long a viewer has stalled.
pub const STALL: Duration = Duration::from_secs(2);
/// A jump in one track's timestamps that counts as lost media, in ms.
const GAP_MS: u32 = 500;

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Flv,
    WsFlv,
    Rtmp,
}

enum Parser {
    Flv {
        head: Option<Vec<u8>>,
        framing: Framing,
        checker: flv::Checker,
    },
    Rtmp {
        reader: rtmp::Reader,
        acked: u64,
    },
}

/// One viewer's socket, parser and findings.
pub struct Viewer {
    stream: TcpStream,
    parser: Parser,
    pub stats: Stats,
    pub dead: Option<String>,
}

pub struct Stats {
    asked: Instant,
    pub first_tag: Option<Duration>,
    pub first_key: Option<Duration>,
    last_data: Instant,
    bytes: u64,
    pub tags: u64,
    /// Last timestamps of audio and video.
    last_ts: [Option<u32>; 2],
    pub min_ts: u32,
    pub max_ts: u32,
    /// Newest timestamp, and bytes, when the measuring window opened.
    window_ts: u32,
    window_bytes: u64,
    pub stalls: u32,
    pub backward: u32,
    pub gaps: u32,
}

impl Stats {
    fn new(asked: Instant) -> Stats {
        Stats {
            asked,
            first_tag: None,
            first_key: None,
            last_data: Instant::now(),
            bytes: 0,
            tags: 0,
            last_ts: [None; 2],
            min_ts: u32::MAX,
            max_ts: 0,
            window_ts: 0,
            window_bytes: 0,
            stalls: 0,
            backward: 0,
            gaps: 0,
        }
    }

    /// The measuring window begins.
    pub fn open_window(&mut self) {
        self.window_ts = self.max_ts;
        self.window_bytes = self.bytes;
    }

    /// Bytes in the window.
    pub fn got(&self) -> u64 {
        self.bytes - self.window_bytes
    }

    /// Media time in the window, in ms.
    pub fn watched_ms(&self) -> u32 {
        self.max_ts.saturating_sub(self.window_ts)
    }

    /// Nothing came for too long, now or before.
    pub fn stalled(&self, now: Instant) -> bool {
        self.stalls > 0 || now.duration_since(self.last_data) > STALL
    }

    fn tag(&mut self, tag: TagInfo) {
        self.tags += 1;
        if !matches!(tag.kind, AUDIO | VIDEO) || tag.is_sequence_header() {
            return;
        }
        self.first_tag.get_or_insert_with(|| self.asked.elapsed());
        if tag.is_keyframe() {
            self.first_key.get_or_insert_with(|| self.asked.elapsed());
        }
        let last = &mut self.last_ts[(tag.kind == VIDEO) as usize];
        if let Some(last) = *last {
            self.backward += (tag.ts < last) as u32;
            self.gaps += (tag.ts > last + GAP_MS) as u32;
        }
        *last = Some(tag.ts);
        self.min_ts = self.min_ts.min(tag.ts);
        self.max_ts = self.max_ts.max(tag.ts);
    }
}

impl Viewer {
    /// Connects and asks for the stream (blocking); the answer is parsed later.
    pub fn open(kind: Kind, url: &str) -> io::Result<Viewer> {
        let asked = Instant::now();
        let (stream, parser, received) = if kind == Kind::Rtmp {
            let s = rtmp::open(url, Role::Play)?;
            (
                s.stream,
                Parser::Rtmp {
                    reader: s.reader,
                    acked: 0,
                },
                s.received,
            )
        } else {
            let target = Url::parse(url, 80)?;
            let mut stream = target.connect()?;
            let upgrade = match kind {
                Kind::WsFlv => "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZGdlbmxvYWRnZW4hIQ==\r\n",
                _ => "",
            };
            let request = format!(
                "GET {} HTTP/1.1\r\nHost: {}:{}\r\n{upgrade}\r\n",
                target.path, target.host, target.port
            );
            stream.write_all(request.as_bytes())?;
            let framing = if kind == Kind::WsFlv {
                Framing::WebSocket(Piece::default())
            } else {
                Framing::Plain
            };
            (
                stream,
                Parser::Flv {
                    head: Some(Vec::new()),
                    framing,
                    checker: flv::Checker::new(),
                },
                0,
            )
        };
        let stats = Stats {
            bytes: received,
            ..Stats::new(asked)
        };
        Ok(Viewer {
            stream,
            parser,
            stats,
            dead: None,
        })
    }

    /// Reads once and checks; `on_tag` sees every media tag. False when nothing more is there now.
    pub fn read(&mut self, buf: &mut [u8], on_tag: &mut impl FnMut(&TagInfo)) -> bool {
        match self.stream.read(buf) {
            Ok(0) => self.dead = Some("closed by server".into()),
            Ok(n) => {
                self.data(n as u64);
                if let Err(e) = self.check(&buf[..n], on_tag) {
                    self.dead = Some(e.to_string());
                }
                return n == buf.len() && self.dead.is_none();
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => self.dead = Some(e.to_string()),
        }
        false
    }

    /// Takes what is there without looking at it, and without copying it; the first keyframe is still looked for.
    pub fn drain(&mut self, buf: &mut [u8]) {
        if self.stats.first_key.is_none() {
            while self.stats.first_key.is_none() && self.read(buf, &mut |_| {}) {}
            return;
        }
        // TCP throws away what it is asked to truncate (tcp(7)).
        let n = unsafe {
            libc::recv(
                self.fd(),
                buf.as_mut_ptr().cast(),
                buf.len(),
                libc::MSG_TRUNC | libc::MSG_DONTWAIT,
            )
        };
        match n {
            1.. => {
                self.data(n as u64);
                if let Err(e) = self.acknowledge() {
                    self.dead = Some(e.to_string());
                }
            }
            0 => self.dead = Some("closed by server".into()),
            _ => {
                let e = io::Error::last_os_error();
                if e.kind() != io::ErrorKind::WouldBlock {
                    self.dead = Some(e.to_string());
                }
            }
        }
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// RTMP: says how much came, as often as the server wants to know.
    fn acknowledge(&mut self) -> io::Result<()> {
        let Parser::Rtmp { reader, acked } = &mut self.parser else {
            return Ok(());
        };
        if reader.window == 0 || self.stats.bytes - *acked < reader.window as u64 / 2 {
            return Ok(());
        }
        *acked = self.stats.bytes;
        self.stream
            .write_all(&rtmp::acknowledgement(self.stats.bytes))
    }

    fn data(&mut self, n: u64) {
        let now = Instant::now();
        if self.stats.first_tag.is_some() && now.duration_since(self.stats.last_data) > STALL {
            self.stats.stalls += 1;
        }
        self.stats.last_data = now;
        self.stats.bytes += n;
    }

    fn check(&mut self, mut data: &[u8], on_tag: &mut impl FnMut(&TagInfo)) -> io::Result<()> {
        let stats = &mut self.stats;
        match &mut self.parser {
            Parser::Flv {
                head,
                framing,
                checker,
            } => {
                if let Some(text) = head {
                    let before = text.len();
                    text.extend_from_slice(data);
                    let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") else {
                        return Ok(());
                    };
                    let parsed = Head::parse(&String::from_utf8_lossy(&text[..end]))?;
                    match (parsed.status, &framing) {
                        (200, Framing::Plain) | (101, Framing::WebSocket(_)) => {}
                        (status, _) => return Err(bad(format!("HTTP {status}"))),
                    }
                    if parsed.chunked {
                        *framing = Framing::Chunked(Piece::default());
                    }
                    data = &data[end + 4 - before..];
                    *head = None;
                }
                let more = framing.feed(data, &mut |part| {
                    checker.feed(part, &mut |tag| {
                        on_tag(&tag);
                        stats.tag(tag);
                    })
                })?;
                if more {
                    Ok(())
                } else {
                    Err(bad("body ended"))
                }
            }
            Parser::Rtmp { reader, .. } => {
                let mut answer = Vec::new();
                reader.feed(data, &mut |m: Message| match m.kind {
                    AUDIO | VIDEO if !m.body.is_empty() => {
                        let tag = TagInfo {
                            kind: m.kind,
                            ts: m.ts,
                            head: m.body,
                        };
                        on_tag(&tag);
                        stats.tag(tag);
                    }
                    4 if m.body.starts_with(&[0, 6]) => answer.extend(rtmp::pong(&m.body[2..])),
                    _ => {}
                })?;
                self.stream.write_all(&answer)?;
                self.acknowledge()
            }
        }
    }
}
