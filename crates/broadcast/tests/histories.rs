//! Random histories of one name, against a model that counts seconds instead of planning deadlines.

#![cfg(test)]

mod model;
mod scene;

use std::{sync::LazyLock, time::Duration};

use kaibo_broadcast::{
    Admission, Broadcast, Credential, Door, DownCause, Effect, Epoch, Event, Millis, Notice, Origin, Plan,
    Policy, Publish,
};
use model::{MAX, Model, WINDOW};
use proptest::{prelude::*, test_runner::RngAlgorithm};
use scene::{START, credential, secs};

#[derive(Clone, Copy, Debug)]
enum Who {
    Owner,
    Challenger,
    Older,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Sends(bool),
    Create { auto_start: bool },
    Publish { key: usize, expired: bool },
    Keyframe(Who),
    Down(Who, DownCause),
    Start { force: bool },
    Stop,
    Pause,
    Resume,
    Kick,
    Ban,
    Unban,
    Boot,
}

fn step() -> impl Strategy<Value = Step> {
    let who = prop_oneof![8 => Just(Who::Owner), 1 => Just(Who::Challenger), 1 => Just(Who::Older)];
    let cause = prop_oneof![Just(DownCause::Error), Just(DownCause::Idle), Just(DownCause::DeleteStream)];
    prop_oneof![
        8 => prop_oneof![0..4u64, 18..22u64, WINDOW - 1..WINDOW + 2, Just(MAX / 3)].prop_map(Step::Wait),
        2 => any::<bool>().prop_map(Step::Sends),
        1 => any::<bool>().prop_map(|auto_start| Step::Create { auto_start }),
        6 => (0..3usize, prop::bool::weighted(0.2)).prop_map(|(key, expired)| Step::Publish { key, expired }),
        6 => who.clone().prop_map(Step::Keyframe),
        5 => (who, cause).prop_map(|(who, cause)| Step::Down(who, cause)),
        2 => any::<bool>().prop_map(|force| Step::Start { force }),
        1 => Just(Step::Stop),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Kick),
        1 => Just(Step::Ban),
        2 => Just(Step::Unban),
        1 => Just(Step::Boot),
    ]
}

/// A name as the server keeps it: its broadcasts, and what they said so far.
struct Name {
    credentials: [Credential; 3],
    now: Millis,
    alive: bool,
    banned: bool,
    broadcasts: Vec<(Broadcast, Witness)>,
}

static CREDENTIALS: LazyLock<[Credential; 3]> = LazyLock::new(|| [1, 2, 3].map(credential));

fn policy() -> Policy {
    Policy { resume_window: secs(WINDOW), max_duration: secs(MAX), ..Policy::default() }
}

impl Name {
    fn new() -> Self {
        Self {
            credentials: CREDENTIALS.clone(),
            now: START,
            alive: true,
            banned: false,
            broadcasts: Vec::new(),
        }
    }

    fn open(&self) -> Option<&Broadcast> {
        self.broadcasts.iter().map(|(broadcast, _)| broadcast).find(|broadcast| !broadcast.state().is_final())
    }

    fn id(&self) -> kaibo_broadcast::BroadcastId {
        format!("b{}", self.broadcasts.len()).parse().unwrap()
    }

    fn create(&mut self, auto_start: bool) {
        let plan = Plan { auto_start, ..Plan::default() };
        let (app, stream) = ("live".parse().unwrap(), "room1".parse().unwrap());
        let (broadcast, effects) = Broadcast::create(self.id(), app, stream, plan, policy(), self.now);
        let mut witness = Witness::default();
        witness.see(&broadcast, &effects);
        self.broadcasts.push((broadcast, witness));
    }

    /// Gives `event` to the newest broadcast.
    fn does(&mut self, event: Event) {
        let Some((broadcast, witness)) = self.broadcasts.last_mut() else { return };
        if let Event::Down { epoch, .. } = event {
            witness.owner.take_if(|owner| *owner == epoch);
        }
        if matches!(event, Event::Boot { .. }) {
            witness.owner = None;
        }
        let effects = broadcast.handle(event, self.now);
        witness.see(broadcast, &effects);
    }

    fn sends(&mut self) {
        let owner = self.broadcasts.last().and_then(|(broadcast, _)| broadcast.owner());
        if let (true, Some(epoch)) = (self.alive, owner) {
            self.does(Event::Media { epoch, at: self.now });
        }
    }

