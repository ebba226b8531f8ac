//! The bytes of one FLV viewer, whatever carries them.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::header;
use kaibo_audience::Phase;
use kaibo_container::flv::{Flv, millis};
use kaibo_hub::{Cursor, Next};
use kaibo_media::Tracks;

use crate::{
    broadcasts::Handle,
    http::Call,
    output::{LAGS, Viewer},
    packager::Shared,
    telemetry::Protocol,
};

/// An FLV file without an end: header, then the stream's shared blocks from a keyframe on.
pub struct Stream {
    cursor: Cursor<Shared>,
    batch: Vec<Shared>,
    /// Bytes of the batch that are not handed on yet.
    ready: VecDeque<Bytes>,
    /// What the viewer's decoder was set up for.
    tracks: Option<Arc<Tracks>>,
    over: bool,
    viewer: Viewer,
}

impl Stream {
    /// Shows `blocks` to a new viewer.
    pub fn join(call: &Call, broadcast: &Handle, blocks: Cursor<Shared>, watched: (Phase, Protocol)) -> Self {
        let whom = (call.address, call.header(header::USER_AGENT));
        Self {
            cursor: blocks,
            batch: Vec::new(),
            ready: VecDeque::new(),
            tracks: None,
            over: false,
            viewer: Viewer::new(&call.server, broadcast, watched, whom),
        }
    }

    /// The next bytes; `None` at the end of the broadcast, and where the viewer has to open the stream anew.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.viewer.sent(bytes.len());
                return Poll::Ready(Some(bytes));
            }
            if self.over {
                return Poll::Ready(None);
            }
            match ready!(self.cursor.poll_next(cx, &mut self.batch)) {
                Next::Entries => self.take_batch(),
                Next::Lagged { .. } => self.over = self.viewer.lagged() > LAGS,
                Next::End => self.over = true,
            }
        }
    }

    fn take_batch(&mut self) {
        for Shared(block) in self.batch.drain(..) {
            let time = millis(block.start);
            match &self.tracks {
                None => match Flv::default().header(&block.tracks, time) {
                    Ok(header) => self.ready.push_back(header),
                    Err(_) => self.over = true,
                },
                Some(tracks) if Arc::ptr_eq(tracks, &block.tracks) || **tracks == *block.tracks => {}
                // The file header announced other tracks: players take that in only by opening the stream anew.
                Some(tracks)
                    if tracks.video.is_some() != block.tracks.video.is_some()
                        || tracks.audio.is_some() != block.tracks.audio.is_some() =>
                {
                    self.over = true;
                }
                // After a lag the block with the new headers may be among those that were missed.
                Some(_) => self.ready.push_back(Flv::default().sequence_headers(&block.tracks, time)),
            }
            if self.over {
                return;
            }
            self.tracks = Some(block.tracks.clone());
            self.ready.push_back(block.bytes.clone());
        }
    }
}
