//! What the actor does of what the machine says.

use std::sync::{Arc, atomic::AtomicI64};

use kaibo_broadcast::{CommandConflict, DownCause, Effect, Epoch, Notice, State};
use tokio::sync::oneshot;

use super::{
    super::{Push, PushFacts, Status},
    Accepted, Actor, Attempt,
};

impl Actor {
    /// Stores what the machine came to, then does what it says.
    pub(super) async fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        attempt: Option<Attempt>,
    ) -> Option<CommandConflict> {
        if !effects.is_empty() {
            // An error is logged, and live goes on.
            let _ = self.store(&effects).await;
        }
        self.act(effects, attempt).await
    }

    /// Does what the machine says, in its order. `attempt` waits for the answer to the publish that was just asked.
    pub(super) async fn act(
        &mut self,
        effects: Vec<Effect>,
        mut attempt: Option<Attempt>,
    ) -> Option<CommandConflict> {
        let mut conflict = None;
        let live = self.handle.live.clone();
        for effect in effects {
            match effect {
                Effect::AcceptPublish(epoch) => {
                    if let Some(attempt) = self.waiting.remove(&epoch).or_else(|| attempt.take()) {
                        self.accept(epoch, attempt);
                    }
                }
                Effect::HoldPublish(epoch) => {
                    self.waiting.extend(attempt.take().map(|attempt| (epoch, attempt)));
                }
                Effect::RejectPublish { epoch, refusal } => {
                    if let Some(attempt) = self.waiting.remove(&epoch).or_else(|| attempt.take()) {
                        // An error is an attempt that gave up waiting.
                        let _ = attempt.reply.send(Err(refusal));
                    }
                }
                Effect::ClosePush { epoch, cause } => self.close(epoch, cause),
                // What a draining push sends is refused by the timeline, so there is nothing to do.
                Effect::DrainPush(_) => {}
                // Its health shows; its media is not public, and is looked at and dropped.
                Effect::ShowPreview(_) => {}
                Effect::GoLive(epoch) | Effect::Continue(epoch) => live.open(epoch),
                Effect::BreakTimeline => live.break_run(),
                // Whoever asks for media is answered by the state: this is for those who watch already.
                Effect::WithholdOutput => live.withhold(),
                Effect::RestoreOutput => live.restore(),
                Effect::EndOutput => {
                    if let State::Ended { reason } = self.broadcast.state() {
                        live.end(reason);
                    }
                }
                Effect::StartRecording => self.record(),
                // The recorder follows the timeline: what it gets it writes at once.
                Effect::FlushRecording | Effect::FinishRecording => {}
                Effect::Announce(notice) => self.announce(&notice),
                Effect::Forget => {
                    self.forgotten = true;
                    // An error is logged, and tried again.
                    let _ = self.save().await;
                }
                Effect::Conflict(what) => conflict = Some(what),
            }
        }
        self.show();
        conflict
    }

    /// Lets everybody see the broadcast as it is now.
    pub(super) fn show(&self) {
        let status = Status::of(&self.broadcast, &self.about, &self.handle.live, self.server.clock.now());
        self.status.send_if_modified(|known| {
            let changed = **known != status;
            if changed {
                *known = Arc::new(status);
            }
            changed
        });
    }

    pub(super) fn is_to_be_recorded(&self) -> bool {
        self.about.record.unwrap_or(self.settings.record.enabled)
    }

    pub(super) fn record(&mut self) {
        if self.is_to_be_recorded() {
            self.handle.live.record(&self.server, &self.broadcast, &self.settings);
            self.kept.recorded = true;
        }
    }

    fn accept(&mut self, epoch: Epoch, attempt: Attempt) {
        let Attempt { peer, reply } = attempt;
        let (close, closing) = oneshot::channel();
        let now = self.server.clock.now();
        let newest_media = Arc::new(AtomicI64::new(now.0));
        self.about.push = Some(PushFacts::new(epoch, peer, now));
        self.accepted = Some(Accepted { epoch, close: Some(close), newest_media: newest_media.clone() });
        let push = Push { epoch, broadcast: self.handle.clone(), closing, newest_media, seat: None };
        // If the publisher has gone away meanwhile, its probe runs out.
        let _ = reply.send(Ok(push));
    }

    pub(super) fn close(&mut self, epoch: Epoch, cause: DownCause) {
        if let Some(close) = self
            .accepted
            .as_mut()
            .filter(|accepted| accepted.epoch == epoch)
            .and_then(|accepted| accepted.close.take())
        {
            // An error is a publisher who is gone already.
            let _ = close.send(cause);
        }
    }

    fn announce(&self, notice: &Notice) {
        let broadcast = self.broadcast.id();
        let name = format_args!("{}/{}", self.broadcast.app(), self.broadcast.stream());
        match notice {
            Notice::PushUp { epoch } => tracing::info!(%broadcast, %name, epoch = epoch.0, "push.up"),
            Notice::PushDown { epoch, cause } => {
                tracing::info!(%broadcast, %name, epoch = epoch.0, code = %cause.code(), reason = %cause, "push.down");
            }
            Notice::PushRejected { refusal } => {
                tracing::info!(%broadcast, %name, code = %refusal.code(), reason = %refusal, "push.rejected");
            }
            Notice::Resumed { gap } => {
                self.server.metrics.resumes.inc();
                tracing::info!(%broadcast, %name, gap_ms = gap.as_millis() as u64, "broadcast.resumed");
            }
            Notice::Ended { reason } => {
                tracing::info!(%broadcast, %name, reason = reason.name(), "broadcast.ended")
            }
            notice => tracing::info!(%broadcast, %name, "{}", notice.name()),
        }
    }
}
