//! What a publish session has sent before it is decided which tracks its stream has.

use std::collections::VecDeque;

use crate::{Packet, TrackId, packet::wire_distance};

/// Packets held at most: 1 s of 60 pictures and 50 sounds, ten times over.
const MAX_PACKETS: usize = 1100;
/// Bytes held at most: 1 s at 50 Mbit/s and one largest message of 8 MiB.
const MAX_BYTES: usize = 16 << 20;

/// Audio that is late by more than this at the start does not share the video's clock, in ms of media time.
const LATE_MS: i64 = 3000;

/// The queue in front of the first keyframe, or behind it while another track may still come.
#[derive(Debug, Default)]
pub(super) struct Opening {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// Arrival of the first video, usable or not, in ms.
    pub first_video: Option<u64>,
    /// Arrival of the first audio, usable or not, in ms.
    pub first_audio: Option<u64>,
    /// Arrival of the first media that could be played, in ms.
    pub first_usable: Option<u64>,
    /// Audio came that can be played.
    pub audio: bool,
    /// Some of it is waiting that belongs to the keyframe or to what follows: where the sound begins is known.
    pub sounding: bool,
    /// The front is a video keyframe.
    pub keyframe: bool,
}

impl Opening {
    pub(super) fn note(&mut self, track: TrackId, now_ms: u64) {
        match track {
            TrackId::Video => self.first_video.get_or_insert(now_ms),
            TrackId::Audio => self.first_audio.get_or_insert(now_ms),
            TrackId::Data => return,
        };
    }

    /// Takes the first video keyframe, where the stream begins: what is older goes, what ran ahead follows.
    pub(super) fn begin_at(&mut self, keyframe: Packet) {
        self.packets.retain(|packet| wire_distance(keyframe.time_ms, packet.time_ms) >= 0);
        self.bytes = self.packets.iter().map(|packet| packet.data.len()).sum::<usize>() + keyframe.data.len();
        self.packets.push_front(keyframe);
        self.keyframe = true;
        self.sounding = self.packets.iter().any(|packet| packet.track == TrackId::Audio);
    }

    pub(super) fn push(&mut self, packet: Packet) {
        self.bytes += packet.data.len();
        self.sounding |= packet.track == TrackId::Audio
            && self.keyframe_ms().is_some_and(|began_at| !is_older(began_at, packet.time_ms));
        self.packets.push_back(packet);
        // Without a keyframe the oldest sound is of no use: it would be dropped at the keyframe.
        while !self.keyframe && self.is_full() {
            let dropped = self.packets.pop_front();
            self.bytes -= dropped.map_or(self.bytes, |packet| packet.data.len());
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.packets.len() > MAX_PACKETS || self.bytes > MAX_BYTES
    }

    /// The queued packets, and the time of the keyframe among them.
    pub(super) fn into_packets(self) -> (Option<u32>, VecDeque<Packet>) {
        (self.keyframe_ms(), self.packets)
    }

    fn keyframe_ms(&self) -> Option<u32> {
        let keyframe = self.packets.front().filter(|front| front.track == TrackId::Video);
        keyframe.map(|keyframe| keyframe.time_ms)
    }
}

/// Audio at `time_ms` is older than the first picture, at `began_at`.
pub(super) fn is_older(began_at: u32, time_ms: u32) -> bool {
    (-LATE_MS..0).contains(&wire_distance(began_at, time_ms))
}
