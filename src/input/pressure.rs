//! Whether publishers keep the cores so busy that their media is better read in lumps, whoever waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, interval},
};

use super::gather::GATHER;
use crate::load::Load;

/// Publishers on a core that are no load to speak of: each takes 0.2 % of it if its messages are read one by one.
const FEW: usize = 100;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);

/// How long media gathers before a core is full: as long as parts still come evenly (less than 100 ms; media.md, L9).
const LONGEST: Duration = Duration::from_millis(90);

/// Sees how busy the cores are for as long as it lives.
pub struct Pressure {
    degree: Arc<AtomicU8>,
    task: AbortHandle,
}

impl Pressure {
    /// Of the server that calls, which has so many `publishers`.
    pub fn watch(publishers: watch::Receiver<usize>) -> Self {
        let degree = Arc::new(AtomicU8::new(0));
        let told = degree.clone();
        let task = tokio::spawn(async move {
            let (mut load, mut looks) = (Load::new(), interval(LOOK));
            let mut before = (Instant::now(), load.busy(Instant::now()));
            loop {
                let now = looks.tick().await;
                let busy = load.busy(now);
                let used = busy.saturating_sub(before.1);
                let passed = now.saturating_duration_since(before.0);
                let are_many = *publishers.borrow() > FEW * load.cores();
                let found = if are_many { degree_of(used, passed, told.load(Ordering::Relaxed)) } else { 0 };
                told.store(found, Ordering::Relaxed);
                before = (now, busy);
            }
        });
        Self { degree, task: task.abort_handle() }
    }

    /// How long media is to gather at the sockets of publishers, whoever waits for it; none: not at all.
    pub fn gather(&self) -> Option<Duration> {
        match self.degree.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(GATHER),
            _ => Some(LONGEST),
        }
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// From 0 to 2, for a core that was busy for `used` of the time that has `passed`. With 30 % everybody is to get every frame
/// when it comes: 1 is more than three eighths of it, 2 more than three quarters. Gathering leaves less than that in
/// use, so what `was` so before is so until clearly less is.
fn degree_of(used: Duration, passed: Duration, was: u8) -> u8 {
    let eighths = |count: u32| passed * count / 8;
    let bounds =
        [if was >= 1 { eighths(2) } else { eighths(3) }, if was >= 2 { eighths(4) } else { eighths(6) }];
    bounds.into_iter().map(|bound| u8::from(used > bound)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn degrees(percents: &[u32]) -> Vec<u8> {
        let looks = percents.iter().scan(0, |was, percent| {
            *was = degree_of(*percent * 5 * MS, 500 * MS, *was);
            Some(*was)
        });
        looks.collect()
    }

    #[test]
    fn a_core_is_much_in_use_until_it_is_clearly_less() {
        assert_eq!(degrees(&[30, 37, 38, 30, 26, 25, 30]), [0, 0, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_core_is_nearly_full_until_it_is_clearly_less() {
        assert_eq!(degrees(&[50, 75, 76, 60, 51, 50, 60, 100, 20]), [1, 1, 2, 2, 2, 1, 1, 2, 0]);
    }
}
