//! Packets and sequence headers of one publish session to samples: which tracks are there, where the stream
//! begins, and which decoder parameters each packet needs.

mod opening;
#[cfg(test)]
mod tests;
mod video;

use std::sync::Arc;

use bytes::Bytes;

use self::{opening::Opening, video::VideoInput};
use crate::{
    AudioCodec, AudioTrack, CodecError, Input, NalError, Packet, Sample, TrackId, Tracks,
    packet::wire_distance,
};

/// How long the second track may be late before the stream begins without it, in ms of arrival time: an FLV header
/// that promises a track which never comes keeps players waiting for ever.
const SECOND_TRACK_MS: u64 = 1000;
/// How long media without a usable sequence header is waited for, in ms of arrival time.
const CONFIG_MS: u64 = 10_000;
/// How long a change of the tracks waits for a keyframe, in ms of arrival time: longer GOPs are broken anyway.
const CHANGE_MS: u64 = 10_000;
/// A track is gone once the other has advanced so far without it, in ms of media time.
const GONE_MS: i64 = 10_000;
/// Most that one packet counts towards [`GONE_MS`], in ms: a jump of the clock is no silence.
const STEP_MS: i64 = 1000;

/// Why something that a publisher sent is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssemblyError {
    /// A sequence header that cannot be used. It is ignored.
    #[error("{track:?} sequence header: {cause}")]
    Config {
        /// Its track.
        track: TrackId,
        /// What is wrong with it.
        cause: CodecError,
    },
    /// A frame that cannot be used. It is dropped.
    #[error("frame at {time_ms} ms: {cause}")]
    Frame {
        /// Its time on the wire.
        time_ms: u32,
        /// What is wrong with it.
        cause: NalError,
    },
    /// Media came for 10 s and no usable sequence header or parameter sets: nobody could play this.
    #[error("no decoder config for {track:?} in 10 s")]
    NoConfig {
        /// The track that lacks it.
        track: TrackId,
    },
}

impl AssemblyError {
    /// The publish session is to be closed.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::NoConfig { .. })
    }
}

/// Assembles the stream of one publish session. Has no clock: arrival times are arguments.
#[derive(Debug)]
pub struct Assembler {
    /// The tracks in force; before the stream begins those of the session before.
    tracks: Option<Arc<Tracks>>,
    video: VideoInput,
    audio_header: Option<(AudioCodec, Bytes)>,
    audio: Option<AudioTrack>,
    opening: Option<Opening>,
    /// Time of the first keyframe until audio has begun as well.
    began_at: Option<u32>,
    /// Arrival of the first packet that waits for a change of the tracks.
    change_since: Option<u64>,
    silence: [Silence; 2],
    ended: bool,
}

/// How far the other track has advanced since this one was heard of.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    last_ms: Option<u32>,
    lead_ms: i64,
}

impl Assembler {
    /// For a new publish session. `previous` are the tracks of the session before, if there was one: equal tracks
    /// keep their `Arc`, so that nothing seems to have changed.
    pub fn new(previous: Option<Arc<Tracks>>) -> Self {
        Self {
            tracks: previous,
            video: VideoInput::default(),
            audio_header: None,
            audio: None,
            opening: Some(Opening::default()),
            began_at: None,
            change_since: None,
            silence: [Silence::default(); 2],
            ended: false,
        }
    }

    /// The tracks in force, once the stream has begun; to be handed to the next session's [`Assembler::new`].
    pub fn tracks(&self) -> Option<&Arc<Tracks>> {
        self.tracks.as_ref().filter(|_| self.opening.is_none())
    }

    /// The last thing that the publisher sent was the end of its sequence.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes what arrived at `now_ms`, on a clock that does not go back, and appends what can be said now to
    /// `samples`. After an error that is not fatal the session goes on.
    pub fn push(
        &mut self,
        input: Input,
        now_ms: u64,
        samples: &mut Vec<Sample>,
    ) -> Result<(), AssemblyError> {
        self.ended = input == Input::EndOfSequence;
        match input {
            Input::VideoConfig { codec, record } => self
                .video
                .configure(codec, record)
                .map_err(|cause| AssemblyError::Config { track: TrackId::Video, cause }),
            Input::AudioConfig { codec, config } => self
                .configure_audio(codec, config)
                .map_err(|cause| AssemblyError::Config { track: TrackId::Audio, cause }),
            Input::Packet(packet) => self.take(packet, now_ms, samples),
            Input::EndOfSequence => Ok(()),
        }
    }

    fn configure_audio(&mut self, codec: AudioCodec, config: Bytes) -> Result<(), CodecError> {
        let header = Some((codec, config.clone()));
        if self.audio_header != header {
            self.audio_header = header;
            self.audio = Some(AudioTrack::from_config(codec, config)?);
        }
        Ok(())
    }

    fn take(&mut self, packet: Packet, now_ms: u64, samples: &mut Vec<Sample>) -> Result<(), AssemblyError> {
        if packet.data.is_empty() || (packet.track == TrackId::Video && packet.data.len() == 1) {
            return Ok(()); // an empty body marks silence, one of a single byte is what some drones send
        }
        if let Some(opening) = &mut self.opening {
            opening.note(packet.track, now_ms);
        }
        if let Some(packet) = self.usable(packet)? {
            match &mut self.opening {
                Some(_) => self.open(packet, now_ms, samples),
                None => self.follow(packet, now_ms, samples),
            }
        }
        self.check_config(now_ms)
    }

