//! Recordings whose broadcasts the store does not know: a new server has found them in the bucket, or the store was lost.

use std::sync::Arc;

use kaibo_broadcast::BroadcastId;
use kaibo_replay::{Entry, Id};
use tokio::task::spawn_blocking;

use super::{Fault, Recordings, blocking};
use crate::{broadcasts::Status, server::Server};

/// Broadcasts that the store is asked for at once: it takes a millisecond, in which others wait.
const PIECE: usize = 100;

impl Recordings {
    /// Has the store know the broadcasts of all final recordings, so that they are listed and can be deleted.
    pub async fn make_known(server: &Arc<Server>) {
        match make_known(server).await {
            Ok(0) => {}
            Ok(broadcasts) => tracing::info!(broadcasts, "broadcasts are known by their recordings alone"),
            Err(error) => {
                tracing::error!(%error, "can't list broadcasts of which only the recording is known")
            }
        }
    }
}

async fn make_known(server: &Arc<Server>) -> Result<usize, Fault> {
    let disk = server.recordings.disk.clone();
    let mut entries = blocking(spawn_blocking(move || disk.scan())).await?;
    // What is in memory is stored by its actor.
    let is_over = |Entry { id, meta, finished }: &Entry| {
        let in_memory = id.as_str().parse().is_ok_and(|id| server.broadcasts.get(&id).is_some());
        meta.excerpt.is_none() && finished.is_some() && !in_memory
    };
    entries.retain(is_over);
    let ids: Vec<(Id, BroadcastId)> = entries
        .into_iter()
        .filter_map(|Entry { id, .. }| Some((id.clone(), id.as_str().parse().ok()?)))
        .collect();
    let mut made = 0;
    for piece in ids.chunks(PIECE) {
        let piece = piece.to_vec();
        let unknown = server.store.ask(move |store| {
            let mut unknown = Vec::new();
            for (id, broadcast) in piece {
                if store.get(&broadcast)?.is_none() {
                    unknown.push((id, broadcast));
                }
            }
            Ok(unknown)
        });
        for (id, broadcast) in unknown.await? {
            made += usize::from(make_one_known(server, &id, broadcast).await?);
        }
    }
    Ok(made)
}

/// False of one that is gone, known by now, or can't be read.
async fn make_one_known(server: &Server, id: &Id, broadcast: BroadcastId) -> Result<bool, Fault> {
    let recording = match server.recordings.read_index(id).await {
        Ok(recording) => recording,
        Err(error) => {
            tracing::warn!(recording = %id, %error, "it is not in lists, since it can't be read");
            return Ok(false);
        }
    };
    let private = !server.app_settings(&recording.meta().app).record.public;
    let Some(record) = Status::recorded(&broadcast, &recording, private) else { return Ok(false) };
    let (disk, id) = (server.recordings.disk.clone(), id.clone());
    let stored = server.store.ask(move |store| {
        // Whoever deletes a broadcast deletes its recording first.
        let is_new = disk.contains(&id) && store.get(&broadcast)?.is_none();
        if is_new {
            store.save(&record, &[])?;
        }
        Ok(is_new)
    });
    Ok(stored.await?)
}
