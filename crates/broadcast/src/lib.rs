//! The life of a broadcast, and who may push into it.
//!
//! A broadcast is a durable object, not a connection: [`Broadcast`] is a pure state machine that takes events and the
//! time and answers with [`Effect`]s. There is no clock, socket or database here; the actor around it stores the
//! changed state *before* it carries an effect out. [`KeySet`] signs and verifies push and play URLs, [`App`],
//! [`Stream`] and [`BroadcastId`] are names that are safe wherever they are shown.

mod admission;
mod code;
mod key;
mod machine;
mod name;
mod secret;
mod time;

pub use admission::{Admission, Door};
pub use code::{Code, DownCause, Refusal};
pub use key::{Algorithm, Credential, EmptyKey, Fingerprint, KeyError, KeySet, Signature};
pub use machine::{
    Broadcast, CommandConflict, ConflictPolicy, Effect, EndOnUnpublish, EndReason, Epoch, Event,
    ExpiredResume, Notice, Origin, Plan, Policy, Publish, PushState, State,
};
pub use name::{App, BroadcastId, NameError, Stream};
pub use secret::Secret;
pub use time::Millis;
