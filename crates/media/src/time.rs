//! Media time, counted in flicks: 1/705,600,000 s (<https://github.com/OculusVR/Flicks>).
//!
//! A flick divides 1 ms, 1/90,000 s and the sample period of every AAC and Opus rate exactly, so times convert
//! between RTMP's milliseconds, the 90 kHz clock of video and the audio sample clock without rounding, and
//! nothing drifts however long a broadcast runs. 63 bits of flicks are 414 years.

use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

const FLICKS_PER_SECOND: i64 = 705_600_000;
const FLICKS_PER_MILLI: i64 = FLICKS_PER_SECOND / 1000;

/// A point on the media timeline of one broadcast; zero is where the broadcast began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A signed stretch of media time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

/// Wall-clock time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl Timestamp {
    /// Where a broadcast's timeline begins.
    pub const ZERO: Self = Self(0);

    /// Behind everything: 414 years.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(FLICKS_PER_MILLI))
    }

    /// Whole milliseconds, rounded to the nearest.
    pub const fn as_millis(self) -> i64 {
        Span(self.0).as_millis()
    }

    /// In ticks of `scale` per second, rounded to the nearest.
    pub const fn in_scale(self, scale: u32) -> i64 {
        Span(self.0).in_scale(scale)
    }

    /// From ticks of `scale` per second.
    pub const fn from_scale(ticks: i64, scale: u32) -> Self {
        Self(Span::from_scale(ticks, scale).0)
    }

    /// The stretch since [`Timestamp::ZERO`].
    pub const fn since_zero(self) -> Span {
        Span(self.0)
    }
}

impl Span {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(FLICKS_PER_MILLI))
    }

    /// From ticks of `scale` per second (e.g. samples and the sample rate); zero when `scale` is zero.
    pub const fn from_scale(ticks: i64, scale: u32) -> Self {
        Self(scaled(ticks, FLICKS_PER_SECOND, scale as i64))
    }

    /// Whole milliseconds, rounded to the nearest.
    pub const fn as_millis(self) -> i64 {
        self.in_scale(1000)
    }

    /// In ticks of `scale` per second, rounded to the nearest.
    pub const fn in_scale(self, scale: u32) -> i64 {
        scaled(self.0, scale as i64, FLICKS_PER_SECOND)
    }

    /// Seconds, for ratios and display; never to be added up.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / FLICKS_PER_SECOND as f64
    }

    /// The distance to zero.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

/// `value * numerator / denominator`, rounded to the nearest, saturating.
const fn scaled(value: i64, numerator: i64, denominator: i64) -> i64 {
    if denominator == 0 {
        return 0;
    }
    let product = value as i128 * numerator as i128;
    let half = (denominator / 2) as i128;
    let rounded = (if product < 0 { product - half } else { product + half }) / denominator as i128;
    if rounded > i64::MAX as i128 {
        i64::MAX
    } else if rounded < i64::MIN as i128 {
        i64::MIN
    } else {
        rounded as i64
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl AddAssign<Span> for Timestamp {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Span {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for Span {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl std::iter::Sum for Span {
    fn sum<I: Iterator<Item = Self>>(spans: I) -> Self {
        spans.fold(Self::ZERO, Add::add)
    }
}

impl Add<Span> for UnixMillis {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_of_the_field_converts_exactly() {
        for scale in [
            1000, 90_000, 7350, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000,
            88_200, 96_000,
        ] {
            let day = i64::from(scale) * 86_400 + 1;
            assert_eq!(Span::from_scale(day, scale).in_scale(scale), day, "{scale}");
            assert_eq!(FLICKS_PER_SECOND % i64::from(scale), 0, "{scale}");
        }
    }

    #[test]
    fn rounds_to_the_nearest_on_both_sides_of_zero() {
        assert_eq!(Span::from_scale(1024, 44_100).as_millis(), 23);
        assert_eq!(Span::from_scale(-1024, 44_100).as_millis(), -23);
        assert_eq!(Span::from_scale(1, 0), Span::ZERO);
    }
}
