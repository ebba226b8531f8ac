//! What is pushed before the start, for the few who may see it: a way of its own, so that nothing of it can reach the
//! public timeline.

use std::sync::Arc;

use kaibo_container::flv::{Flv, Messages};
use kaibo_hub::{Publisher, Ring, ring};
use kaibo_media::{Frame, Item};

use crate::packager::{Blocks, Gathering, Outlet, Queued};

/// The frames of one push, while somebody watches it. Dropped, its viewers' streams end.
pub struct Preview {
    frames: Publisher<Queued>,
    ring: Ring<Queued>,
    flv: Arc<Outlet<Flv>>,
    rtmp: Arc<Outlet<Messages>>,
}

impl Preview {
    /// Holds no more frames than a public stream has blocks.
    pub fn new(gathering: Gathering) -> Self {
        let (frames, ring) = ring(gathering.limits);
        let (flv, rtmp) =
            (Outlet::new(Flv::default(), gathering), Outlet::new(Messages::default(), gathering));
        Self { frames, ring, flv, rtmp }
    }

    pub fn push(&self, frame: Frame) {
        self.frames.push(Queued(Item::Frame(Arc::new(frame))));
    }

    /// Somebody watches, or did a moment ago.
    pub fn is_watched(&self) -> bool {
        self.ring.cursors() > 0
    }

    /// A new FLV viewer's place: at the next keyframe, if it is the first viewer.
    pub fn join_flv(&self) -> Blocks {
        self.flv.join(&self.ring)
    }

    /// A new RTMP viewer's place.
    pub fn join_rtmp(&self) -> Blocks {
        self.rtmp.join(&self.ring)
    }
}
