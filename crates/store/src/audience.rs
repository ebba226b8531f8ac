//! How many watched.

use kaibo_broadcast::{BroadcastId, Millis};

use crate::Error;

/// A stretch of time, and what was counted in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What was watched.
    pub phase: String,
    /// When counting began. Another one of the same broadcast, phase and start is a later state of this one.
    pub start: Millis,
    /// JSON.
    pub counts: String,
}

/// What is stored of a broadcast's audience.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// By phase and start.
    pub counted: Vec<Counted>,
    /// What tells viewers who were there from those who were not; none: as it was.
    pub seen: Option<Vec<u8>>,
}

/// The audiences of broadcasts.
pub trait Audiences {
    /// Adds to what is stored of the audience of `broadcast`, `now`. Of a broadcast that is not stored nothing is, either.
    fn save_audience(
        &mut self,
        broadcast: &BroadcastId,
        audience: &Audience,
        now: Millis,
    ) -> Result<(), Error>;

    /// Everything that is stored of the audience of `broadcast`.
    fn audience(&self, broadcast: &BroadcastId) -> Result<Audience, Error>;

    /// What tells viewers apart, alone.
    fn audience_seen(&self, broadcast: &BroadcastId) -> Result<Option<Vec<u8>>, Error>;

    /// Forgets what was counted before `before`, a piece at a time; how much. Nothing: that was all.
    fn prune_audiences(&mut self, before: Millis) -> Result<usize, Error>;
}
