//! How busy the cores are.

use std::time::Duration;

use tokio::{
    runtime::{Handle, RuntimeMetrics},
    time::Instant,
};

/// What was found is good for this long: on many cores it takes a while to ask all of them.
const FRESH: Duration = Duration::from_millis(1);

/// What the threads of this server's tasks have done.
pub struct Load {
    threads: RuntimeMetrics,
    busy: Duration,
    asked: Option<Instant>,
}

impl Load {
    /// Of the server that calls.
    pub fn new() -> Self {
        Self { threads: Handle::current().metrics(), busy: Duration::ZERO, asked: None }
    }

    /// As many threads as cores.
    pub fn cores(&self) -> usize {
        self.threads.num_workers().max(1)
    }

    /// How long each of them has been busy by now, on average: there are as many as cores. They tell it whenever they have
    /// nothing to do, and every few tasks.
    pub fn busy(&mut self, now: Instant) -> Duration {
        if self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= FRESH) {
            let threads = self.cores();
            let busy: Duration =
                (0..threads).map(|thread| self.threads.worker_total_busy_duration(thread)).sum();
            self.busy = busy / u32::try_from(threads).unwrap_or(u32::MAX).max(1);
            self.asked = Some(now);
        }
        self.busy
    }
}
