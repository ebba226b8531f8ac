//! Whether publishers keep the cores so busy that their media is better read in lumps, whoever waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, interval},
};

use crate::load::Load;

/// Publishers on a core that are no load to speak of: each takes 0.2 % of it if its messages are read one by one.
const FEW: usize = 100;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);

/// Sees how busy the cores are for as long as it lives.
pub struct Pressure {
    is_high: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Pressure {
    /// Of the server that calls, which has so many `publishers`.
    pub fn watch(publishers: watch::Receiver<usize>) -> Self {
        let is_high = Arc::new(AtomicBool::new(false));
        let told = is_high.clone();
        let task = tokio::spawn(async move {
            let (mut load, mut looks) = (Load::new(), interval(LOOK));
            let mut before = (Instant::now(), load.busy(Instant::now()));
            loop {
                let now = looks.tick().await;
                let busy = load.busy(now);
                let used = busy.saturating_sub(before.1);
                let passed = now.saturating_duration_since(before.0);
                let are_many = *publishers.borrow() > FEW * load.cores();
                told.store(
                    are_many && is_much(used, passed, told.load(Ordering::Relaxed)),
                    Ordering::Relaxed,
                );
                before = (now, busy);
            }
        });
        Self { is_high, task: task.abort_handle() }
    }

    /// Media is to gather at the sockets of publishers.
    pub fn is_high(&self) -> bool {
        self.is_high.load(Ordering::Relaxed)
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A core was busy for `used` of the time that has `passed`: more than three eighths of it, or, if that `was` so before,
/// more than what is left of those once media gathers. With 30 % everybody is to get every frame when it comes.
fn is_much(used: Duration, passed: Duration, was: bool) -> bool {
    used > if was { passed / 4 } else { passed * 3 / 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_core_is_much_in_use_until_it_is_clearly_less() {
        let said = [30, 37, 38, 30, 26, 25, 30].into_iter().scan(false, |was, percent| {
            *was = is_much(percent * 5 * MS, 500 * MS, *was);
            Some(*was)
        });
        assert_eq!(said.collect::<Vec<_>>(), [false, false, true, true, true, false, false]);
    }
}
