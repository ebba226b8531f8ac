//! Pictures that are kept beside a recording. Its index knows nothing of them: they can be made again, and go with it.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
};

use bytes::Bytes;

use crate::{Error, Id, Recordings, disk::open};

/// Bytes of one: many times what a sheet of thumbnails has.
const MOST: u64 = 32 << 20;

/// Something that is kept beside a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// The replay's cover, a JPEG.
    Cover,
    /// The index of its thumbnails, written when all sheets are there.
    Index,
    /// A sheet of thumbnails, a JPEG.
    Sheet(u32),
}

impl Picture {
    /// The name of its file.
    pub fn file(self) -> String {
        match self {
            Self::Cover => "cover.jpg".into(),
            Self::Index => "thumbnails.vtt".into(),
            Self::Sheet(number) => format!("thumbnails-{number}.jpg"),
        }
    }
}

impl Recordings {
    /// Keeps `bytes` beside the recording `id`, in the place of what was there: whoever looks sees the one or the other,
    /// never half of it. Of a recording that is gone nothing is kept.
    pub fn keep(&self, id: &Id, picture: Picture, bytes: &[u8]) -> Result<(), Error> {
        let path = self.folder(id).join(picture.file());
        // The dot and the ending keep it apart from all else in the folder.
        let fresh = self.folder(id).join(format!(".{}.new", picture.file()));
        let written = File::create(&fresh)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&fresh, &path));
        written.map_err(|error| {
            // An error means that it is not there.
            let _ = fs::remove_file(&fresh);
            missing(error, id, &path)
        })
    }

    /// What is kept beside the recording `id`.
    pub fn kept(&self, id: &Id, picture: Picture) -> Result<Bytes, Error> {
        let path = self.folder(id).join(picture.file());
        let mut bytes = Vec::new();
        open(&path)
            .and_then(|file| file.take(MOST).read_to_end(&mut bytes))
            .map_err(|error| missing(error, id, &path))?;
        Ok(bytes.into())
    }
}

fn missing(error: io::Error, id: &Id, path: &std::path::Path) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing(id.clone()),
        _ => Error::at(path)(error),
    }
}
