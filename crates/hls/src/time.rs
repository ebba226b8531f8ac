//! Times as a playlist writes them.

use std::fmt;

use kaibo_media::{Span, UnixMillis};

const MICROS: u32 = 1_000_000;

/// Seconds with six decimals: half a microsecond of error per segment is 11 ms in 12 hours of 2 s segments, so that
/// however many add up to the real duration within a video frame (Apple 8.1).
///
/// A duration just short of half a second is not rounded up to it, for that would round to one second more than the
/// duration does, and perhaps above the target duration (RFC 8216 §4.3.3.1).
pub(crate) fn seconds(duration: Span) -> impl fmt::Display {
    let nearest = duration.in_scale(MICROS);
    let reaches_half =
        nearest.rem_euclid(1_000_000) == 500_000 && Span::from_scale(nearest, MICROS) > duration;
    let micros = nearest.max(0) - i64::from(reaches_half);
    fmt::from_fn(move |f| write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000))
}

/// RFC 3339 in UTC with milliseconds, as `EXT-X-PROGRAM-DATE-TIME` has it.
pub(crate) fn date_time(wall: UnixMillis) -> impl fmt::Display {
    let (days, millis) = (wall.0.div_euclid(86_400_000), wall.0.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    let milli = millis % 1000;
    fmt::from_fn(move |f| {
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    })
}

/// The Gregorian date of a day counted from 1970-01-01. Years begin in March here, so that the leap day is a year's
/// last; 400 years are an era of 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The months from March on have 31, 30, 31, 30, 31 days, again and again: 153 in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_795_296_420_123, "2026-11-21T21:27:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(date_time(UnixMillis(millis)).to_string(), text);
        }
        // Far away from any clock, but no panic.
        for millis in [i64::MIN, i64::MAX] {
            date_time(UnixMillis(millis)).to_string();
        }
    }

    #[test]
    fn every_day_of_eight_hundred_years_follows_the_one_before() {
        let mut before = date(-200_000);
        for days in -199_999..100_000 {
            let (year, month, day) = date(days);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match before.1 {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match before {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == last => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!((year, month, day), expected);
            before = (year, month, day);
        }
    }

    #[test]
    fn a_duration_is_never_rounded_up_to_half_a_second() {
        for (ticks, scale, text) in [
            (2, 1, "2.000000"),
            (60_060, 30_000, "2.002000"),
            (88_064, 44_100, "1.996916"),
            (705_599_999, 705_600_000, "1.000000"),
            (352_799_999, 705_600_000, "0.499999"),
            (352_800_000, 705_600_000, "0.500000"),
            (-5, 1, "0.000000"),
        ] {
            assert_eq!(seconds(Span::from_scale(ticks, scale)).to_string(), text);
        }
    }
}
