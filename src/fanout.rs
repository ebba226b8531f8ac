//! FLV and RTMP viewers over plain TCP, moved on together: a shard for each core walks through their sockets when a stream has
//! something new, and writes to each all that it has not got yet.
//!
//! A core with time to spare so writes every frame as it comes. One that is busy is still writing the last frames when
//! the next come, and they go out together in its next round: fewer and larger writes, the more so the busier it is.
//! A viewer costs its socket, a place in a ring and no task; a stream wakes a shard, not each of its viewers.

mod carriage;
mod pace;
mod shard;
mod viewer;

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use tokio::task::{AbortHandle, unconstrained};

use self::shard::Shard;
pub use self::{carriage::Carriage, viewer::Viewer};
use crate::telemetry::Metrics;

/// The shards of a server.
pub struct Fanout {
    shards: Vec<Arc<Shard>>,
    tasks: Vec<AbortHandle>,
}

impl Fanout {
    /// Starts a shard for each core. A panic in one ends its viewers, is counted, and is the end of nothing else.
    pub fn start(metrics: &Arc<Metrics>) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let shards: Vec<_> = (0..cores).map(|_| Arc::<Shard>::default()).collect();
        let tasks = shards.iter().map(|shard| {
            let (shard, metrics) = (shard.clone(), metrics.clone());
            let task = tokio::spawn(async move {
                // It makes room for others by itself, and a socket that seems busy for want of a budget would be asked anew.
                while tokio::spawn(unconstrained(shard::run(shard.clone())))
                    .await
                    .is_err_and(|error| error.is_panic())
                {
                    shard.start_over();
                    metrics.panics.inc();
                }
            });
            task.abort_handle()
        });
        Self { tasks: tasks.collect(), shards }
    }

    /// Moves `viewer` on from now on, to its end.
    pub fn take(&self, viewer: Viewer) {
        if let Some(emptiest) = self.shards.iter().min_by_key(|shard| shard.viewers()) {
            emptiest.take(viewer);
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
