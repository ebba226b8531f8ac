//! Recordings that are cut out of others.

use std::sync::Arc;

use kaibo_media::UnixMillis;
use kaibo_replay::{Error, Id, Recording, Segment, Wanted};
use tokio::task::spawn_blocking;

use super::{Recordings, blocking};
use crate::access::unix_now;

impl Recordings {
    /// Cuts a recording `id` of its own out of what is recorded of `of` so far.
    pub async fn cut_out(&self, id: &Id, of: &Id, wanted: Wanted) -> Result<Arc<Recording>, Error> {
        // A copy: the recorder must not wait for a disk that is busy with something else.
        let segments = self.find(of).await?.read(<[_]>::to_vec);
        if self.archive.is_some() {
            self.bring_back(of, wanted.needs(&segments)).await?;
        }
        let (disk, made, from) = (self.disk.clone(), id.clone(), of.clone());
        let wall = UnixMillis(unix_now().0);
        let cut_out = blocking(spawn_blocking(move || {
            disk.cut_out(&made, &from, &segments, &wanted, wall)?;
            Ok(Arc::new(disk.open(&made)?))
        }));
        let cut_out = cut_out.await;
        // Not before: what is known to be in the bucket may leave the disk again.
        self.changed(id);
        self.changed(of);
        cut_out
    }

    /// Fetches the files of `segments` that only the bucket has: a second name can only be given to what is here.
    async fn bring_back(&self, id: &Id, segments: Vec<Segment>) -> Result<(), Error> {
        for segment in segments {
            let (disk, named) = (self.disk.clone(), id.clone());
            let is_here = spawn_blocking(move || Ok(disk.has_segment(&named, segment.number)));
            if blocking(is_here).await? {
                continue;
            }
            let bytes = self.read_segment(id, segment).await?;
            let (disk, named) = (self.disk.clone(), id.clone());
            blocking(spawn_blocking(move || disk.bring_back(&named, segment.number, &bytes))).await?;
        }
        Ok(())
    }
}
