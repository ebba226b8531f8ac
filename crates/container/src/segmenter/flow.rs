//! The frames that wait, and what they belong to.

use std::sync::Arc;

use kaibo_media::{Frame, Run, Span, TrackId, Tracks};

use super::queue::Queue;

/// The frames of one run that belong to the same tracks.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) run: Run,
    /// It fills the time without a publisher.
    pub(super) filler: bool,
    pub(super) tracks: Arc<Tracks>,
    pub(super) video: Queue,
    pub(super) audio: Queue,
    pub(super) entry: Entry,
    /// No pictures come; audio drives instead.
    pub(super) stalled: bool,
}

/// Which picture may begin a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entry {
    /// A keyframe, and audio from before it is dropped: viewers start here.
    First,
    /// A keyframe: the decoder is to begin anew.
    Keyframe,
    /// Any: what it builds on has been published.
    Any,
}

impl Flow {
    pub(super) fn new(frame: &Frame, entry: Entry) -> Self {
        let tracks = frame.tracks.clone();
        let picture = tracks.video.as_ref().and_then(|video| video.frame_rate).filter(|rate| *rate > 0.0);
        let picture = picture.map(|rate| Span::from_scale((1_000_000.0 / rate) as i64, 1_000_000));
        let sound = tracks
            .audio
            .as_ref()
            .map(|audio| Span::from_scale(audio.samples_per_frame.into(), audio.sample_rate));
        Self {
            run: frame.run,
            filler: frame.filler,
            video: Queue::new(picture),
            audio: Queue::new(sound),
            tracks,
            entry,
            stalled: false,
        }
    }

    pub(super) fn driver(&self) -> TrackId {
        if self.tracks.video.is_some() { TrackId::Video } else { TrackId::Audio }
    }

    pub(super) fn queue(&self, track: TrackId) -> &Queue {
        if track == TrackId::Video { &self.video } else { &self.audio }
    }

    pub(super) fn push(&mut self, frame: &Arc<Frame>) {
        let queue = if frame.track == TrackId::Video { &mut self.video } else { &mut self.audio };
        queue.push(frame.clone());
    }

    /// The queue whose frames say how far the stream has come.
    pub(super) fn driving(&self) -> &Queue {
        self.queue(if self.stalled { TrackId::Audio } else { self.driver() })
    }
}
