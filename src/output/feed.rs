//! What one connected viewer is sent, whatever carries it.

mod stream;

use std::{collections::VecDeque, sync::Arc, task::Context};

use bytes::Bytes;
use kaibo_container::flv::{Flv, Messages, millis};
use kaibo_hub::Next;
use kaibo_media::{Timestamp, Tracks};

pub use self::stream::Stream;
use super::{LAGS, Viewer};
use crate::packager::{Blocks, Shared};

/// Media without an end: what a decoder is set up with, then the stream's shared blocks from a keyframe on.
pub struct Feed {
    format: Format,
    blocks: Blocks,
    /// What the viewer's decoder was set up for.
    tracks: Option<Arc<Tracks>>,
    over: bool,
    viewer: Viewer,
}

/// What the blocks are made of.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// FLV tags, behind a file header.
    Flv,
    /// RTMP messages.
    Rtmp,
}

impl Format {
    /// What goes before the first block, of `tracks` from `time` on; none where that can't be shown.
    fn opening(self, tracks: &Tracks, time: Timestamp) -> Option<Bytes> {
        match self {
            Self::Flv => Flv::default().header(tracks, millis(time)).ok(),
            Self::Rtmp => Some(Messages::default().opening(tracks, time)),
        }
    }

    /// What goes between blocks of `old` and `new` tracks; none where players take that in only by opening the stream anew.
    fn change(self, old: &Tracks, new: &Tracks, time: Timestamp) -> Option<Bytes> {
        match self {
            // The file header announced what there is.
            Self::Flv => {
                let same =
                    old.video.is_some() == new.video.is_some() && old.audio.is_some() == new.audio.is_some();
                same.then(|| Flv::default().sequence_headers(new, millis(time)))
            }
            Self::Rtmp => Some(Messages::default().opening(new, time)),
        }
    }
}

/// What there is for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// It was given some bytes.
    Some,
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the broadcast has ended, or the viewer has to open the stream anew.
    Over,
}

impl Feed {
    /// Shows `viewer` the `blocks`.
    pub fn new(viewer: Viewer, format: Format, blocks: Blocks) -> Self {
        Self { format, blocks, tracks: None, over: false, viewer }
    }

    /// What it shows.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// Appends what is new of what was made to `out`. `batch` is empty before and after.
    pub fn take(&mut self, batch: &mut Vec<Shared>, out: &mut VecDeque<Bytes>) -> Fed {
        self.fill(batch, out, |blocks, batch| blocks.try_next(batch))
    }

    /// The same; where there is nothing, `cx` is woken when there is.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Vec<Shared>,
        out: &mut VecDeque<Bytes>,
    ) -> Fed {
        self.fill(batch, out, |blocks, batch| match blocks.poll_next(cx, batch) {
            std::task::Poll::Ready(next) => Some(next),
            std::task::Poll::Pending => None,
        })
    }

    fn fill(
        &mut self,
        batch: &mut Vec<Shared>,
        out: &mut VecDeque<Bytes>,
        mut next: impl FnMut(&mut Blocks, &mut Vec<Shared>) -> Option<Next>,
    ) -> Fed {
        while !self.over {
            match next(&mut self.blocks, batch) {
                None => return Fed::Nothing,
                Some(Next::Entries) => {
                    let before = out.len();
                    self.write(batch, out);
                    let bytes = out.iter().skip(before).map(Bytes::len).sum();
                    if bytes > 0 {
                        self.viewer.sent(bytes);
                        return Fed::Some;
                    }
                }
                Some(Next::Lagged { .. }) => self.over = self.viewer.lagged() > LAGS,
                Some(Next::End) => self.over = true,
            }
        }
        Fed::Over
    }

    fn write(&mut self, batch: &mut Vec<Shared>, out: &mut VecDeque<Bytes>) {
        for Shared(block) in batch.drain(..) {
            let introduced = match &self.tracks {
                None => self.format.opening(&block.tracks, block.start).map(|bytes| out.push_back(bytes)),
                Some(tracks) if Arc::ptr_eq(tracks, &block.tracks) || **tracks == *block.tracks => Some(()),
                // After a lag the block with the new headers may be among those that were missed.
                Some(tracks) => {
                    let change = self.format.change(tracks, &block.tracks, block.start);
                    change.map(|bytes| out.push_back(bytes))
                }
            };
            if introduced.is_none() {
                self.over = true;
                return;
            }
            self.tracks = Some(block.tracks.clone());
            out.push_back(block.bytes.clone());
        }
    }
}
