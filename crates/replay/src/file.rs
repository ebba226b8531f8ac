//! The files that a recording is made of.

use crate::recording::{init_file, segment_file};

/// A file of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum File {
    /// An initialisation section.
    Init(u32),
    /// A segment.
    Segment(u64),
    /// Where frames lie in the segments; see [`crate::Frames`].
    Frames,
}

impl File {
    /// What it is called in the recording's folder.
    pub fn name(self) -> String {
        match self {
            Self::Init(number) => init_file(number),
            Self::Segment(number) => segment_file(number),
            Self::Frames => "frames.bin".to_owned(),
        }
    }
}
