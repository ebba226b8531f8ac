//! What outlives the server: broadcasts, their audiences, bans, answers to repeated requests, and the
//! notices that are still to be sent.
//!
//! [`Store`] says what a database has to do, [`Sqlite`] does it in one file, and [`Handle`] lets async code use either:
//! the calls of a store block until their effect is on the disk, so one thread makes them all, many in one commit.

mod answer;
mod audience;
mod ban;
mod broadcast;
mod clip;
#[cfg(test)]
mod conformance;
mod error;
mod handle;
mod outbox;
mod sqlite;

use kaibo_broadcast::Millis;

pub use answer::{Answer, Answers, Idempotent};
pub use audience::{Audience, Audiences, Counted};
pub use ban::{Ban, Bans};
pub use broadcast::{Broadcasts, Filter, Record};
pub use clip::{Clip, ClipFilter, ClipKind, Clips};
pub use error::Error;
pub use handle::Handle;
pub use outbox::{
    Attempt, Delivery, DeliveryFilter, DeliveryState, DisabledEndpoint, NewNotice, Notice, Outbox,
};
pub use sqlite::Sqlite;

/// The largest value that is stored, in bytes. A snapshot has some kB, a webhook at most 20 kB.
pub const LARGEST: usize = 1 << 20;

/// What a list holds at most, whatever is asked for: a page of 1,000 broadcasts has a few MB.
pub const PAGE: usize = 1000;

/// A database. Every call blocks; what it writes is durable when it returns, unless it is part of a
/// [`Store::together`].
pub trait Store: Broadcasts + Clips + Bans + Answers + Outbox + Audiences + Send {
    /// Makes everything that `work` writes durable at once, in one commit, or nothing of it if `work` fails. May be
    /// nested: an inner one that fails undoes only itself.
    fn together(&mut self, work: &mut dyn FnMut(&mut dyn Store) -> Result<(), Error>) -> Result<(), Error>;

    /// Forgets what has lapsed or is beyond its bound, a piece at a time.
    fn prune(&mut self, now: Millis) -> Result<Pruned, Error>;
}

/// What [`Store::prune`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Bans that were over.
    pub bans: usize,
    /// Answers that lapsed, or were too many.
    pub answers: usize,
    /// Notices that were too old or too many, with their deliveries.
    pub notices: usize,
    /// How many of those deliveries were still pending: their endpoints never learn of it.
    pub undelivered: usize,
    /// There is more: call again.
    pub more: bool,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last one.
    pub next: Option<u64>,
}
