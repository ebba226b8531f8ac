//! Names that may not be pushed.

use kaibo_broadcast::{App, Millis, Stream};

use crate::Error;

/// Bans in force at once. They are set by people or their backend, one by one, and [`Bans::bans`] lists them all.
pub(crate) const BANS: usize = 10_000;

/// A name that may not be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The app.
    pub app: App,
    /// The name within it.
    pub stream: Stream,
    /// When it was banned.
    pub since: Millis,
    /// The first moment that it may be pushed again.
    pub until: Millis,
    /// Why, for people.
    pub reason: String,
}

/// The names that may not be pushed.
pub trait Bans {
    /// Bans a name, in the place of an earlier ban. Fails with [`Error::TooManyBans`] beyond 10,000.
    fn put_ban(&mut self, ban: &Ban) -> Result<(), Error>;

    /// The ban of a name, if it is in force.
    fn ban(&self, app: &App, stream: &Stream, now: Millis) -> Result<Option<Ban>, Error>;

    /// Lifts the ban of a name. False: there was none.
    fn lift_ban(&mut self, app: &App, stream: &Stream) -> Result<bool, Error>;

    /// Every ban in force, by name.
    fn bans(&self, now: Millis) -> Result<Vec<Ban>, Error>;
}
