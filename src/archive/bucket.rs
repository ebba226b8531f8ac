//! The bucket: `PREFIX/RECORDING/FILE`, the same files as on the disk.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use kaibo_replay::Id;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tokio_rustls::rustls;

use super::connect::Connector;
use crate::{
    config::{BucketName, Storage},
    tls,
};

/// KiB of files in memory on their way to the bucket. A longer file goes by itself.
const SENDING: usize = 64 << 10;

/// Files that are read from the bucket at the same time: 64 segments of 2 s at 6 Mbit/s are 100 MiB.
const READING: usize = 64;

/// What a request takes beside its bytes.
const REQUEST: Duration = Duration::from_secs(10);

/// Bytes per second that the way to the bucket carries at the least: 512 kbit/s.
const SLOWEST: u64 = 64 << 10;

/// A viewer waits no longer than this for a piece of a replay.
const READ: Duration = Duration::from_secs(15);

/// Small files of a recording that are read back into memory: the index of 12 h has 10 MB.
const SMALL: u64 = 256 << 20;

/// Why the bucket was of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Store(#[from] object_store::Error),
    #[error("no answer in time")]
    Late,
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{0} is not what was sent")]
    Changed(String),
    #[error("{0} is longer than anything that this server stores")]
    TooLong(String),
    #[error(transparent)]
    Disk(#[from] kaibo_replay::Error),
}

impl Error {
    /// The bucket works, and what was asked for is not in it.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Store(object_store::Error::NotFound { .. }))
    }

    /// In one line for the log. Of what the store has to say in XML only its code: the rest repeats who asked.
    pub fn brief(&self) -> String {
        /// Characters of a line that is still read, and of a code.
        const LINE: usize = 300;
        const CODE: usize = 40;
        let text = self.to_string();
        let code = text.split_once("<Code>").map(|(_, code)| code.chars());
        let code: Option<String> =
            code.map(|code| code.take_while(char::is_ascii_alphanumeric).take(CODE).collect());
        let line = text.chars().take_while(|char| !['<', '\n'].contains(char)).take(LINE);
        line.chain(code.unwrap_or_default().chars()).collect()
    }
}

/// An open bucket.
#[derive(Debug)]
pub struct Bucket {
    store: AmazonS3,
    prefix: Path,
    sending: Semaphore,
    reading: Semaphore,
}

impl Bucket {
    pub fn new(name: BucketName<'_>, storage: &Storage) -> Result<Self, Error> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name.bucket)
            .with_region(&storage.region)
            .with_access_key_id(storage.access_key.expose())
            .with_secret_access_key(storage.secret_key.expose())
            .with_allow_http(storage.allow_http)
            .with_virtual_hosted_style_request(storage.bucket_in_host)
            // One request for each object is what every store understands.
            .with_disable_bulk_delete(true)
            // Whoever asks waits and asks again, and says so.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(Connector::new(tls::connector(tls::public_authorities())?));
        if !storage.endpoint.is_empty() {
            builder = builder.with_endpoint(storage.endpoint.trim_end_matches('/'));
        }
        let prefix = Path::from(name.prefix);
        let (sending, reading) = (Semaphore::new(SENDING), Semaphore::new(READING));
        Ok(Self { store: builder.build()?, prefix, sending, reading })
    }

    fn folder(&self, id: &Id) -> Path {
        self.prefix.clone().join(id.as_str())
    }

    fn path(&self, id: &Id, name: &str) -> Path {
        self.folder(id).join(name)
    }

    /// Room in memory for a file of `bytes` that is to be sent.
    pub async fn room(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let kib = usize::try_from(bytes >> 10).unwrap_or(usize::MAX).saturating_add(1).min(SENDING);
        self.sending.acquire_many(u32::try_from(kib).unwrap_or(u32::MAX)).await.ok()
    }

    /// Puts a file there, and sees that it lies there: the request's signature covers a SHA-256 of the bytes, so that
    /// none can have changed on the way, and its length and tag have to be those of the answer.
    pub async fn put(&self, id: &Id, name: &str, bytes: Bytes) -> Result<(), Error> {
        let (path, len) = (self.path(id, name), bytes.len() as u64);
        let put = within(len, async { Ok(self.store.put(&path, bytes.into()).await?) }).await?;
        let found = within(0, async { Ok(self.store.head(&path).await?) }).await?;
        if found.size != len || found.e_tag != put.e_tag {
            return Err(Error::Changed(path.to_string()));
        }
        Ok(())
    }

    /// Reads a file, or a part of it that is not empty. A viewer waits for it.
    pub async fn get(&self, id: &Id, name: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let read = async {
            let _turn = self.reading.acquire().await;
            Ok(self.store.get_range(&self.path(id, name), range).await?)
        };
        timeout(READ, read).await.unwrap_or(Err(Error::Late))
    }

    /// Reads a small file.
    pub async fn get_small(&self, id: &Id, name: &str) -> Result<Bytes, Error> {
        let path = self.path(id, name);
        let options = GetOptions::new();
        let found = within(0, async { Ok(self.store.get_opts(&path, options).await?) }).await?;
        let len = found.meta.size;
        if len > SMALL {
            return Err(Error::TooLong(path.to_string()));
        }
        within(len, async { Ok(found.bytes().await?) }).await
    }

    /// The files of a recording that are there, with their lengths.
    pub async fn files(&self, id: &Id) -> Result<Vec<(String, u64)>, Error> {
        let mut listed = self.store.list(Some(&self.folder(id)));
        let mut files = Vec::new();
        // Each page has to come in time, of which a recording has one for 1000 files.
        while let Some(found) = within(0, async { Ok(listed.try_next().await?) }).await? {
            if let Some(name) = found.location.filename() {
                files.push((name.to_owned(), found.size));
            }
        }
        Ok(files)
    }

    /// The recordings of which something is there. Strangers' folders are passed over.
    pub async fn ids(&self) -> Result<Vec<Id>, Error> {
        // Some pages of 1000.
        let listing = self.store.list_with_delimiter(Some(&self.prefix));
        let listed = timeout(REQUEST * 60, listing).await.map_err(|_| Error::Late)??;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename()?.parse().ok()).collect())
    }

    /// Deletes everything of a recording: first the index, without which the rest is nothing to anybody. Answers how
    /// many files there were.
    pub async fn delete(&self, id: &Id) -> Result<usize, Error> {
        let files = self.files(id).await?;
        let index = |name: &str| name == kaibo_replay::INDEX;
        if files.iter().any(|(name, _)| index(name)) {
            within(0, async { Ok(self.store.delete(&self.path(id, kaibo_replay::INDEX)).await?) }).await?;
        }
        let rest = files.iter().filter(|(name, _)| !index(name));
        let rest: Vec<_> = rest.map(|(name, _)| Ok(self.path(id, name))).collect();
        let mut deleted = self.store.delete_stream(stream::iter(rest).boxed());
        while within(0, async { Ok(deleted.try_next().await?) }).await?.is_some() {}
        Ok(files.len())
    }
}

/// Waits for a request with `bytes` to carry.
async fn within<T>(bytes: u64, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let patience = REQUEST + Duration::from_secs(bytes / SLOWEST);
    timeout(patience, request).await.unwrap_or(Err(Error::Late))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_its_code_and_without_who_asked() {
        let body = "403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>InvalidAccessKeyId</Code>\
                    <AWSAccessKeyId>AKIA1</AWSAccessKeyId></Error>";
        let error = Error::Store(object_store::Error::Generic { store: "S3", source: body.into() });
        assert_eq!(error.brief(), "Generic S3 error: 403 Forbidden: InvalidAccessKeyId");
    }
}