    fn passes(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let deadline = self.broadcasts.last().and_then(|(broadcast, _)| broadcast.next_deadline());
            let Some(at) = deadline.filter(|at| *at <= end) else { break };
            assert!(at > self.now, "a deadline that does not move");
            self.now = at;
            self.sends();
            self.does(Event::Tick);
        }
        self.now = end;
        self.sends();
    }

    fn publishes(&mut self, publish: Publish) {
        let door = Door {
            banned_until: self.banned.then_some(Millis(i64::MAX)),
            open: self.open().is_some(),
            barred: self.broadcasts.last().map(|(broadcast, _)| broadcast.barred()).unwrap_or_default(),
            auto_create: true,
        };
        match door.admit(&publish, self.now) {
            Err(_) => {}
            Ok(Admission::Join) => self.does(Event::Publish(publish)),
            Ok(Admission::Open) => {
                let (app, stream) = ("live".parse().unwrap(), "room1".parse().unwrap());
                let opened = Broadcast::ad_hoc(self.id(), app, stream, policy(), door.barred, self.now);
                self.broadcasts.push((opened, Witness::default()));
                self.does(Event::Publish(publish));
            }
        }
    }

    fn take(&mut self, step: Step, model: &Model) {
        match step {
            Step::Wait(seconds) => self.passes(secs(seconds)),
            Step::Sends(alive) => self.alive = alive,
            Step::Create { auto_start } if self.open().is_none() && !self.banned => self.create(auto_start),
            Step::Create { .. } => {}
            Step::Publish { key, expired } => {
                self.sends();
                self.publishes(Publish { credential: Some(self.credentials[key].clone()), expired });
            }
            Step::Keyframe(who) => self.does(Event::Keyframe { epoch: Epoch(model.epoch_of(who)) }),
            Step::Down(who, cause) => {
                self.sends();
                self.does(Event::Down { epoch: Epoch(model.epoch_of(who)), cause });
            }
            Step::Start { force } => self.does(Event::Start { force }),
            Step::Stop => self.does(Event::Stop),
            Step::Pause => self.does(Event::Pause),
            Step::Resume => self.does(Event::Resume),
            Step::Kick => self.does(Event::Kick),
            Step::Ban => {
                self.banned = true;
                self.does(Event::Ban);
            }
            Step::Unban => {
                self.banned = false;
                self.does(Event::Unban);
            }
            Step::Boot => self.does(Event::Boot { heard: None }),
        }
    }
}

/// Checks what a backend and the transport see of one broadcast.
#[derive(Default)]
struct Witness {
    created: bool,
    started: bool,
    over: bool,
    away: bool,
    pushed: Option<Epoch>,
    owner: Option<Epoch>,
    public: bool,
}

impl Witness {
    fn see(&mut self, broadcast: &Broadcast, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::AcceptPublish(epoch) => {
                    assert_eq!(self.owner.replace(*epoch), None, "two owners");
                }
                Effect::ClosePush { epoch, .. } => assert_eq!(self.owner.take(), Some(*epoch)),
                Effect::DrainPush(epoch) => assert_eq!(self.owner, Some(*epoch)),
                Effect::GoLive(epoch) | Effect::Continue(epoch) => {
                    assert_eq!(self.started, matches!(effect, Effect::Continue(_)));
                    assert_eq!(self.owner, Some(*epoch));
                    assert!(!std::mem::replace(&mut self.public, true), "two runs at once");
                }
                Effect::BreakTimeline | Effect::EndOutput => self.public = false,
                Effect::Announce(notice) => self.hear(broadcast, notice),
                Effect::Forget => assert!(!self.created, "forgot what was announced"),
                _ => {}
            }
        }
        assert_eq!(self.owner, broadcast.owner());
        assert!(!broadcast.state().is_final() || !self.public);
    }

    fn hear(&mut self, broadcast: &Broadcast, notice: &Notice) {
        if !matches!(notice, Notice::PushRejected { .. }) {
            assert!(!self.over, "{notice:?} after the end");
            assert!(self.created || *notice == Notice::Created, "{notice:?} of an unknown broadcast");
        }
        match notice {
            Notice::Created => assert!(!std::mem::replace(&mut self.created, true), "created twice"),
            Notice::PushUp { epoch } => assert_eq!(self.pushed.replace(*epoch), None, "up twice"),
            Notice::PushDown { epoch, .. } => assert_eq!(self.pushed.take(), Some(*epoch), "down without up"),
            Notice::Started => assert!(!std::mem::replace(&mut self.started, true), "started twice"),
            Notice::Interrupted { .. } | Notice::Paused | Notice::Banned => self.away = true,
            Notice::Resumed { .. } => {
                assert!(std::mem::replace(&mut self.away, false), "resumed what ran");
                assert!(self.started);
            }
            Notice::Ended { .. } | Notice::Expired => {
                assert_eq!(self.pushed, None, "over with a push");
                self.over = true;
            }
            Notice::PushRejected { .. } | Notice::DurationWarning { .. } => {}
        }
        assert!(broadcast.origin() == Origin::Api || self.created || !self.over);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        // Without optimisation the default generator takes ten times as long as everything else here.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_history_agrees_with_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let (mut name, mut model) = (Name::new(), Model::default());
        for (at, step) in steps.iter().enumerate() {
            name.take(*step, &model);
            model.take(*step);
            let open = name.broadcasts.iter().filter(|(broadcast, _)| !broadcast.state().is_final()).count();
            prop_assert!(open <= 1);
            let newest = name.broadcasts.last().map(|(broadcast, _)| broadcast);
            let seen = newest.map(|broadcast| (broadcast.state().name(), broadcast.owner().map(|epoch| epoch.0)));
            prop_assert_eq!(seen, model.seen(), "after step {} of {:?}", at, steps);
        }
    }
}
