//! What happens by itself when time passes, and when that is.

use super::{
    ANNOUNCE, BOOT_GRACE, Broadcast, CHALLENGE, Effect, EndReason, Notice, Phase, SILENCE, State, Turn,
    WARNINGS,
};
use crate::{DownCause, Millis, Refusal};

/// A wait that ends at a known time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    /// An accepted push for its first keyframe.
    Probe,
    /// A held publish attempt for its answer.
    Verdict,
    /// A push that took over for its first keyframe, before anybody is told of an interruption.
    Handover,
    /// An interruption for its announcement.
    Announcement,
    /// An interrupted broadcast for its publisher.
    Window,
    /// A banned broadcast for its pardon.
    Pardon,
    /// A long broadcast for its warning.
    Warning,
    /// A long broadcast for its end.
    MaxDuration,
    /// A planned broadcast for its start.
    PlannedEnd,
    /// An ended broadcast's push for its goodbye.
    Drain,
}

impl Broadcast {
    /// When the next thing happens by itself: [`Broadcast::handle`] an [`super::Event::Tick`] then.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.next_wait().map(|(at, _)| at)
    }

    /// Until when an interrupted broadcast may be resumed: a publish must come before, its keyframe may come later.
    pub fn resume_deadline(&self) -> Option<Millis> {
        match self.state {
            State::Interrupted { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    fn next_wait(&self) -> Option<(Millis, Wait)> {
        let waits = [
            (self.probe_ends(), Wait::Probe),
            (self.verdict_at(), Wait::Verdict),
            (self.handover_ends(), Wait::Handover),
            (self.announcement_at(), Wait::Announcement),
            (self.window_ends(), Wait::Window),
            (self.pardon_ends(), Wait::Pardon),
            (self.warning_at(), Wait::Warning),
            (self.longest_ends(), Wait::MaxDuration),
            (self.plan_ends(), Wait::PlannedEnd),
            (self.drain_ends(), Wait::Drain),
        ];
        waits.into_iter().filter_map(|(at, wait)| Some((at?, wait))).min()
    }

    fn probe_ends(&self) -> Option<Millis> {
        match self.push.as_ref()?.phase {
            Phase::Probing { until } => Some(until),
            _ => None,
        }
    }

    /// Liveness decides between the owner and a challenger as soon as the owner is silent, or else at the end.
    fn verdict_at(&self) -> Option<Millis> {
        let (push, challenger) = (self.push.as_ref()?, self.challenger.as_ref()?);
        Some((push.last_media + SILENCE).min(challenger.since + CHALLENGE))
    }

    fn handover_ends(&self) -> Option<Millis> {
        let probing = self.probe_ends().is_some() && self.state == State::Live;
        probing.then_some(self.last_media? + ANNOUNCE)
    }

    fn announcement_at(&self) -> Option<Millis> {
        match self.state {
            State::Interrupted { announce_at, .. } => announce_at,
            _ => None,
        }
    }

    /// The deadline, held by a publisher that came in time and has not shown a keyframe yet. It is held once: what
    /// takes that publisher's place is measured by the same deadline.
    fn window_ends(&self) -> Option<Millis> {
        let deadline = self.resume_deadline()?;
        Some(
            self.probe_ends()
                .map_or(deadline, |until| until.min(deadline + self.policy.first_media).max(deadline)),
        )
    }

    fn pardon_ends(&self) -> Option<Millis> {
        match self.state {
            State::Banned { deadline } => Some(deadline),
            _ => None,
        }
    }

    fn longest_ends(&self) -> Option<Millis> {
        let runs = matches!(self.state, State::Live | State::Interrupted { .. } | State::Paused);
        self.started_at.filter(|_| runs).map(|started| started + self.policy.max_duration)
    }

    fn warning_at(&self) -> Option<Millis> {
        let (ends, started) = (self.longest_ends()?, self.started_at?);
        let mut left = WARNINGS.iter().skip(self.warned).map(|lead| ends - *lead);
        left.find(|at| *at > started)
    }

    fn plan_ends(&self) -> Option<Millis> {
        let waits = matches!(self.state, State::Created | State::Preview) && !self.start_requested;
        self.plan.planned_end.filter(|_| waits)
    }

    fn drain_ends(&self) -> Option<Millis> {
        match self.push.as_ref()?.phase {
            Phase::Draining { until } => Some(until),
            _ => None,
        }
    }
}

impl Turn<'_> {
    /// Does whatever is due, the oldest first. Each of these ends its wait for good, so this comes to an end.
    pub(super) fn pass_deadlines(&mut self) {
        while let Some((_, wait)) = self.broadcast.next_wait().filter(|(at, _)| *at <= self.now) {
            match wait {
                Wait::Probe => self.probe_failed(),
                Wait::Verdict => self.verdict(),
                Wait::Handover => self.handover_failed(),
                Wait::Announcement => self.announce_interruption(),
                Wait::Window => self.end(EndReason::ResumeTimeout),
                Wait::Pardon => self.end(EndReason::Banned),
                Wait::Warning => self.warn(),
                Wait::MaxDuration => self.end(EndReason::MaxDuration),
                Wait::PlannedEnd => self.expire(),
                Wait::Drain => self.drained(),
            }
        }
    }

    fn probe_failed(&mut self) {
        self.announce(Notice::PushRejected { refusal: Refusal::NoKeyframe });
        self.drop_push(DownCause::Idle);
        self.push_lost(DownCause::Idle);
    }

    fn handover_failed(&mut self) {
        self.effect(Effect::FlushRecording);
        self.wait(self.broadcast.last_media.unwrap_or(self.now), Some(self.now));
    }

    fn announce_interruption(&mut self) {
        if let State::Interrupted { deadline, announce_at, .. } = &mut self.broadcast.state {
            *announce_at = None;
            let deadline = *deadline;
            self.broadcast.away = true;
            self.announce(Notice::Interrupted { deadline });
        }
    }

    /// One warning, even if the server slept through the time of an earlier one.
    fn warn(&mut self) {
        let Some(ends) = self.broadcast.longest_ends() else { return };
        let left = ends.since(self.now);
        self.broadcast.warned = WARNINGS.iter().filter(|lead| left <= **lead).count();
        if !left.is_zero() {
            self.announce(Notice::DurationWarning { left });
        }
    }

    fn expire(&mut self) {
        self.drop_push(DownCause::Over);
        self.dismiss_challenger(Refusal::Ended);
        self.broadcast.state = State::Expired;
        self.broadcast.ended_at = Some(self.now);
        self.announce(Notice::Expired);
    }

    fn drained(&mut self) {
        self.drop_push(DownCause::Over);
    }

    /// The server was away, and with it every connection.
    pub(super) fn boot(&mut self, heard: Option<Millis>) {
        let heard = heard.map(|heard| heard.min(self.now));
        self.broadcast.last_media = self.broadcast.last_media.max(heard);
        self.broadcast.challenger = None;
        let push = self.broadcast.push.take();
        if let Some(push) = &push {
            self.push_is_down(push, DownCause::Server);
        }
        match self.broadcast.state {
            State::Live => {
                self.interrupt();
                // The publisher could not come back while the server was away, so the whole window begins now.
                let window = self.now + self.broadcast.policy.resume_window;
                if let State::Interrupted { since, deadline, announce_at } = &mut self.broadcast.state {
                    *deadline = window;
                    // Viewers have missed it since then, however soon the publisher comes back now.
                    *announce_at = Some(*since + ANNOUNCE);
                }
            }
            State::Interrupted { ref mut deadline, .. } if *deadline > self.now => {
                *deadline = (*deadline).max(self.now + BOOT_GRACE);
            }
            State::Created | State::Preview if push.is_some() => self.push_lost(DownCause::Server),
            _ => {}
        }
    }
}
