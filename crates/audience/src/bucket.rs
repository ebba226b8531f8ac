//! What is counted.

use std::{collections::BTreeMap, ops::AddAssign, time::Duration};

use kaibo_broadcast::Millis;
use serde::{Deserialize, Serialize};

/// What somebody watches of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Its preview, or a page that waits for its start.
    Before,
    /// The broadcast itself, also a little behind or after its end.
    During,
    /// Its replay, and what was cut out of it.
    After,
}

impl Phase {
    /// In their order.
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];

    /// As it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }

    /// The phase called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// How long its buckets are. 12 h of a broadcast make 360 of them; waiting and replays go on for months, and make 24
    /// a day.
    pub const fn bucket(self) -> Duration {
        match self {
            Self::During => Duration::from_secs(120),
            Self::Before | Self::After => Duration::from_secs(3600),
        }
    }

    /// The beginning of the bucket that `at` falls into: buckets are cut by the clock, so those of several broadcasts can
    /// be laid over each other.
    pub fn bucket_at(self, at: Millis) -> Millis {
        let length = i64::try_from(self.bucket().as_millis()).unwrap_or(i64::MAX);
        Millis(at.0.saturating_sub(at.0.rem_euclid(length)))
    }

    /// `buckets` put together by the clock, oldest first: each begins where [`Phase::bucket_at`] says.
    pub fn by_the_clock(self, buckets: impl IntoIterator<Item = Bucket>) -> Vec<Bucket> {
        let mut by_start: BTreeMap<Millis, Bucket> = BTreeMap::new();
        for bucket in buckets {
            let start = self.bucket_at(bucket.start);
            by_start.entry(start).or_insert(Bucket { start, ..Bucket::default() }).join(&bucket);
        }
        by_start.into_values().collect()
    }
}

/// How bytes went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP-FLV.
    Flv,
    /// FLV in a WebSocket.
    WsFlv,
    /// RTMP play.
    Rtmp,
    /// HLS in every form, live or as a replay.
    Hls,
    /// A replay, or what was cut out of one, as one file.
    Mp4,
}

/// Bytes that were handed to viewers' sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sent {
    /// By HTTP-FLV.
    pub flv: u64,
    /// By FLV in WebSockets.
    pub ws_flv: u64,
    /// By RTMP.
    pub rtmp: u64,
    /// By HLS: playlists and media.
    pub hls: u64,
    /// As MP4 files.
    pub mp4: u64,
}

impl Sent {
    /// Counts `bytes` more.
    pub fn add(&mut self, protocol: Protocol, bytes: u64) {
        let sent = match protocol {
            Protocol::Flv => &mut self.flv,
            Protocol::WsFlv => &mut self.ws_flv,
            Protocol::Rtmp => &mut self.rtmp,
            Protocol::Hls => &mut self.hls,
            Protocol::Mp4 => &mut self.mp4,
        };
        *sent = sent.saturating_add(bytes);
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        [self.flv, self.ws_flv, self.rtmp, self.hls, self.mp4].into_iter().fold(0, u64::saturating_add)
    }
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.add(Protocol::Flv, other.flv);
        self.add(Protocol::WsFlv, other.ws_flv);
        self.add(Protocol::Rtmp, other.rtmp);
        self.add(Protocol::Hls, other.hls);
        self.add(Protocol::Mp4, other.mp4);
    }
}

/// What was counted from `start` to the end of the bucket by the clock ([`Phase::bucket_at`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// When counting began: within the bucket, where there was nobody before.
    pub start: Millis,
    /// Views that began.
    pub joins: u64,
    /// Views that ended.
    pub leaves: u64,
    /// Milliseconds that all viewers together have watched.
    pub watched_ms: u64,
    /// The most viewers at the same time.
    pub peak: u64,
    /// When there were so many for the first time.
    pub peak_at: Millis,
    /// What was sent to them.
    pub sent: Sent,
}

impl Bucket {
    /// The later of two states of the same bucket: nothing in it ever becomes less.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        let progress = |bucket: &Self| (bucket.watched_ms, bucket.joins, bucket.leaves, bucket.sent.total());
        if progress(&other) > progress(&self) { other } else { self }
    }

    /// Takes in another stretch of the same bucket by the clock: a server that starts anew counts anew.
    pub fn join(&mut self, other: &Self) {
        if other.peak > self.peak {
            (self.peak, self.peak_at) = (other.peak, other.peak_at);
        }
        self.joins = self.joins.saturating_add(other.joins);
        self.leaves = self.leaves.saturating_add(other.leaves);
        self.watched_ms = self.watched_ms.saturating_add(other.watched_ms);
        self.sent += other.sent;
    }
}

/// Several buckets in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total(pub Bucket);

impl Total {
    /// Of `buckets`; of the highest peaks, the first.
    pub fn of<'b>(buckets: impl IntoIterator<Item = &'b Bucket>) -> Self {
        let mut total = Bucket::default();
        buckets.into_iter().for_each(|bucket| total.join(bucket));
        Self(total)
    }

    /// Views that began. Whoever went away and came back is two.
    pub fn views(&self) -> u64 {
        self.0.joins
    }

    /// Milliseconds of a view, those that go on included.
    pub fn average_ms(&self) -> u64 {
        self.0.watched_ms.checked_div(self.0.joins).unwrap_or(0)
    }
}
