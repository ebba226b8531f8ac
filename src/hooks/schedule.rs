//! When a delivery is tried again.

use std::time::Duration;

use crate::config::WebhookFormat;

const HOUR: u64 = 3600;

/// Seconds before each attempt after the first: the schedule of the Standard Webhooks specification, 75 hours.
const DAYS: [u64; 9] = [5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// Tencent's callbacks are repeated every minute, twelve times.
const TENCENT_REPEATS: usize = 12;
const TENCENT_PAUSE: Duration = Duration::from_secs(60);

/// The longest that a receiver may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * HOUR);

/// How long to wait after the attempt number `failed`, counted from 1. None: that was the last one. `asked` is the
/// receiver's own wish (`Retry-After`); it can make the pause longer, never shorter.
pub fn pause(format: WebhookFormat, failed: u32, asked: Option<Duration>) -> Option<Duration> {
    let repeat = usize::try_from(failed).unwrap_or(usize::MAX).saturating_sub(1);
    let pause = match format {
        WebhookFormat::Kaibo => Duration::from_secs(*DAYS.get(repeat)?),
        WebhookFormat::Tencent if repeat < TENCENT_REPEATS => TENCENT_PAUSE,
        WebhookFormat::Tencent => return None,
    };
    Some(pause.max(asked.unwrap_or_default().min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(format: WebhookFormat) -> Vec<u64> {
        (1..).map_while(|failed| pause(format, failed, None)).map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn a_delivery_is_retried_for_three_days() {
        let pauses = all(WebhookFormat::Kaibo);
        assert_eq!(pauses, [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert_eq!(pauses.iter().sum::<u64>() / HOUR, 75);
    }

    #[test]
    fn tencents_receivers_are_told_thirteen_times_at_the_most() {
        assert_eq!(all(WebhookFormat::Tencent), [60; 12]);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause() {
        let asked = |failed, seconds| pause(WebhookFormat::Kaibo, failed, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(1, 90), Some(Duration::from_secs(90)));
        assert_eq!(asked(2, 90), Some(Duration::from_secs(300)), "not for a shorter one");
        assert_eq!(asked(1, u64::MAX), Some(LONGEST_WAIT), "nor for ever");
        assert_eq!(asked(10, 90), None, "nor for more attempts");
    }
}
