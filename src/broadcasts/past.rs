//! Broadcasts whose media is no longer in memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use kaibo_broadcast::{App, Stream};

use super::Status;

/// Ended broadcasts that `GET /broadcasts` still lists; older ones are known by their replays.
const HISTORY: usize = 10_000;

/// Broadcasts whose media is no longer in memory; at most [`HISTORY`] of them.
#[derive(Default)]
pub struct Past {
    /// In the order of their retirement.
    pub order: VecDeque<Arc<Status>>,
    /// The last one of each name.
    pub by_name: HashMap<(App, Stream), Arc<Status>>,
}

impl Past {
    pub fn push(&mut self, status: Arc<Status>) {
        if self.order.len() >= HISTORY
            && let Some(oldest) = self.order.pop_front()
        {
            let name = (oldest.app.clone(), oldest.stream.clone());
            if self.by_name.get(&name).is_some_and(|last| last.id == oldest.id) {
                self.by_name.remove(&name);
            }
        }
        let name = (status.app.clone(), status.stream.clone());
        if self.by_name.get(&name).is_none_or(|last| last.created_at <= status.created_at) {
            self.by_name.insert(name, status.clone());
        }
        self.order.push_back(status);
    }
}
