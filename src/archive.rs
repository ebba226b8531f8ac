//! Recordings in a bucket.
//!
//! The recorder writes to the local disk as ever: what a crash leaves there is known to the byte. The archive follows it.
//! It brings each whole segment to the bucket, and when a recording is final the small files too, the index last. What is
//! there it sees by looking there, so nothing has to be remembered that a crash could make untrue; the one mark on the
//! disk says that a final recording is there completely, and is written after it was seen there, file by file.
//!
//! Files of segments that the bucket has confirmed make room when the disk holds more than `storage.spool_max`: those of
//! the oldest recordings first. The small files stay, so lists and searches ask no bucket. While the bucket is away
//! nothing is given up: what waits for it stays on the disk, and the recorder goes on for as long as there is room.

mod bucket;
mod connect;
mod live;
mod restore;
mod spool;
mod whole;
mod work;

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use kaibo_replay::{File, Id, Segment};

use self::bucket::Bucket;
pub use self::bucket::Error;
use crate::{config::Storage, server::Server, telemetry::Metrics};

/// The bucket, and what is on its way there.
pub struct Archive {
    bucket: Bucket,
    disk: kaibo_replay::Recordings,
    metrics: Arc<Metrics>,
    /// Recordings that are deleted here, and maybe not there yet.
    doomed: Mutex<BTreeSet<Id>>,
    /// Recordings of which something else is here than before.
    changed: Mutex<BTreeSet<Id>>,
    /// The newest request failed.
    away: AtomicBool,
    /// One succeeded after that: whoever waits need wait no longer.
    came_back: AtomicBool,
}

impl Archive {
    /// The archive of the recordings in `disk`, if there is to be one. Asks nobody yet.
    pub fn open(
        storage: &Storage,
        disk: &kaibo_replay::Recordings,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Self>>, Error> {
        let Some(name) = storage.bucket() else { return Ok(None) };
        Ok(Some(Arc::new(Self {
            bucket: Bucket::new(name, storage)?,
            disk: disk.clone(),
            metrics: metrics.clone(),
            doomed: Mutex::new(disk.sweep_archived()?.into_iter().collect()),
            changed: Mutex::default(),
            away: AtomicBool::new(false),
            came_back: AtomicBool::new(false),
        })))
    }

    /// Brings recordings there, deletes what is deleted here and makes room, until the server stops. What is under way
    /// then is done at the next start.
    pub async fn serve(self: Arc<Self>, server: Arc<Server>) {
        let mut closing = server.closing();
        let restored = restore::run(self.clone(), server.clone());
        tokio::select! {
            // One task of each, which end with the server: restoring ends by itself, working doesn't.
            () = async { tokio::join!(restored, work::run(self.clone(), server.clone())); } => {}
            () = closing.wait() => {}
        }
    }

    /// The bytes of a segment that is not on the disk any more.
    pub async fn segment(&self, id: &Id, segment: &Segment) -> Result<Bytes, Error> {
        match self.range(id, segment.number, 0..segment.bytes).await {
            Ok(bytes) if bytes.len() as u64 != segment.bytes => {
                Err(Error::Changed(File::Segment(segment.number).name()))
            }
            read => read,
        }
    }

    /// What is in `range` of a segment, which may end before.
    pub async fn range(&self, id: &Id, segment: u64, range: Range<u64>) -> Result<Bytes, Error> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let read = self.bucket.get(id, &File::Segment(segment).name(), range).await;
        match &read {
            // One object that is not there says nothing about the bucket.
            Err(error) if error.is_absent() => {}
            read => self.note(read.as_ref().map(drop)),
        }
        read
    }

    /// What is here of `id` is not what it was: it is final now, or its small files are others.
    pub fn changed(&self, id: &Id) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
    }

    /// Deletes a recording: here now, there soon, whatever happens in between.
    pub fn delete(&self, id: &Id) -> Result<(), kaibo_replay::Error> {
        self.disk.doom(id)?;
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        Ok(())
    }

    /// The bucket has nothing of a doomed recording any more.
    fn forget(&self, id: &Id) {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// The files of a recording that are in the bucket, with their lengths.
    async fn files(&self, id: &Id) -> Result<HashMap<String, u64>, Error> {
        let listed = self.bucket.files(id).await;
        self.note(listed.as_ref().map(drop));
        Ok(listed?.into_iter().collect())
    }

    /// Brings a segment there: the first `len` bytes of its file. One that is lost keeps no other from going there.
    async fn send_segment(&self, id: &Id, number: u64, len: u64) -> Result<(), Error> {
        let name = File::Segment(number).name();
        let _room = self.bucket.room(len).await;
        match self.read_here(id, &name, len).await {
            Ok(bytes) if bytes.len() as u64 == len => self.put(id, &name, bytes).await,
            Err(Error::Disk(error)) if !error.is_absent() => Err(error.into()),
            _ if self.is_doomed(id) => Ok(()),
            _ => {
                tracing::error!(recording = %id, segment = number, "a segment is neither here nor in the bucket");
                Ok(())
            }
        }
    }

    /// Brings a small file there, of about `len` bytes.
    async fn send_small(&self, id: &Id, name: &str, len: u64) -> Result<(), Error> {
        let _room = self.bucket.room(len).await;
        let bytes = self.read_here(id, name, u64::MAX).await?;
        self.put(id, name, bytes).await
    }

    async fn read_here(&self, id: &Id, name: &str, most: u64) -> Result<Bytes, Error> {
        let (disk, id, name) = (self.disk.clone(), id.clone(), name.to_owned());
        blocking(move || disk.file(&id, &name, most)).await
    }

    async fn put(&self, id: &Id, name: &str, bytes: Bytes) -> Result<(), Error> {
        let count = bytes.len() as u64;
        let sent = self.bucket.put(id, name, bytes).await;
        self.note(sent.as_ref().map(drop));
        sent?;
        self.metrics.archive_sent.inc_by(count);
        Ok(())
    }

    fn is_doomed(&self, id: &Id) -> bool {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// How a request went. It is told when the bucket goes away and when it is back.
    fn note(&self, done: Result<(), &Error>) {
        match done {
            Ok(()) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the bucket is back");
                    self.came_back.store(true, Ordering::Relaxed);
                }
            }
            // What is wrong here says nothing about the bucket.
            Err(Error::Disk(_)) => {}
            Err(error) => {
                self.metrics.archive_errors.inc();
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = error.brief(),
                        "the bucket fails; recordings wait for it on the disk"
                    );
                }
            }
        }
    }
}

/// Asks the disk.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, kaibo_replay::Error> + Send + 'static,
) -> Result<T, Error> {
    Ok(crate::recorder::blocking(tokio::task::spawn_blocking(ask)).await?)
}
