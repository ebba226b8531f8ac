//! Broadcasts that need not be known any more.

use std::collections::HashMap;

use kaibo_broadcast::BroadcastId;
use kaibo_store::Record;

use super::Broadcasts;
use crate::server::Server;

/// Broadcasts that one call looks at: reading them takes some milliseconds, in which other broadcasts wait. At one call
/// in 30 s it is a million a day.
const PAGE: usize = 400;

impl Broadcasts {
    /// Forgets broadcasts without a recording that ended longer ago than recordings of their app are kept. Begins
    /// behind `after`; answers where the next call is to begin.
    pub async fn prune(&self, server: &Server, after: Option<u64>) -> Option<u64> {
        let now = server.clock.now();
        let page = match server.store.ask(move |store| store.over(now, after, PAGE)).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "can't look for broadcasts to forget");
                return after;
            }
        };
        let mut kept = HashMap::new();
        let mut is_old = |record: &Record| {
            let kept = *kept
                .entry(record.app.clone())
                .or_insert_with(|| server.app_settings(record.app.as_ref()).record.retention.0);
            now.since(record.ended_at.unwrap_or(now)) > kept
        };
        let old = page.items.iter().filter(|record| is_old(record) && self.get(&record.id).is_none());
        let old: Vec<BroadcastId> = old.map(|record| record.id.clone()).collect();
        let forgotten = match server.recordings.without(old).await {
            Ok(forgotten) => forgotten,
            Err(error) => {
                tracing::error!(%error, "can't look for broadcasts without a recording");
                return page.next;
            }
        };
        if !forgotten.is_empty() {
            let deleted = server.store.ask(move |store| {
                forgotten.iter().try_for_each(|id| store.delete(id).map(drop)).map(|()| forgotten.len())
            });
            match deleted.await {
                Ok(broadcasts) => tracing::info!(broadcasts, "forgot broadcasts without a recording"),
                Err(error) => tracing::error!(%error, "can't forget broadcasts without a recording"),
            }
        }
        page.next
    }
}
