//! The audience of every broadcast that somebody watches, and its way into the store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dashmap::DashMap;
use kaibo_audience::{Bucket, Phase};
use kaibo_broadcast::{BroadcastId, Millis};
use kaibo_store::{Counted, Error as StoreError};
use tokio::time::interval;

use super::{Audience, Salt, Unsaved};
use crate::server::Server;

/// How often it is seen who has left.
const SWEEP: Duration = Duration::from_secs(1);

/// How often counts are stored: what a server that is killed loses of them.
const SAVE: Duration = Duration::from_secs(120);

/// Audiences that are stored in one commit, some KiB each: the store takes milliseconds, in which broadcasts wait.
const PIECE: usize = 100;

/// Every audience that is counted now.
#[derive(Default)]
pub struct Audiences {
    known: DashMap<BroadcastId, Arc<Audience>>,
}

/// What is known of one audience.
pub struct Report {
    /// By the clock, oldest first.
    pub phases: Vec<(Phase, Vec<Bucket>)>,
    /// How many different viewers there were, about.
    pub viewers: u64,
}

impl Audiences {
    /// That of a broadcast in memory.
    pub fn begin(&self, server: &Server, id: &BroadcastId) -> Arc<Audience> {
        self.known.entry(id.clone()).or_insert_with(|| new(server, None)).clone()
    }

    /// That of a broadcast that has been watched before; none where there are too many.
    pub async fn go_on(&self, server: &Server, id: &BroadcastId) -> Option<Arc<Audience>> {
        if let Some(known) = self.known.get(id) {
            return Some(known.clone());
        }
        // Replays that are watched within an hour, beside the broadcasts in memory.
        if self.known.len() >= server.settings().config.limits.broadcasts.saturating_mul(2) {
            return None;
        }
        let asked = id.clone();
        let seen = server.store.ask(move |store| store.audience_seen(&asked)).await.unwrap_or_else(|error| {
            tracing::error!(broadcast = %id, %error, "viewers of before are counted as new ones");
            None
        });
        Some(self.known.entry(id.clone()).or_insert_with(|| new(server, seen.as_deref())).clone())
    }

    /// The broadcast is to leave nothing behind.
    pub fn forget(&self, id: &BroadcastId) {
        self.known.remove(id);
    }

    /// How many watch `phase` without a connection.
    pub fn visitors(&self, phase: Phase) -> usize {
        self.known.iter().map(|audience| audience.visitors(phase)).sum()
    }

    /// What is known of the audience of `id`, up to now.
    pub async fn report(&self, server: &Server, id: &BroadcastId) -> Result<Report, StoreError> {
        let now = server.clock.now();
        let known = self.known.get(id).map(|known| known.clone());
        // First what is in memory: what is stored meanwhile is then found twice, and not never.
        let counting = known.as_ref().map(|known| known.buckets(now)).unwrap_or_default();
        let asked = id.clone();
        let stored = server.store.ask(move |store| store.audience(&asked)).await?;
        let viewers = match known {
            Some(known) => known.seen(),
            None => stored.seen.as_deref().and_then(Salt::split).map_or(0, |(_, seen)| seen.count()),
        };
        let mut buckets: BTreeMap<(Phase, Millis), Bucket> = BTreeMap::new();
        for (phase, bucket) in stored.counted.iter().filter_map(read).chain(counting) {
            let known = buckets.entry((phase, bucket.start)).or_insert(bucket);
            *known = known.later(bucket);
        }
        let of = |phase: Phase| {
            let own = buckets.iter().filter(|((other, _), _)| *other == phase).map(|(_, bucket)| *bucket);
            (phase, phase.by_the_clock(own))
        };
        Ok(Report { phases: Phase::ALL.map(of).into(), viewers })
    }

    /// Counts and stores until the server closes.
    pub async fn serve(server: Arc<Server>) {
        let mut closing = server.closing();
        let mut ticks = interval(SWEEP);
        let mut saved = server.clock.now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = closing.wait() => return,
            }
            let now = server.clock.now();
            server.audiences.known.iter().for_each(|audience| audience.sweep(now));
            if now.since(saved) >= SAVE {
                saved = now;
                server.audiences.save(&server).await;
                server.audiences.let_go();
            }
        }
    }

    /// Stores everything that was counted.
    pub async fn save(&self, server: &Server) {
        let ids: Vec<_> = self.known.iter().map(|audience| audience.key().clone()).collect();
        for ids in ids.chunks(PIECE) {
            let now = server.clock.now();
            let known = |id: &BroadcastId| Some((id.clone(), self.known.get(id)?.clone()));
            let unsaved: Vec<_> = ids
                .iter()
                .filter_map(known)
                .filter_map(|(id, audience)| Some((id, audience.unsaved(now)?, audience)))
                .collect();
            if unsaved.is_empty() {
                continue;
            }
            let rows: Vec<_> = unsaved.iter().map(|(id, unsaved, _)| (id.clone(), write(unsaved))).collect();
            let stored = server.store.ask(move |store| {
                rows.iter().try_for_each(|(id, audience)| store.save_audience(id, audience, now))
            });
            match stored.await {
                Ok(()) => unsaved.iter().for_each(|(_, saved, audience)| audience.note_saved(saved)),
                Err(error) => {
                    unsaved.iter().for_each(|(_, failed, audience)| audience.note_failed(failed));
                    tracing::error!(%error, "can't store how many watched; it is tried again");
                    return;
                }
            }
        }
    }

    /// Forgets what was counted too long ago.
    pub async fn prune(&self, server: &Server) {
        let before = server.clock.now() - server.settings().config.audience.retention.0;
        loop {
            match server.store.ask(move |store| store.prune_audiences(before)).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return tracing::error!(%error, "old audiences can't be forgotten"),
            }
        }
    }

    /// Lets go of audiences that nobody belongs to any more.
    fn let_go(&self) {
        self.known.retain(|_, audience| Arc::strong_count(audience) > 1 || !audience.is_idle());
    }
}

fn new(server: &Server, seen: Option<&[u8]>) -> Arc<Audience> {
    Arc::new(Audience::new(server.clock, server.settings().config.limits.http_connections, seen))
}

fn write(unsaved: &Unsaved) -> kaibo_store::Audience {
    let counted = |(phase, bucket): &(Phase, Bucket)| Counted {
        phase: phase.name().into(),
        start: bucket.start,
        // A struct of plain fields always has a JSON form.
        counts: serde_json::to_string(bucket).unwrap_or_default(),
    };
    kaibo_store::Audience {
        counted: unsaved.buckets.iter().map(counted).collect(),
        seen: unsaved.seen.clone(),
    }
}

/// Whatever a later version put there in another way is left out.
fn read(counted: &Counted) -> Option<(Phase, Bucket)> {
    let bucket = serde_json::from_str::<Bucket>(&counted.counts).ok()?;
    Some((Phase::named(&counted.phase)?, Bucket { start: counted.start, ..bucket }))
}
