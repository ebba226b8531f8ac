//! A recording that is final, on its way to the bucket.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kaibo_replay::{File, Id, SmallFile};

use super::{Archive, Error, blocking};

/// Brings everything of `id` there that is not there yet, and remembers that it is. `waiting` is told how many bytes of
/// segments are missing.
pub async fn archive(archive: Arc<Archive>, id: Id, waiting: Arc<AtomicU64>) -> Result<(), Error> {
    let had = archive.files(&id).await?;
    let (disk, named) = (archive.disk.clone(), id.clone());
    let recording = blocking(move || disk.open(&named)).await?;
    let segments = recording.segments().iter().map(|segment| (segment.number, segment.bytes));
    let missing = segments.filter(|(number, bytes)| had.get(&File::Segment(*number).name()) != Some(bytes));
    let missing: Vec<(u64, u64)> = missing.collect();
    let small_there = had.into_iter().filter(|(name, _)| !kaibo_replay::is_segment(name));
    let small_there: HashMap<String, u64> = small_there.collect();
    // Of 12 h it is some MiB, which nobody needs while the rest goes its way.
    drop(recording);
    waiting.store(missing.iter().map(|(_, bytes)| bytes).sum(), Ordering::Relaxed);
    for (number, bytes) in missing {
        if archive.is_doomed(&id) {
            return Ok(());
        }
        archive.send_segment(&id, number, bytes).await?;
        waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
    // Looked at first: what changes while it is sent is sent again.
    let (disk, named) = (archive.disk.clone(), id.clone());
    let (archiving, small) =
        blocking(move || Ok((disk.archiving(&named)?, disk.small_files(&named)?))).await?;
    for SmallFile { name, len, archived } in small {
        if !archived || small_there.get(&name) != Some(&len) {
            archive.send_small(&id, &name, len).await?;
        }
    }
    blocking(move || archiving.done()).await
}

/// Deletes everything of a doomed recording there.
pub async fn delete(archive: Arc<Archive>, id: Id) -> Result<(), Error> {
    let mut left = 0;
    // What was under way when it was deleted here may have come there behind the first list.
    for _look in 0..2 {
        let deleted = archive.bucket.delete(&id).await;
        archive.note(deleted.as_ref().map(drop));
        left = deleted?;
        if left == 0 {
            break;
        }
    }
    if left > 0 {
        // A store whose lists are behind is asked again later.
        return Err(Error::Late);
    }
    let (disk, named) = (archive.disk.clone(), id.clone());
    blocking(move || disk.bury(&named)).await?;
    archive.forget(&id);
    tracing::info!(recording = %id, "deleted from the bucket");
    Ok(())
}
