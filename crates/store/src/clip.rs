//! Clips and edited versions of replays.

use kaibo_broadcast::{App, BroadcastId, Millis, Stream};

use crate::{Error, NewNotice, Page};

/// Clips and versions of one broadcast: those that people and their backend make while it lasts, and some.
pub(crate) const CLIPS: usize = 1000;

/// What a [`Clip`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipKind {
    /// One stretch of a broadcast.
    Clip,
    /// A replay without some of its stretches.
    Version,
}

impl ClipKind {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Version => "version",
        }
    }
}

/// A clip or an edited version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// Its identity, and that of its recording.
    pub id: BroadcastId,
    /// What it is.
    pub kind: ClipKind,
    /// What it was cut out of.
    pub broadcast: BroadcastId,
    /// The app.
    pub app: App,
    /// The name within it.
    pub stream: Stream,
    /// The `state` of the API.
    pub state: String,
    /// Something is still to be done for it.
    pub is_open: bool,
    /// Its title, for people.
    pub title: String,
    /// Whoever has its address may watch it.
    pub public: bool,
    /// When it was made. Never changes.
    pub created_at: Millis,
    /// JSON of what is cut out.
    pub cut: String,
}

/// Which clips a list is to hold.
#[derive(Clone, Debug)]
pub struct ClipFilter {
    /// Clips or versions.
    pub kind: Option<ClipKind>,
    /// Only those of this broadcast.
    pub broadcast: Option<BroadcastId>,
    /// Only those of this app.
    pub app: Option<App>,
    /// Only those of this name.
    pub stream: Option<Stream>,
    /// Where the page begins: the [`Page::next`] of the one before.
    pub cursor: Option<u64>,
    /// How many; at most [`crate::PAGE`].
    pub limit: usize,
}

impl Default for ClipFilter {
    fn default() -> Self {
        Self { kind: None, broadcast: None, app: None, stream: None, cursor: None, limit: 50 }
    }
}

/// The clips and edited versions of a server.
pub trait Clips {
    /// The clip as it is now, and the notices that follow from it. Answers the [`crate::Notice::sequence`] of each.
    /// Fails with [`Error::TooManyClips`] where it is a new one beyond 1,000 of its broadcast.
    fn save_clip(&mut self, clip: &Clip, notices: &[NewNotice]) -> Result<Vec<u64>, Error>;

    /// The clip `id`.
    fn clip(&self, id: &BroadcastId) -> Result<Option<Clip>, Error>;

    /// The clips that pass `filter`, newest first.
    fn clips(&self, filter: &ClipFilter) -> Result<Page<Clip>, Error>;

    /// Every clip for which something is still to be done, oldest first.
    fn open_clips(&self) -> Result<Vec<Clip>, Error>;

    /// From now on whoever has the address of a clip of `broadcast` may watch it, or not.
    fn publish_clips(&mut self, broadcast: &BroadcastId, public: bool) -> Result<(), Error>;

    /// Forgets a clip. False: there was none.
    fn delete_clip(&mut self, id: &BroadcastId) -> Result<bool, Error>;
}
