//! A server with an empty disk finds its recordings in the bucket.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use kaibo_replay::Id;
use tokio::{task::JoinSet, time::sleep};

use super::{Archive, Error, blocking};
use crate::{recorder::Recordings, server::Server};

/// Recordings that are brought back at the same time, with some MB of small files each.
const AT_ONCE: usize = 4;

/// A bucket that is away is asked again after this time.
const AGAIN: Duration = Duration::from_secs(30);

/// Brings back the small files of all recordings that are in the bucket and not here. Until that is done they are not
/// in lists.
pub async fn run(archive: Arc<Archive>, server: Arc<Server>) {
    loop {
        let restored = restore(&archive).await;
        archive.note(restored.as_ref().map(drop));
        if !matches!(restored, Ok(0)) {
            Recordings::make_known(&server).await;
        }
        match restored {
            Ok(0) => return,
            Ok(recordings) => return tracing::info!(recordings, "recordings were found in the bucket"),
            Err(_) => sleep(AGAIN).await,
        }
    }
}

async fn restore(archive: &Arc<Archive>) -> Result<usize, Error> {
    let disk = archive.disk.clone();
    let here: HashSet<Id> = blocking(move || disk.ids()).await?.into_iter().collect();
    let mut restored = 0;
    let mut tasks = JoinSet::new();
    let mut missing = archive.bucket.ids().await?.into_iter().filter(|id| !here.contains(id));
    loop {
        while tasks.len() < AT_ONCE
            && let Some(id) = missing.next()
        {
            tasks.spawn(one(archive.clone(), id));
        }
        match tasks.join_next().await {
            None => return Ok(restored),
            Some(Ok(Ok(was_whole))) => restored += usize::from(was_whole),
            Some(Ok(Err(error))) => return Err(error),
            // A panic is logged where it happens.
            Some(Err(_)) => {}
        }
    }
}

/// Brings back the small files of one recording, if the bucket has all of it.
async fn one(archive: Arc<Archive>, id: Id) -> Result<bool, Error> {
    let mut files = archive.bucket.files(&id).await?;
    files.retain(|(name, _)| !kaibo_replay::is_segment(name));
    // Without an index it was not final when it came there, or is being deleted.
    if !files.iter().any(|(name, _)| name == kaibo_replay::INDEX) {
        return Ok(false);
    }
    let mut small: Vec<(String, Bytes)> = Vec::new();
    for (name, len) in files {
        let _room = archive.bucket.room(len).await;
        match archive.bucket.get_small(&id, &name).await {
            Ok(bytes) => small.push((name, bytes)),
            Err(error) if error.is_absent() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    if archive.is_doomed(&id) {
        return Ok(false);
    }
    let (disk, named) = (archive.disk.clone(), id.clone());
    match blocking(move || disk.restore(&named, &small)).await {
        Ok(()) => Ok(true),
        Err(Error::Disk(kaibo_replay::Error::Exists(_))) => Ok(false),
        Err(error) => {
            // The disk's own trouble: another recording may fit.
            tracing::error!(recording = %id, error = error.brief(), "can't bring back a recording from the bucket");
            Ok(false)
        }
    }
}
