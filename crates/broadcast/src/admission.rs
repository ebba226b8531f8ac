//! What is decided about a push before there is a broadcast to ask: by its name alone.

use crate::{Fingerprint, KeyError, Millis, Publish, Refusal};

/// What is known about a name when somebody wants to push under it.
#[derive(Clone, Debug, Default)]
pub struct Door<'a> {
    /// Until when the name is banned.
    pub banned_until: Option<Millis>,
    /// A broadcast of this name is not final. (Tick it first: it may be final by now.)
    pub open: bool,
    /// [`crate::Broadcast::barred`] of the newest broadcast of this name.
    pub barred: &'a [Fingerprint],
    /// A push may open a broadcast (`broadcast.auto_create`).
    pub auto_create: bool,
}

/// Where a push goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// To the open broadcast, which decides further.
    Join,
    /// To a new ad-hoc broadcast.
    Open,
}

impl Door<'_> {
    /// Decides about a push whose signature is right: strangers learn nothing here.
    pub fn admit(&self, publish: &Publish, now: Millis) -> Result<Admission, Refusal> {
        if self.banned_until.is_some_and(|until| now < until) {
            return Err(Refusal::Banned);
        }
        if self.open {
            return Ok(Admission::Join);
        }
        if let Some(credential) = &publish.credential {
            if self.barred.contains(&credential.fingerprint) {
                return Err(Refusal::Ended);
            }
            if publish.expired {
                let ago = now.as_secs().saturating_sub(credential.expires.as_secs());
                return Err(KeyError::Expired { credential: credential.clone(), ago }.into());
            }
        }
        if self.auto_create { Ok(Admission::Open) } else { Err(Refusal::NoBroadcast) }
    }
}
