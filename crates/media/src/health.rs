//! How a push is doing, for those who look at it: rates, GOP, drift, and what is wrong with it.

use std::{collections::VecDeque, fmt};

use crate::{Frame, Repairs, Run, Span, Timestamp, TrackId, UnixMillis};

/// Whole seconds that rates are averaged over: long enough for one GOP, short enough to show a change.
const SECONDS: usize = 10;
/// Longest GOP that players join quickly, in seconds.
const LONG_GOP: f64 = 4.0;
/// Skew of sound against the picture that viewers notice, in ms (ITU-R BT.1359).
const NOTICEABLE_SKEW_MS: i64 = 185;
/// Share of a new value in the averaged skew: 1 / 64, about a second and a half of audio.
const SKEW_SMOOTHING: i64 = 64;

/// Gathers what frames tell. A few additions per frame, and no more memory than [`SECONDS`] need.
#[derive(Debug, Default)]
pub struct Health {
    /// Oldest first; the last one is still being counted.
    seconds: VecDeque<Second>,
    run: Option<Run>,
    video: Option<Timestamp>,
    /// Presentation time of the last picture.
    shown: Timestamp,
    audio: Option<Timestamp>,
    keyframe: Option<(Timestamp, UnixMillis)>,
    gop: Option<Span>,
    reordered: bool,
    /// Smoothed distance of audio from video as they arrive, times [`SKEW_SMOOTHING`], in ms.
    skew: Option<i64>,
    /// The same when the run had settled.
    first_skew: Option<i64>,
    skews: u32,
}

/// What arrived in one second of the wall clock.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: i64,
    pictures: u32,
    bytes: u64,
}

/// The state of a push.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthReport {
    /// Pictures per second.
    pub fps: f64,
    /// Bits of media per second.
    pub bitrate: u64,
    /// Distance of the last two keyframes in seconds.
    pub gop_seconds: Option<f64>,
    /// How far audio has moved against video since the run began, in ms; positive if it comes later.
    pub av_drift_ms: Option<i64>,
    /// Time since the last keyframe arrived, in ms.
    pub keyframe_age_ms: Option<i64>,
    /// What a streamer should look at.
    pub warnings: Vec<Warning>,
}

/// Something that a streamer should look at. Shown as a sentence by `Display`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// Viewers wait for a keyframe when they join.
    LongGop {
        /// Distance of keyframes in seconds.
        seconds: f64,
    },
    /// Time did not rise and was repaired.
    NonMonotonic {
        /// Frames repaired since the broadcast began.
        frames: u64,
    },
    /// Time jumped and was joined again.
    Jumps {
        /// Jumps since the broadcast began.
        count: u64,
    },
    /// Presentation came before decoding or was out of all bounds.
    Composition {
        /// Repairs since the broadcast began.
        frames: u64,
    },
    /// Pictures are reordered: a little more delay.
    BFrames,
    /// Sound and picture come apart.
    Drift {
        /// Drift in ms, positive if audio comes later.
        ms: i64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongGop { seconds } => {
                write!(f, "GOP longer than {LONG_GOP} s ({seconds:.1} s): set the keyframe interval to 2 s")
            }
            Self::NonMonotonic { frames } => write!(f, "non-monotonic input repaired in {frames} frames"),
            Self::Jumps { count } => write!(f, "the encoder's clock jumped {count} times"),
            Self::Composition { frames } => {
                write!(f, "unusable composition times repaired in {frames} frames")
            }
            Self::BFrames => write!(f, "B-frames: switch them off for the shortest delay"),
            Self::Drift { ms } => write!(f, "audio has drifted by {ms} ms against video"),
        }
    }
}

impl Health {
    /// Nothing has arrived yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a frame that arrived at `now`.
    pub fn record(&mut self, frame: &Frame, now: UnixMillis) {
        if self.run.is_none_or(|run| run.number != frame.run.number) {
            *self =
                Self { seconds: std::mem::take(&mut self.seconds), run: Some(frame.run), ..Self::default() };
        }
        self.count(frame, now);
        match frame.track {
            TrackId::Video => {
                self.reordered |= frame.pts() < self.shown;
                self.shown = frame.pts();
                self.video = Some(frame.dts);
                if frame.keyframe {
                    self.gop = self.keyframe.map(|(last, _)| frame.dts - last).or(self.gop);
                    self.keyframe = Some((frame.dts, now));
                }
            }
            TrackId::Audio => {
                self.audio = Some(frame.dts);
                self.compare();
            }
            TrackId::Data => {}
        }
    }

    fn count(&mut self, frame: &Frame, now: UnixMillis) {
        let at = now.0.div_euclid(1000);
        // A wall clock that goes back goes on counting in the second that it left.
        if self.seconds.back().is_none_or(|last| at > last.at) {
            self.seconds.push_back(Second { at, ..Second::default() });
            if self.seconds.len() > SECONDS + 1 {
                self.seconds.pop_front();
            }
        }
        if let Some(second) = self.seconds.back_mut() {
            second.pictures += u32::from(frame.track == TrackId::Video);
            second.bytes += frame.data.len() as u64;
        }
    }

    fn compare(&mut self) {
        let Some((audio, video)) = self.audio.zip(self.video) else { return };
        let distance = (audio - video).as_millis();
        let skew = self.skew.get_or_insert(distance * SKEW_SMOOTHING);
        *skew += distance - *skew / SKEW_SMOOTHING;
        self.skews = self.skews.saturating_add(1);
        if i64::from(self.skews) == 4 * SKEW_SMOOTHING {
            self.first_skew = Some(*skew);
        }
    }

