//! What the API asks for.

use super::{ANNOUNCE, BARRED, CommandConflict, Effect, EndReason, Notice, Phase, State, Turn, remember};
use crate::{DownCause, Refusal};

impl Turn<'_> {
    fn conflict(&mut self, conflict: CommandConflict) {
        self.effect(Effect::Conflict(conflict));
    }

    pub(super) fn start(&mut self, force: bool) {
        match self.broadcast.state {
            State::Created | State::Preview => {
                self.broadcast.barred.clear();
                // A push that is up is public from its next keyframe on, one that is probing from its first.
                if self.broadcast.push.is_some() {
                    self.broadcast.start_requested = true;
                } else if force {
                    self.wait(self.now, None);
                } else {
                    self.conflict(CommandConflict::NothingPushed);
                }
            }
            State::Live | State::Interrupted { .. } => self.broadcast.barred.clear(),
            State::Paused => self.conflict(CommandConflict::Paused),
            State::Banned { .. } => self.conflict(CommandConflict::Banned),
            State::Ended { .. } | State::Expired => self.conflict(CommandConflict::Over),
        }
    }

    pub(super) fn stop(&mut self) {
        let reason = match self.broadcast.state {
            State::Ended { .. } | State::Expired => return,
            // What a ban hides stays hidden.
            State::Banned { .. } => EndReason::Banned,
            _ if self.broadcast.started_at.is_some() => EndReason::Stopped,
            _ => EndReason::Cancelled,
        };
        for credential in std::mem::take(&mut self.broadcast.credentials) {
            remember(&mut self.broadcast.barred, credential, BARRED);
        }
        self.end(reason);
    }

    pub(super) fn pause(&mut self) {
        match self.broadcast.state {
            State::Live => {
                self.broadcast.state = State::Paused;
                self.broadcast.away = true;
                self.effect(Effect::BreakTimeline);
                self.effect(Effect::FlushRecording);
                self.announce(Notice::Paused);
            }
            State::Paused => {}
            State::Interrupted { .. } => self.conflict(CommandConflict::Interrupted),
            State::Created | State::Preview => self.conflict(CommandConflict::NotStarted),
            State::Banned { .. } => self.conflict(CommandConflict::Banned),
            State::Ended { .. } | State::Expired => self.conflict(CommandConflict::Over),
        }
    }

    pub(super) fn resume(&mut self) {
        match self.broadcast.state {
            State::Paused => match &self.broadcast.push {
                Some(push) if push.phase == Phase::Up => self.go_on(push.epoch),
                _ => self.wait(self.now, Some(self.now + ANNOUNCE)),
            },
            State::Live | State::Interrupted { .. } => {}
            State::Created | State::Preview => self.conflict(CommandConflict::NotStarted),
            State::Banned { .. } => self.conflict(CommandConflict::Banned),
            State::Ended { .. } | State::Expired => self.conflict(CommandConflict::Over),
        }
    }

    pub(super) fn kick(&mut self) {
        if self.broadcast.push.is_none() {
            return self.conflict(CommandConflict::NothingPushed);
        }
        self.drop_push(DownCause::Kicked);
        self.push_lost(DownCause::Kicked);
    }

    pub(super) fn ban(&mut self) {
        if self.broadcast.state.is_final() || matches!(self.broadcast.state, State::Banned { .. }) {
            return;
        }
        self.drop_push(DownCause::Banned);
        self.dismiss_challenger(Refusal::Banned);
        if !self.broadcast.introduced {
            return self.forget();
        }
        if self.broadcast.started_at.is_some() {
            self.effect(Effect::WithholdOutput);
            if self.broadcast.state == State::Live {
                self.effect(Effect::BreakTimeline);
            }
            self.effect(Effect::FlushRecording);
        }
        self.broadcast.state = State::Banned { deadline: self.now + self.broadcast.policy.resume_window };
        self.broadcast.start_requested = false;
        self.broadcast.away = true;
        self.announce(Notice::Banned);
    }

    pub(super) fn unban(&mut self) {
        if !matches!(self.broadcast.state, State::Banned { .. }) {
            return;
        }
        if self.broadcast.started_at.is_some() {
            self.effect(Effect::RestoreOutput);
            self.wait(self.now, Some(self.now + ANNOUNCE));
        } else {
            self.broadcast.state = State::Created;
        }
    }
}
