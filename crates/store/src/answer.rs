//! Answers to requests that may be repeated (`Idempotency-Key`).

use std::time::Duration;

use kaibo_broadcast::Millis;

use crate::Error;

/// Answers kept at most. At one write per second they fill a day; beyond that those that lapse first go.
pub(crate) const ANSWERS: u64 = 100_000;

/// How long a request counts as being carried out: much longer than any takes, so a crash blocks its key this long.
pub(crate) const RUNNING: Duration = Duration::from_secs(60);

/// What a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// What is known of a request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotent {
    /// Nothing. It counts as being carried out from now on: [`Answers::remember`] or [`Answers::release`] ends that, or
    /// 60 s do.
    New,
    /// It is being carried out.
    Running,
    /// It was answered.
    Known(Answer),
    /// Another request came with this key.
    Conflict,
}

/// Answers by key. A key is one client's: put its name before what it sends.
pub trait Answers {
    /// Begins the request with `key`, unless that happened before. `fingerprint`: a digest of the whole request.
    fn idempotent(&mut self, key: &str, fingerprint: &str, now: Millis) -> Result<Idempotent, Error>;

    /// The request with `key` was carried out; its repetitions get the same answer until `expires`.
    fn remember(&mut self, key: &str, answer: &Answer, expires: Millis) -> Result<(), Error>;

    /// The request with `key` came to nothing; it may be tried again.
    fn release(&mut self, key: &str) -> Result<(), Error>;
}
