//! Notices, and their delivery to endpoints: at least once, in order per broadcast.

use std::time::Duration;

use kaibo_broadcast::{BroadcastId, Millis};

use crate::{Error, Page};

/// Notices kept at most, delivered or not: about 100 MB. Beyond that the oldest go.
pub(crate) const NOTICES: u64 = 100_000;

/// How long notices are kept, delivered or not: ten times as long as the longest retries take.
pub(crate) const NOTICE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Something that happened and is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// Its identity for whoever is told, the same in every attempt; a second one with it is ignored.
    pub id: String,
    /// The broadcast that it is about. Those about one are told in order, those about none at once.
    pub broadcast: Option<BroadcastId>,
    /// The name of the event, e.g. `broadcast.started`.
    pub kind: String,
    /// When it happened.
    pub at: Millis,
    /// What is told, as JSON.
    pub body: String,
    /// Who is told, by name: those of the configuration that want this event.
    pub endpoints: Vec<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its place among all notices: grows, is never given twice, may skip.
    pub sequence: u64,
    /// Its identity for whoever is told.
    pub id: String,
    /// The broadcast that it is about.
    pub broadcast: Option<BroadcastId>,
    /// The name of the event.
    pub kind: String,
    /// When it happened.
    pub at: Millis,
    /// What is told, as JSON.
    pub body: String,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Not told yet.
    Pending,
    /// Told.
    Delivered,
    /// Never told.
    GaveUp,
}

impl DeliveryState {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GaveUp => "gave_up",
        }
    }

    /// The state called `name`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::GaveUp].into_iter().find(|state| state.name() == name)
    }
}

/// One try to tell an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Millis,
    /// How long it took.
    pub took: Duration,
    /// The HTTP status of the answer, if one came.
    pub status: Option<u16>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// One notice for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its identity.
    pub id: u64,
    /// Who is told.
    pub endpoint: String,
    /// What.
    pub notice: Notice,
    /// How far it is.
    pub state: DeliveryState,
    /// When it is tried next; none once it is over, and while an older one for the same endpoint and broadcast is not.
    pub next_attempt: Option<Millis>,
    /// How often it was tried since the beginning or the last [`Outbox::retry`].
    pub attempts: u32,
    /// How the newest attempt went.
    pub last: Option<Attempt>,
}

/// Which deliveries a list is to hold.
#[derive(Clone, Debug)]
pub struct DeliveryFilter {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those to this endpoint.
    pub endpoint: Option<String>,
    /// Only those about this broadcast.
    pub broadcast: Option<BroadcastId>,
    /// Where the page begins: the [`Page::next`] of the one before.
    pub cursor: Option<u64>,
    /// How many; at most [`crate::PAGE`].
    pub limit: usize,
}

impl Default for DeliveryFilter {
    fn default() -> Self {
        Self { state: None, endpoint: None, broadcast: None, cursor: None, limit: 50 }
    }
}

/// An endpoint that is sent nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisabledEndpoint {
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: Millis,
    /// Why, for people.
    pub reason: String,
}

/// What is still to be told, and what was. The newest 100,000 notices are kept, for 30 days.
pub trait Outbox {
    /// Notices that follow from no transition of a broadcast, e.g. of a push that was refused at the door. Answers the
    /// [`Notice::sequence`] of each.
    fn post(&mut self, notices: &[NewNotice]) -> Result<Vec<u64>, Error>;

    /// What is to be sent to `endpoint` now, the longest due first: of each broadcast only the oldest that is pending.
    /// Nothing while the endpoint is disabled. It is due until one of the next three calls says otherwise.
    fn due(&self, endpoint: &str, now: Millis, limit: usize) -> Result<Vec<Delivery>, Error>;

    /// A delivery arrived; the next one about its broadcast is due at once.
    fn delivered(&mut self, id: u64, attempt: &Attempt) -> Result<(), Error>;

    /// An attempt failed; those behind it go on waiting.
    fn failed(&mut self, id: u64, attempt: &Attempt, next_attempt: Millis) -> Result<(), Error>;

    /// The last attempt failed; the next delivery about its broadcast is due at once.
    fn give_up(&mut self, id: u64, attempt: &Attempt) -> Result<(), Error>;

    /// Sends a delivery again, now, whatever became of it; one that waits for an older one goes on waiting. False: there
    /// is none.
    fn retry(&mut self, id: u64, now: Millis) -> Result<bool, Error>;

    /// The deliveries that pass `filter`, newest first.
    fn deliveries(&self, filter: &DeliveryFilter) -> Result<Page<Delivery>, Error>;

    /// Sends nothing more to an endpoint; what is for it is kept.
    fn disable_endpoint(&mut self, endpoint: &DisabledEndpoint) -> Result<(), Error>;

    /// Sends to an endpoint again. False: it was not disabled.
    fn enable_endpoint(&mut self, name: &str) -> Result<bool, Error>;

    /// The endpoints that are sent nothing.
    fn disabled_endpoints(&self) -> Result<Vec<DisabledEndpoint>, Error>;

    /// The [`Notice::sequence`] of the newest notice; 0 if there is none.
    fn newest(&self) -> Result<u64, Error>;

    /// The notices after `sequence`, oldest first, for a client that was away.
    fn notices(&self, after: u64, limit: usize) -> Result<Vec<Notice>, Error>;
}
