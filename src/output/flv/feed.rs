//! What one FLV viewer is sent, whatever carries it.

use std::{collections::VecDeque, sync::Arc, task::Context};

use bytes::Bytes;
use hyper::header;
use kaibo_audience::Phase;
use kaibo_container::flv::{Flv, millis};
use kaibo_hub::{Cursor, Next, Ring};
use kaibo_media::Tracks;

use crate::{
    broadcasts::Handle,
    http::Call,
    output::{LAGS, Viewer},
    packager::Shared,
    telemetry::Protocol,
};

/// An FLV file without an end: header, then the stream's shared blocks from a keyframe on.
pub struct Feed {
    cursor: Cursor<Shared>,
    /// What the viewer's decoder was set up for.
    tracks: Option<Arc<Tracks>>,
    over: bool,
    viewer: Viewer,
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
    /// Shows `blocks` to a new viewer.
    pub fn join(call: &Call, broadcast: &Handle, blocks: Cursor<Shared>, watched: (Phase, Protocol)) -> Self {
        let whom = (call.address, call.header(header::USER_AGENT));
        let viewer = Viewer::new(&call.server, broadcast, watched, whom);
        Self { cursor: blocks, tracks: None, over: false, viewer }
    }

    /// The ring that it shows.
    pub fn ring(&self) -> Ring<Shared> {
        self.cursor.ring()
    }

    /// Appends what is new to `out`. `batch` is empty before and after.
    pub fn take(&mut self, batch: &mut Vec<Shared>, out: &mut VecDeque<Bytes>) -> Fed {
        self.fill(batch, out, |cursor, batch| cursor.try_next(batch))
    }

    /// The same; where there is nothing, `cx` is woken when there is.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Vec<Shared>,
        out: &mut VecDeque<Bytes>,
    ) -> Fed {
        self.fill(batch, out, |cursor, batch| match cursor.poll_next(cx, batch) {
            std::task::Poll::Ready(next) => Some(next),
            std::task::Poll::Pending => None,
        })
    }

    fn fill(
        &mut self,
        batch: &mut Vec<Shared>,
        out: &mut VecDeque<Bytes>,
        mut next: impl FnMut(&mut Cursor<Shared>, &mut Vec<Shared>) -> Option<Next>,
    ) -> Fed {
        while !self.over {
            match next(&mut self.cursor, batch) {
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
            let time = millis(block.start);
            match &self.tracks {
                None => match Flv::default().header(&block.tracks, time) {
                    Ok(header) => out.push_back(header),
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
                Some(_) => out.push_back(Flv::default().sequence_headers(&block.tracks, time)),
            }
            if self.over {
                return;
            }
            self.tracks = Some(block.tracks.clone());
            out.push_back(block.bytes.clone());
        }
    }
}
