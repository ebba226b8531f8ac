//! Multivariant playlists (RFC 8216 §4.3.4): what a player may know of a stream before it asks for media.

use std::fmt::{self, Write};

use kaibo_media::{Span, Tracks};

/// Measured bit rates in bits per second, container included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The largest of any run of segments that lasts 0.5 to 1.5 target durations (RFC 8216 §4.1).
    pub peak: u64,
    /// The mean.
    pub average: u64,
}

impl Rates {
    /// Of consecutive segments, each given by its bytes and its duration.
    pub(crate) fn of(segments: impl Iterator<Item = (usize, Span)> + Clone, target_duration: u32) -> Self {
        let target = i64::from(target_duration) * 1000;
        let (shortest, longest) = (Span::from_millis(target / 2), Span::from_millis(target + target / 2));
        let mut peak = None;
        let mut rest = segments.clone();
        while rest.clone().next().is_some() {
            let (mut bytes, mut duration) = (0, Span::ZERO);
            for segment in rest.clone() {
                bytes += segment.0;
                duration += segment.1;
                if duration > longest {
                    break;
                }
                if duration >= shortest {
                    peak = peak.max(Some(rate(bytes, duration)));
                }
            }
            rest.next();
        }
        let (bytes, duration) = segments.fold((0, Span::ZERO), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let average = rate(bytes, duration);
        // No run is long enough yet: all there is is the best measure.
        Self { peak: peak.unwrap_or(average), average }
    }
}

fn rate(bytes: usize, duration: Span) -> u64 {
    let micros = duration.in_scale(1_000_000).max(1).unsigned_abs();
    // Rounded up: the peak is never understated.
    (bytes as u64).saturating_mul(8_000_000).div_ceil(micros)
}

/// One form in which a stream can be played.
#[derive(Clone, Copy, Debug)]
pub struct Variant<'a> {
    /// Its media playlist.
    pub uri: &'a str,
    /// Its decoder parameters.
    pub tracks: &'a Tracks,
    /// Its bit rates.
    pub rates: Rates,
}

/// A multivariant playlist with `variants` in their order: a player may begin with the first.
pub fn multivariant<'a>(variants: impl IntoIterator<Item = Variant<'a>>) -> String {
    let mut text = String::from("#EXTM3U\n");
    for variant in variants {
        // Writing into a `String` cannot fail.
        let _ = write(&mut text, variant);
    }
    text
}

fn write(out: &mut String, Variant { uri, tracks, rates }: Variant<'_>) -> fmt::Result {
    let video = tracks.video.as_ref();
    let codecs: Vec<&str> = video
        .map(|video| &*video.codecs)
        .into_iter()
        .chain(tracks.audio.as_ref().map(|audio| &*audio.codecs))
        .collect();
    write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={}", rates.peak, rates.average)?;
    write!(out, ",CODECS=\"{}\"", codecs.join(","))?;
    if let Some(video) = video {
        write!(out, ",RESOLUTION={}x{}", video.width, video.height)?;
        if let Some(frames) = video.frame_rate.filter(|frames| frames.is_finite() && *frames > 0.0) {
            write!(out, ",FRAME-RATE={frames:.3}")?;
        }
    }
    writeln!(out, "\n{uri}")
}