    /// The packet in one form, or none if it has no picture.
    fn usable(&mut self, packet: Packet) -> Result<Option<Packet>, AssemblyError> {
        if packet.track != TrackId::Video {
            return Ok(Some(packet));
        }
        let time_ms = packet.time_ms;
        self.video.frame(packet).map_err(|cause| AssemblyError::Frame { time_ms, cause })
    }

    /// Before the stream begins: with its first video keyframe and the first audio behind it, or with either if the
    /// other is not in sight.
    fn open(&mut self, packet: Packet, now_ms: u64, samples: &mut Vec<Sample>) {
        let Some(opening) = &mut self.opening else { return };
        match packet.track {
            TrackId::Video if opening.keyframe => opening.push(packet),
            TrackId::Video => {
                if packet.keyframe && self.video.track().is_some() {
                    opening.first_usable.get_or_insert(now_ms);
                    opening.begin_at(packet);
                }
            }
            TrackId::Audio => {
                if self.audio.is_some() {
                    opening.first_usable.get_or_insert(now_ms);
                    opening.audio = true;
                    opening.push(packet);
                }
            }
            TrackId::Data => opening.push(packet),
        }
        let waited =
            opening.first_usable.is_some_and(|first| now_ms.saturating_sub(first) >= SECOND_TRACK_MS);
        let decided = if opening.keyframe {
            opening.sounding || waited || opening.is_full()
        } else {
            opening.first_video.is_none() && opening.audio && waited
        };
        if decided {
            self.begin(now_ms, samples);
        }
    }

    /// Nobody could play a stream whose picture, or whose only sound, cannot be decoded.
    fn check_config(&self, now_ms: u64) -> Result<(), AssemblyError> {
        let Some(opening) = &self.opening else { return Ok(()) };
        let late = |first: Option<u64>| first.is_some_and(|first| now_ms.saturating_sub(first) >= CONFIG_MS);
        if late(opening.first_video) && self.video.track().is_none() {
            return Err(AssemblyError::NoConfig { track: TrackId::Video });
        }
        if late(opening.first_audio) && opening.first_video.is_none() && self.audio.is_none() {
            return Err(AssemblyError::NoConfig { track: TrackId::Audio });
        }
        Ok(())
    }

    fn begin(&mut self, now_ms: u64, samples: &mut Vec<Sample>) {
        let Some(opening) = self.opening.take() else { return };
        self.put_in_force(Tracks {
            video: self.video.track().filter(|_| opening.keyframe).cloned(),
            audio: self.audio.clone().filter(|_| opening.audio),
        });
        let (began_at, packets) = opening.into_packets();
        self.began_at = began_at;
        for packet in packets {
            self.follow(packet, now_ms, samples);
        }
    }

    /// Once the stream has begun.
    fn follow(&mut self, packet: Packet, now_ms: u64, samples: &mut Vec<Sample>) {
        let fits = match packet.track {
            TrackId::Video => self.video_fits(&packet),
            TrackId::Audio => self.audio_fits(&packet, now_ms),
            TrackId::Data => true,
        };
        if let Some(tracks) = self.tracks.as_ref().filter(|_| fits) {
            samples.push(Sample { tracks: tracks.clone(), packet });
        }
    }

    /// Whether the tracks in force fit a video packet. They change at keyframes.
    fn video_fits(&mut self, packet: &Packet) -> bool {
        self.hear(packet);
        if packet.keyframe {
            let audio = self.audio.clone().filter(|_| self.audio_lives());
            self.put_in_force(Tracks { video: self.video.track().cloned(), audio });
        }
        self.tracks.as_ref().is_some_and(|tracks| tracks.video.is_some())
    }

    /// Whether the tracks in force fit an audio packet. Where there is video, audio that is new or has changed
    /// begins at the next keyframe, where viewers can begin too.
    fn audio_fits(&mut self, packet: &Packet, now_ms: u64) -> bool {
        let Some(audio) = self.audio.clone() else { return false };
        if let Some(began_at) = self.began_at {
            if opening::is_older(began_at, packet.time_ms) {
                return false;
            }
            self.began_at = None;
        }
        self.hear(packet);
        let Some(tracks) = self.tracks.clone() else { return false };
        let video = tracks.video.clone().filter(|_| !self.is_gone(TrackId::Video));
        if tracks.audio.as_ref() == Some(&audio) && video.is_some() == tracks.video.is_some() {
            return true;
        }
        let waiting_since = *self.change_since.get_or_insert(now_ms);
        if video.is_some() && now_ms.saturating_sub(waiting_since) < CHANGE_MS {
            return false;
        }
        self.put_in_force(Tracks { video, audio: Some(audio) });
        true
    }

    fn put_in_force(&mut self, tracks: Tracks) {
        self.change_since = None;
        if self.tracks.as_deref() != Some(&tracks) {
            self.tracks = Some(Arc::new(tracks));
        }
    }

    fn hear(&mut self, packet: &Packet) {
        let [video, audio] = &mut self.silence;
        let (own, other) = if packet.track == TrackId::Video { (video, audio) } else { (audio, video) };
        let step = own.last_ms.map_or(0, |last| wire_distance(last, packet.time_ms));
        own.last_ms = Some(packet.time_ms);
        own.lead_ms = 0;
        other.lead_ms += step.clamp(0, STEP_MS);
    }

    fn is_gone(&self, track: TrackId) -> bool {
        let [video, audio] = &self.silence;
        let silence = if track == TrackId::Video { video } else { audio };
        silence.lead_ms >= GONE_MS
    }

    /// Audio is part of the stream or wants to be.
    fn audio_lives(&self) -> bool {
        let in_force = self.tracks.as_ref().is_some_and(|tracks| tracks.audio.is_some());
        (in_force || self.change_since.is_some()) && !self.is_gone(TrackId::Audio)
    }
}
