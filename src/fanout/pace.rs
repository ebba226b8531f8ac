//! When a shard looks at what is new.

use std::time::Duration;

use tokio::time::Instant;

/// How long frames may gather, the round that writes them included.
const GATHER: Duration = Duration::from_millis(50);

/// The shortest rest that the clock can keep.
const SHORTEST: Duration = Duration::from_millis(1);

/// Leaves half of a core to others for as long as frames may gather instead: a shard whose rounds follow each other rests
/// as long as each took. One that has time to spare never does, however its frames come.
pub struct Pace {
    /// Time to spare that it may use up before it rests.
    credit: Duration,
    /// When the last round and the rest behind it were over, or the present one began.
    since: Instant,
}

impl Pace {
    /// Nothing was done yet.
    pub fn new(now: Instant) -> Self {
        Self { credit: GATHER, since: now }
    }

    /// A round begins.
    pub fn begin(&mut self, now: Instant) {
        self.credit = GATHER.min(self.credit + now.saturating_duration_since(self.since));
        self.since = now;
    }

    /// The round is over; how long to rest before the next one.
    pub fn end(&mut self, now: Instant) -> Duration {
        let took = now.saturating_duration_since(self.since);
        let owed = took.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(took);
        let rest = owed.min(GATHER.saturating_sub(took));
        let rest = if rest < SHORTEST { Duration::ZERO } else { rest };
        self.since = now + rest;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Rests of rounds that take `took` each, where something new is there `idle` behind each.
    fn rests(took: Duration, idle: Duration) -> Vec<Duration> {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let round = |_| {
            pace.begin(now);
            let rest = pace.end(now + took);
            now += took + rest.max(idle);
            rest
        };
        (0..20).map(round).collect()
    }

    #[test]
    fn a_shard_with_time_to_spare_writes_what_comes_when_it_comes() {
        assert!(rests(4 * MS, 10 * MS).iter().all(Duration::is_zero));
    }

    #[test]
    fn a_burst_is_no_load() {
        assert_eq!(rests(5 * MS, Duration::ZERO)[..10], [Duration::ZERO; 10]);
    }

    #[test]
    fn a_busy_shard_rests_as_long_as_it_works() {
        assert_eq!(rests(10 * MS, 2 * MS)[10..], [10 * MS; 10]);
    }

    #[test]
    fn nothing_gathers_for_longer_than_it_may() {
        assert_eq!(rests(40 * MS, Duration::ZERO)[10..], [10 * MS; 10]);
        assert!(rests(60 * MS, Duration::ZERO).iter().all(Duration::is_zero));
    }
}
