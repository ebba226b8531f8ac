//! A broadcast on a bench: a clock that is moved by hand, a publisher that sends while it is alive.

#![allow(dead_code, reason = "every test file uses its part")]

use std::time::Duration;

use kaibo_broadcast::{
    Algorithm, Broadcast, Credential, DownCause, Effect, Epoch, Event, KeySet, Millis, Notice, Plan, Policy,
    Publish, Secret, State,
};

pub const START: Millis = Millis(1_700_000_000_000);

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The credential of a URL that expires `lifetime` seconds after the start of the test.
pub fn credential(lifetime: u64) -> Credential {
    let keys = KeySet::new(Algorithm::Md5, Secret::new("key"), None).unwrap();
    let (app, stream) = ("live".parse().unwrap(), "room1".parse().unwrap());
    let query = keys.sign(&app, &stream, START + secs(lifetime)).query();
    keys.verify(&query, &app, &stream, START).unwrap()
}

pub struct Scene {
    pub broadcast: Broadcast,
    pub now: Millis,
    /// The owner sends media all the time.
    pub alive: bool,
    pub effects: Vec<Effect>,
}

impl Scene {
    pub fn api(plan: Plan, policy: Policy) -> Self {
        let (id, app, stream) = ("b1".parse().unwrap(), "live".parse().unwrap(), "room1".parse().unwrap());
        let (broadcast, effects) = Broadcast::create(id, app, stream, plan, policy, START);
        Self { broadcast, now: START, alive: true, effects }
    }

    pub fn ad_hoc(policy: Policy) -> Self {
        let (id, app, stream) = ("b1".parse().unwrap(), "live".parse().unwrap(), "room1".parse().unwrap());
        let broadcast = Broadcast::ad_hoc(id, app, stream, policy, &[], START);
        Self { broadcast, now: START, alive: true, effects: Vec::new() }
    }

    /// Created by the API, with `auto_start` and the default policy, and live.
    pub fn live() -> Self {
        let mut scene = Self::api(Plan { auto_start: true, ..Plan::default() }, Policy::default());
        scene.comes_up();
        scene.forget();
        scene
    }

    /// Opened by a push, with the default policy, and live.
    pub fn live_ad_hoc() -> Self {
        let mut scene = Self::ad_hoc(Policy::default());
        scene.comes_up();
        scene.forget();
        scene
    }

    /// Live, then cut off 10 s later; the last media came at the cut.
    pub fn interrupted() -> Self {
        let mut scene = Self::live();
        scene.passes(secs(10));
        scene.drops();
        scene.forget();
        scene
    }

    pub fn does(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.broadcast.handle(event, self.now);
        self.effects.extend(effects.iter().cloned());
        effects
    }

    fn sends(&mut self) {
        if let (true, Some(epoch)) = (self.alive, self.broadcast.owner()) {
            self.does(Event::Media { epoch, at: self.now });
        }
    }

    /// Lets time pass, with a tick at every deadline on the way.
    pub fn passes(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(deadline) = self.broadcast.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.sends();
            self.does(Event::Tick);
        }
        self.now = end;
        self.sends();
    }

    pub fn publishes_with(&mut self, publish: Publish) -> Vec<Effect> {
        self.sends();
        self.does(Event::Publish(publish))
    }

    pub fn publishes(&mut self) -> Vec<Effect> {
        self.publishes_with(Publish { credential: Some(credential(86_400)), expired: false })
    }

    /// Publishes and is accepted.
    pub fn gets_in(&mut self) -> Epoch {
        match self.publishes().last() {
            Some(Effect::AcceptPublish(epoch)) => *epoch,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub fn keyframe(&mut self) -> Vec<Effect> {
        let epoch = self.owner();
        self.does(Event::Keyframe { epoch })
    }

    /// Publishes and shows its first keyframe.
    pub fn comes_up(&mut self) -> Epoch {
        let epoch = self.gets_in();
        self.keyframe();
        epoch
    }

    pub fn owner(&self) -> Epoch {
        self.broadcast.owner().unwrap()
    }

    pub fn goes_down(&mut self, cause: DownCause) -> Vec<Effect> {
        self.sends();
        let epoch = self.owner();
        self.does(Event::Down { epoch, cause })
    }

    /// The connection is reset.
    pub fn drops(&mut self) -> Vec<Effect> {
        self.goes_down(DownCause::Error)
    }

    /// Forgets what happened so far.
    pub fn forget(&mut self) {
        self.effects.clear();
    }

    /// The names of the notices since [`Scene::forget`].
    pub fn notices(&self) -> Vec<&'static str> {
        notices(&self.effects).iter().map(Notice::name).collect()
    }

    pub fn state(&self) -> &'static str {
        self.broadcast.state().name()
    }

    pub fn end_reason(&self) -> &'static str {
        match self.broadcast.state() {
            State::Ended { reason } => reason.name(),
            other => panic!("not ended: {other:?}"),
        }
    }

    /// The server is killed; it reads its store and starts again after `span`.
    pub fn reboots_after(&mut self, span: Duration) -> Vec<Effect> {
        let stored = serde_json::to_string(&self.broadcast).unwrap();
        self.broadcast = serde_json::from_str(&stored).unwrap();
        self.now = self.now + span;
        self.does(Event::Boot { heard: None })
    }
}

pub fn notices(effects: &[Effect]) -> Vec<Notice> {
    let notice = |effect: &Effect| match effect {
        Effect::Announce(notice) => Some(notice.clone()),
        _ => None,
    };
    effects.iter().filter_map(notice).collect()
}
