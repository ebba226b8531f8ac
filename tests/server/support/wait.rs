//! Waiting for what can be seen from outside.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How often a condition is looked at: often enough for a test's clock, rarely enough for a machine of two cores.
const LOOK: Duration = Duration::from_millis(30);

/// Looks until `look` sees something.
///
/// # Panics
/// If it sees nothing within `patience`.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < patience, "not seen within {patience:?}: {what}");
        sleep(LOOK);
    }
}

/// Looks until `holds` holds; how long that took.
///
/// # Panics
/// If it doesn't within `patience`.
pub fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    wait_for(what, patience, || holds().then_some(()));
    begin.elapsed()
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
