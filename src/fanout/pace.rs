//! When a shard looks at what is new.

use std::time::Duration;

use tokio::time::Instant;

/// How long frames may gather, the round that writes them included.
const GATHER: Duration = Duration::from_millis(50);

/// The shortest rest that the clock can keep.
const SHORTEST: Duration = Duration::from_millis(1);

/// Keeps cores from being busy for more than half of the time, for as long as frames may gather instead: a shard whose
/// core is rests between its rounds, as long as it takes more than half of the core itself, or more than a quarter of one
/// that others (publishers above all) keep busy too. One that has time to spare never does, however its frames come.
pub struct Pace {
    /// Half of the core is its own.
    own_half: Budget,
    /// A quarter is, whatever others do.
    own_quarter: Budget,
    /// Half is what all that happens on it may take.
    all_half: Budget,
    /// When the last round was over, and when the present one began.
    ended: Instant,
    began: Instant,
    /// How long the core had been busy when the last round was over.
    busy: Duration,
}

impl Pace {
    /// Nothing was done yet by a core that has been `busy` for so long.
    pub fn new(now: Instant, busy: Duration) -> Self {
        let [own_half, own_quarter, all_half] = [Budget::new(2), Budget::new(4), Budget::new(2)];
        Self { own_half, own_quarter, all_half, ended: now, began: now, busy }
    }

    /// A round begins.
    pub fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// The round is over, and the core has been `busy` for so long by now; how long to rest before the next one.
    pub fn end(&mut self, now: Instant, busy: Duration) -> Duration {
        let took = now.saturating_duration_since(self.began);
        let passed = now.saturating_duration_since(self.ended);
        self.own_half.spend(took, passed);
        self.own_quarter.spend(took, passed);
        self.all_half.spend(busy.saturating_sub(self.busy), passed);
        (self.ended, self.busy) = (now, busy);
        let owed = self.own_half.debt().max(self.own_quarter.debt().min(self.all_half.debt()));
        let rest = owed.min(GATHER.saturating_sub(took));
        if rest < SHORTEST { Duration::ZERO } else { rest }
    }
}

/// One part in so many of the time. What was not used up lately is there for a burst, what was used beyond it is owed: both
/// up to [`GATHER`].
struct Budget {
    parts: i64,
    /// Nanoseconds of the time that passes; negative if they are owed.
    left: i64,
}

impl Budget {
    fn new(parts: i64) -> Self {
        Self { parts, left: nanos(GATHER) }
    }

    /// So much was used in the time that has passed.
    fn spend(&mut self, used: Duration, passed: Duration) {
        let change = nanos(passed).saturating_sub(nanos(used).saturating_mul(self.parts));
        self.left = self.left.saturating_add(change).clamp(-nanos(GATHER), nanos(GATHER));
    }

    /// Without any more use it is paid after this time.
    fn debt(&self) -> Duration {
        Duration::from_nanos(self.left.min(0).unsigned_abs())
    }
}

fn nanos(span: Duration) -> i64 {
    span.as_nanos().try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Rests of rounds that take `took` each, where something new is there `idle` behind each, and others keep the core
    /// busy for so many hundredths of the time.
    fn rests_beside(others: u32, took: Duration, idle: Duration) -> Vec<Duration> {
        let (mut now, mut busy) = (Instant::now(), Duration::ZERO);
        let mut pace = Pace::new(now, busy);
        let round = |_| {
            pace.begin(now);
            busy += took;
            let rest = pace.end(now + took, busy);
            let pause = rest.max(idle);
            busy += (took + pause) * others / 100;
            now += took + pause;
            rest
        };
        (0..40).map(round).collect()
    }

    fn rests(took: Duration, idle: Duration) -> Vec<Duration> {
        rests_beside(0, took, idle)
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
        assert_eq!(rests(10 * MS, 2 * MS)[10..], [10 * MS; 30]);
    }

    #[test]
    fn nothing_gathers_for_longer_than_it_may() {
        assert_eq!(rests(40 * MS, Duration::ZERO)[10..], [10 * MS; 30]);
        assert!(rests(60 * MS, Duration::ZERO).iter().all(Duration::is_zero));
    }

    #[test]
    fn a_shard_on_a_core_that_others_keep_busy_takes_a_quarter_of_it() {
        // Alone it would take a third.
        let pauses: Vec<_> =
            rests_beside(30, 4 * MS, 8 * MS).into_iter().map(|rest| rest.max(8 * MS)).collect();
        assert_eq!(pauses[..10], [8 * MS; 10]);
        let usual: Duration = pauses[30..].iter().sum::<Duration>() / 10;
        assert!((11 * MS..14 * MS).contains(&usual), "{usual:?}");
        assert!(rests_beside(0, 4 * MS, 8 * MS).iter().all(Duration::is_zero));
    }

    #[test]
    fn few_viewers_wait_for_nobody_however_busy_their_core_is() {
        assert!(rests_beside(90, MS, 4 * MS).iter().all(Duration::is_zero));
    }
}
