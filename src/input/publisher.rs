//! From FLV tag bodies to a broadcast's timeline: one publish session.

use std::sync::Arc;

use bytes::Bytes;
use kaibo_container::flv::{Audio, Video, parse_audio, parse_video};
use kaibo_media::{Assembler, AssemblyError, Input, Packet, Sample, TrackId, UnixMillis};
use tokio::time::{Duration, Instant};

use super::gather::GATHER;
use crate::{access::unix_now, broadcasts::Push, live::is_entry, server::Server};

/// Faults of one session that are logged; a broken encoder makes one per frame.
const LOGGED_FAULTS: u32 = 5;

/// Bytes of a data message: as JSON it is to have [`kaibo_media::MOST_PAYLOAD`], and its names and markers take less.
const SCRIPT: usize = 2 * kaibo_media::MOST_PAYLOAD;

/// How often a broadcast that does not take the media of a push is told of sound to begin with: as late as this is
/// unheard, and every packet would be 40 times a second.
const TELL_AGAIN: Duration = Duration::from_millis(200);

/// One publish session's way into its broadcast.
pub struct Publisher {
    server: Arc<Server>,
    pub push: Push,
    assembler: Assembler,
    samples: Vec<Sample>,
    begin: Instant,
    /// When the broadcast was last told that it may begin or go on here.
    told_at: Option<Instant>,
    /// When the encoder said that its stream ends here, unless media followed.
    ended_at: Option<Instant>,
    faults: u32,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.server.publishers.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Publisher {
    pub fn new(server: &Arc<Server>, push: Push) -> Self {
        server.publishers.send_modify(|count| *count = count.saturating_add(1));
        let assembler = Assembler::new(push.broadcast.live().tracks());
        Self {
            server: server.clone(),
            push,
            assembler,
            samples: Vec::new(),
            begin: Instant::now(),
            told_at: None,
            ended_at: None,
            faults: 0,
        }
    }

    /// Bytes came from the socket.
    pub fn received(&self, bytes: usize) {
        self.server.metrics.ingest_bytes.inc_by(bytes as u64);
    }

    /// How long what comes next may gather before it is read; none: it is read when it comes. Whoever watches waits for it,
    /// unless there is no time for that, and the broadcast itself does, if it does not take this push.
    pub fn may_gather(&self) -> Option<Duration> {
        let live = self.push.broadcast.live();
        if !live.is_open_for(self.push.epoch) || live.sets_the_pace() {
            return None;
        }
        let pressed = self.server.pressure.gather();
        if live.is_awaited() { pressed } else { pressed.or(Some(GATHER)) }
    }

    /// The last media was the end of the sequence, and not longer ago than `time`.
    pub fn said_goodbye_within(&self, time: Duration) -> bool {
        self.ended_at.is_some_and(|at| at.elapsed() <= time)
    }

    /// A video tag body.
    pub async fn video(&mut self, time_ms: u32, body: Bytes) -> Result<(), AssemblyError> {
        let input = match parse_video(body) {
            Ok(Video::Config { codec, record }) => Input::VideoConfig { codec, record },
            Ok(Video::Frame { codec: _, composition_ms, nanos, keyframe, data }) => Input::Packet(Packet {
                track: TrackId::Video,
                time_ms,
                composition_ms,
                nanos,
                keyframe,
                data,
            }),
            Ok(Video::End) => Input::EndOfSequence,
            Ok(Video::Ignored) => return Ok(()),
            Err(error) => {
                self.fault(&error);
                return Ok(());
            }
        };
        self.take(input).await
    }

    /// An audio tag body.
    pub async fn audio(&mut self, time_ms: u32, body: Bytes) -> Result<(), AssemblyError> {
        let input = match parse_audio(body) {
            Ok(Audio::Config { codec, record }) => Input::AudioConfig { codec, config: record },
            Ok(Audio::Frame { codec: _, nanos, data }) => Input::Packet(Packet {
                track: TrackId::Audio,
                time_ms,
                composition_ms: 0,
                nanos,
                keyframe: false,
                data,
            }),
            Ok(Audio::End) => Input::EndOfSequence,
            Ok(Audio::Ignored) => return Ok(()),
            Err(error) => {
                self.fault(&error);
                return Ok(());
            }
        };
        self.take(input).await
    }

    /// Timed script data. What is too long to be told as an event is dropped.
    pub async fn data(&mut self, time_ms: u32, values: Bytes) -> Result<(), AssemblyError> {
        if values.len() > SCRIPT {
            return Ok(());
        }
        let packet = Packet {
            track: TrackId::Data,
            time_ms,
            composition_ms: 0,
            nanos: 0,
            keyframe: false,
            data: values,
        };
        self.take(Input::Packet(packet)).await
    }

    async fn take(&mut self, input: Input) -> Result<(), AssemblyError> {
        let now = unix_now();
        if matches!(input, Input::EndOfSequence) {
            self.ended_at = Some(Instant::now());
        } else if matches!(input, Input::Packet(_)) {
            self.ended_at = None;
            self.push.note_media(self.server.clock.now());
        }
        let arrival = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.assembler.push(input, arrival, &mut self.samples) {
            Ok(()) => {}
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => self.fault(&error),
        }
        if let Some(entry) = self.samples.iter().find(|sample| is_entry(sample)) {
            // Of sound alone every packet is a place to begin at.
            let lately = self.told_at.is_some_and(|at| at.elapsed() < TELL_AGAIN);
            let again = !lately || entry.packet.track == TrackId::Video;
            if again && !self.push.broadcast.live().is_open_for(self.push.epoch) {
                self.told_at = Some(Instant::now());
                self.push.keyframe().await;
            }
        }
        self.push.broadcast.live().push(self.push.epoch, self.samples.drain(..), UnixMillis(now.0));
        Ok(())
    }

    /// Something that is dropped while the session goes on.
    fn fault(&mut self, error: &dyn std::error::Error) {
        self.faults = self.faults.saturating_add(1);
        if self.faults <= LOGGED_FAULTS {
            tracing::warn!(%error, "the encoder sent something unusable");
        }
    }
}