    /// The state at `now`; `repairs` are those of the broadcast's timeline.
    pub fn snapshot(&self, now: UnixMillis, repairs: Repairs) -> HealthReport {
        let current = now.0.div_euclid(1000);
        let oldest = current - SECONDS as i64;
        let whole = || self.seconds.iter().filter(|second| (oldest..current).contains(&second.at));
        // A push of less than SECONDS is averaged over the time that it has had.
        let began = whole().map(|second| second.at).min().unwrap_or(current);
        let seconds = (current - began).max(1) as u64;
        let pictures: u32 = whole().map(|second| second.pictures).sum();
        let bytes: u64 = whole().map(|second| second.bytes).sum();
        let gop = self.gop.map(Span::as_secs_f64);
        let drift = self.skew.zip(self.first_skew).map(|(skew, first)| (skew - first) / SKEW_SMOOTHING);
        HealthReport {
            fps: f64::from(pictures) / seconds as f64,
            bitrate: bytes * 8 / seconds,
            gop_seconds: gop,
            av_drift_ms: drift,
            keyframe_age_ms: self.keyframe.map(|(_, arrived)| now.0.saturating_sub(arrived.0).max(0)),
            warnings: self.warnings(repairs, drift),
        }
    }

    fn warnings(&self, repairs: Repairs, drift: Option<i64>) -> Vec<Warning> {
        // A GOP that has not ended yet is long already.
        let open = self.keyframe.zip(self.video).map(|((keyframe, _), last)| last - keyframe);
        let seconds = self.gop.max(open).map_or(0.0, Span::as_secs_f64);
        let jumps = repairs.rejoined + repairs.restarted;
        let drift = drift.unwrap_or_default();
        let found = [
            (seconds > LONG_GOP).then_some(Warning::LongGop { seconds }),
            (repairs.clamped > 0).then_some(Warning::NonMonotonic { frames: repairs.clamped }),
            (jumps > 0).then_some(Warning::Jumps { count: jumps }),
            (repairs.composition > 0).then_some(Warning::Composition { frames: repairs.composition }),
            self.reordered.then_some(Warning::BFrames),
            (drift.abs() > NOTICEABLE_SKEW_MS).then_some(Warning::Drift { ms: drift }),
        ];
        found.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::Tracks;

    fn frame(track: TrackId, dts: i64, pts_offset: i64, keyframe: bool) -> Frame {
        Frame {
            tracks: Arc::new(Tracks::default()),
            run: Run::default(),
            track,
            dts: Timestamp::from_millis(dts),
            pts_offset: Span::from_millis(pts_offset),
            keyframe,
            filler: false,
            data: Bytes::from_static(&[0; 1000]),
        }
    }

    /// 25 pictures of 1000 bytes per second and as many sounds, which come to lie `drift` per mille later.
    fn push(health: &mut Health, seconds: i64, gop: i64, drift: i64) {
        for time in (0..seconds * 1000).step_by(40) {
            let keyframe = time % (gop * 1000) == 0;
            health.record(&frame(TrackId::Video, time, 0, keyframe), UnixMillis(5000 + time));
            health.record(
                &frame(TrackId::Audio, time + time * drift / 1000, 0, false),
                UnixMillis(5000 + time),
            );
        }
    }

    #[test]
    fn a_healthy_push_shows_its_rates_and_no_warning() {
        let mut health = Health::new();
        push(&mut health, 30, 2, 0);
        let report = health.snapshot(UnixMillis(35_000), Repairs::default());
        assert_eq!((report.fps, report.bitrate, report.gop_seconds), (25.0, 400_000, Some(2.0)));
        assert_eq!(
            (report.av_drift_ms, report.keyframe_age_ms, report.warnings),
            (Some(0), Some(2000), vec![])
        );
        assert!(health.seconds.len() <= SECONDS + 1);
    }

    #[test]
    fn rates_are_right_after_three_seconds_and_fall_to_nothing_when_media_stops() {
        let mut health = Health::new();
        push(&mut health, 3, 2, 0);
        assert_eq!(health.snapshot(UnixMillis(8000), Repairs::default()).fps, 25.0);
        assert_eq!(health.snapshot(UnixMillis(60_000), Repairs::default()).fps, 0.0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut health = Health::new();
        push(&mut health, 60, 7, 10);
        health.record(&frame(TrackId::Video, 60_000, 80, false), UnixMillis(65_000));
        health.record(&frame(TrackId::Video, 60_040, 0, false), UnixMillis(65_040));
        let repairs = Repairs { clamped: 3, composition: 2, rejoined: 1, restarted: 0 };
        let report = health.snapshot(UnixMillis(66_000), repairs);
        let said: Vec<_> = report.warnings.iter().map(Warning::to_string).collect();
        assert!(said[0].starts_with("GOP longer than 4 s (7.0 s)"), "{said:?}");
        assert_eq!(said[1], "non-monotonic input repaired in 3 frames");
        assert_eq!(said[2], "the encoder's clock jumped 1 times");
        assert!(
            matches!(report.warnings[4..], [Warning::BFrames, Warning::Drift { ms: 400..600 }]),
            "{said:?}"
        );
    }

    #[test]
    fn a_gop_that_does_not_end_is_long_already() {
        let mut health = Health::new();
        push(&mut health, 20, 3600, 0);
        let report = health.snapshot(UnixMillis(25_000), Repairs::default());
        assert!(matches!(report.warnings[..], [Warning::LongGop { seconds: 19.0..20.0 }]));
    }
}
