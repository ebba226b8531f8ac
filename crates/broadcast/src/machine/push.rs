//! The push region: who owns the broadcast, and what its coming and going means.

use super::{
    CREDENTIALS, Challenger, ConflictPolicy, Effect, EndOnUnpublish, EndReason, Epoch, ExpiredResume, Notice,
    Origin, Phase, Publish, Push, SILENCE, State, Turn, fingerprint, remember,
};
use crate::{Credential, DownCause, KeyError, Millis, Refusal};

impl Turn<'_> {
    pub(super) fn publish(&mut self, publish: Publish) {
        let epoch = self.broadcast.next_epoch;
        self.broadcast.next_epoch = Epoch(epoch.0.saturating_add(1));
        if let Some(refusal) = self.refusal(&publish) {
            return self.reject(epoch, refusal);
        }
        let challenger = Challenger { epoch, since: self.now, credential: fingerprint(publish.credential) };
        match (&self.broadcast.push, self.broadcast.policy.conflict) {
            (None, _) => self.accept(challenger),
            (Some(_), ConflictPolicy::Takeover) => self.take_over(challenger),
            (Some(_), ConflictPolicy::Reject) => self.reject(epoch, Refusal::NameLive),
            (Some(_), ConflictPolicy::Probe) => {
                // The newest attempt is the likeliest to be alive: an encoder gives up one before it makes the next.
                self.dismiss_challenger(Refusal::NameLive);
                self.effect(Effect::HoldPublish(epoch));
                self.broadcast.challenger = Some(challenger);
            }
        }
    }

    fn refusal(&self, publish: &Publish) -> Option<Refusal> {
        match self.broadcast.state {
            State::Ended { .. } | State::Expired => return Some(Refusal::Ended),
            State::Banned { .. } => return Some(Refusal::Banned),
            _ => {}
        }
        let credential = publish.credential.as_ref()?;
        if self.broadcast.barred.contains(&credential.fingerprint) {
            return Some(Refusal::Ended);
        }
        if publish.expired && !self.may_resume_expired(credential) {
            let ago = self.now.as_secs().saturating_sub(credential.expires.as_secs());
            return Some(KeyError::Expired { credential: credential.clone(), ago }.into());
        }
        None
    }

    /// A publisher must not lose its broadcast to `txTime` halfway. (While its dead connection still counts as live,
    /// its return is a resume all the same.)
    fn may_resume_expired(&self, credential: &Credential) -> bool {
        self.broadcast.policy.expired_resume == ExpiredResume::SameKey
            && matches!(self.broadcast.state, State::Live | State::Interrupted { .. } | State::Paused)
            && self.broadcast.credentials.contains(&credential.fingerprint)
    }

    pub(super) fn reject(&mut self, epoch: Epoch, refusal: Refusal) {
        self.effect(Effect::RejectPublish { epoch, refusal: refusal.clone() });
        self.announce(Notice::PushRejected { refusal });
    }

    fn accept(&mut self, Challenger { epoch, credential, .. }: Challenger) {
        let phase = Phase::Probing { until: self.now + self.broadcast.policy.first_media };
        self.broadcast.push = Some(Push { epoch, phase, last_media: self.now });
        if let Some(credential) = credential {
            remember(&mut self.broadcast.credentials, credential, CREDENTIALS);
        }
        self.effect(Effect::AcceptPublish(epoch));
    }

    /// Puts a new owner in the place of the old one. The business sees no interruption unless the gap grows.
    pub(super) fn take_over(&mut self, challenger: Challenger) {
        self.drop_push(DownCause::Replaced);
        self.hand_over(challenger);
    }

    fn hand_over(&mut self, challenger: Challenger) {
        match self.broadcast.state {
            State::Live => self.effect(Effect::BreakTimeline),
            State::Preview => self.broadcast.state = State::Created,
            _ => {}
        }
        self.accept(challenger);
    }

    pub(super) fn verdict(&mut self) {
        let silent =
            self.broadcast.push.as_ref().is_none_or(|push| self.now.since(push.last_media) >= SILENCE);
        if !silent {
            return self.dismiss_challenger(Refusal::NameLive);
        }
        if let Some(challenger) = self.broadcast.challenger.take() {
            self.take_over(challenger);
        }
    }

    pub(super) fn dismiss_challenger(&mut self, refusal: Refusal) {
        if let Some(challenger) = self.broadcast.challenger.take() {
            self.reject(challenger.epoch, refusal);
        }
    }

    pub(super) fn media(&mut self, epoch: Epoch, at: Millis) {
        let Some(push) = self.broadcast.push.as_mut().filter(|push| push.epoch == epoch) else { return };
        let at = at.min(self.now);
        push.last_media = push.last_media.max(at);
        if push.phase == Phase::Up && self.broadcast.state == State::Live {
            self.broadcast.last_media = self.broadcast.last_media.max(Some(at));
        }
    }

    pub(super) fn keyframe(&mut self, epoch: Epoch) {
        let Some(push) = self.broadcast.push.as_mut().filter(|push| push.epoch == epoch) else { return };
        let first = match push.phase {
            Phase::Draining { .. } => return,
            Phase::Probing { .. } => true,
            Phase::Up => false,
        };
        push.phase = Phase::Up;
        push.last_media = self.now;
        if first {
            self.introduce();
            self.announce(Notice::PushUp { epoch });
        }
        let starts = self.broadcast.plan.auto_start || self.broadcast.start_requested;
        match self.broadcast.state {
            State::Created | State::Preview if starts => self.go_live(epoch),
            State::Created => {
                self.broadcast.state = State::Preview;
                self.effect(Effect::ShowPreview(epoch));
            }
            State::Interrupted { .. } if self.broadcast.started_at.is_none() => self.go_live(epoch),
            State::Interrupted { .. } => self.go_on(epoch),
            State::Live if first => self.go_on(epoch),
            State::Live => self.broadcast.last_media = Some(self.now),
            _ => {}
        }
    }

    pub(super) fn down(&mut self, epoch: Epoch, cause: DownCause) {
        if self.broadcast.challenger.as_ref().is_some_and(|challenger| challenger.epoch == epoch) {
            self.broadcast.challenger = None;
        }
        if let Some(push) = self.broadcast.push.take_if(|push| push.epoch == epoch) {
            self.push_is_down(&push, cause);
            self.push_lost(cause);
        }
    }

    /// Tells the business, if it was told that the push is up.
    pub(super) fn push_is_down(&mut self, push: &Push, cause: DownCause) {
        if push.phase == Phase::Up {
            self.announce(Notice::PushDown { epoch: push.epoch, cause });
        }
    }

    /// Closes the owner's connection. What that means to the broadcast is the caller's to say.
    pub(super) fn drop_push(&mut self, cause: DownCause) {
        if let Some(push) = self.broadcast.push.take() {
            self.push_is_down(&push, cause);
            self.effect(Effect::ClosePush { epoch: push.epoch, cause });
        }
    }

    /// What the loss of the owner means to the broadcast.
    pub(super) fn push_lost(&mut self, cause: DownCause) {
        // Whoever waits has the key and is here: a hand-over, even if the old one said goodbye.
        if let Some(challenger) = self.broadcast.challenger.take() {
            return self.hand_over(challenger);
        }
        match self.broadcast.state {
            State::Created | State::Preview if self.broadcast.start_requested => self.wait(self.now, None),
            State::Created if !self.broadcast.introduced => self.forget(),
            State::Preview => self.broadcast.state = State::Created,
            State::Live if cause.is_clean() && self.goodbye_ends() => self.end(EndReason::Unpublished),
            State::Live => self.interrupt(),
            _ => {}
        }
    }

    /// An ad-hoc push that never showed anything leaves no trace.
    pub(super) fn forget(&mut self) {
        self.broadcast.state = State::Ended { reason: EndReason::Cancelled };
        self.broadcast.ended_at = Some(self.now);
        self.effect(Effect::Forget);
    }

    fn goodbye_ends(&self) -> bool {
        match self.broadcast.policy.end_on_unpublish {
            EndOnUnpublish::Always => true,
            EndOnUnpublish::Never => false,
            EndOnUnpublish::AutoCreated => self.broadcast.origin == Origin::AdHoc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fingerprint;

    #[test]
    fn the_memory_for_credentials_is_bounded_and_keeps_the_newest() {
        let known = |n: u32| serde_json::from_str::<Fingerprint>(&format!("\"{n}\"")).unwrap();
        let mut credentials = Vec::new();
        for n in 0..100 {
            remember(&mut credentials, known(n), CREDENTIALS);
            remember(&mut credentials, known(n), CREDENTIALS);
        }
        assert_eq!(credentials.len(), CREDENTIALS);
        assert_eq!(credentials.last(), Some(&known(99)));
    }
}
