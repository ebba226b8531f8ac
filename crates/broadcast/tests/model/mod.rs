//! The lifecycle once more, the slow way: every second it looks at how long things have lasted.

use kaibo_broadcast::DownCause;

use crate::{Step, Who};

pub const WINDOW: u64 = 30;
pub const MAX: u64 = 240;

struct Push {
    epoch: u64,
    accepted: u64,
    up: bool,
    last: u64,
}

/// The newest broadcast of the name.
#[derive(Default)]
struct One {
    state: &'static str,
    ad_hoc: bool,
    auto_start: bool,
    wanted: bool,
    started: Option<u64>,
    push: Option<Push>,
    challenger: Option<(u64, u64, usize)>,
    public_last: u64,
    deadline: u64,
    ended: u64,
    epochs: u64,
    keys: Vec<usize>,
    barred: Vec<usize>,
}

#[derive(Default)]
pub struct Model {
    now: u64,
    dead: bool,
    banned: bool,
    one: Option<One>,
}

impl Model {
    pub fn seen(&self) -> Option<(&'static str, Option<u64>)> {
        self.one.as_ref().map(|one| (one.state, one.push.as_ref().map(|push| push.epoch)))
    }

    pub(crate) fn epoch_of(&self, who: Who) -> u64 {
        let Some(one) = &self.one else { return 0 };
        let owner = one.push.as_ref().map_or(0, |push| push.epoch);
        match who {
            Who::Owner => owner,
            Who::Challenger => one.challenger.map_or(0, |(epoch, ..)| epoch),
            Who::Older => owner.saturating_sub(1),
        }
    }

    pub(crate) fn take(&mut self, step: Step) {
        let (owner, challenger) = (self.epoch_of(Who::Owner), self.epoch_of(Who::Challenger));
        match step {
            Step::Wait(seconds) => {
                for _ in 0..seconds {
                    self.now += 1;
                    self.each_second();
                }
            }
            Step::Sends(alive) => self.dead = !alive,
            Step::Ban => self.banned = true,
            Step::Unban => self.banned = false,
            _ => {}
        }
        let free = self.one.as_ref().is_none_or(One::is_over);
        let barred = self.one.as_ref().map(|one| one.barred.clone()).unwrap_or_default();
        match step {
            Step::Create { auto_start } if free && !self.banned => {
                self.one = Some(One { state: "created", auto_start, ..One::default() });
            }
            Step::Publish { key, expired } if free && !self.banned && !expired && !barred.contains(&key) => {
                let state = "created";
                self.one = Some(One { state, ad_hoc: true, auto_start: true, barred, ..One::default() });
            }
            _ => {}
        }
        let sends = matches!(step, Step::Wait(_) | Step::Publish { .. } | Step::Down(..)) && !self.dead;
        let (now, banned) = (self.now, self.banned);
        let Some(one) = &mut self.one else { return };
        if sends {
            one.sends(now);
        }
        one.rules(now);
        match step {
            Step::Publish { key, expired } if !banned => one.publish(key, expired, now),
            Step::Keyframe(Who::Owner) => one.keyframe(now),
            Step::Down(who, cause) => {
                if matches!(who, Who::Challenger) && challenger != 0 {
                    one.challenger = None;
                } else if matches!(who, Who::Owner) && owner != 0 {
                    one.push = None;
                    one.lost(cause == DownCause::DeleteStream, now);
                }
            }
            Step::Kick if one.push.is_some() => {
                one.push = None;
                one.lost(false, now);
            }
            _ => one.command(step, now),
        }
        one.rules(now);
    }

    fn each_second(&mut self) {
        if let Some(one) = &mut self.one {
            if !self.dead {
                one.sends(self.now);
            }
            one.rules(self.now);
        }
    }
}

impl One {
    fn is_over(&self) -> bool {
        self.state == "ended"
    }

    fn is_probing(&self) -> bool {
        self.push.as_ref().is_some_and(|push| !push.up)
    }

    fn sends(&mut self, now: u64) {
        let Some(push) = &mut self.push else { return };
        push.last = now;
        if push.up && self.state == "live" {
            self.public_last = now;
        }
    }

    fn rules(&mut self, now: u64) {
        if self.is_over() {
            return if now - self.ended >= 30 {
                self.push = None
            };
        }
        if self.push.as_ref().is_some_and(|push| !push.up && now - push.accepted >= 20) {
            self.push = None;
            self.lost(false, now);
        }
        if let (Some((epoch, since, key)), Some(push)) = (self.challenger, &self.push) {
            if now - push.last >= 1 {
                self.take_over(epoch, key, now);
            } else if now - since >= 3 {
                self.challenger = None;
            }
        }
        if self.state == "live" && self.is_probing() && now - self.public_last >= 3 {
            self.wait(self.public_last);
        }
        let held = self.is_probing() && now < self.deadline + 20;
        let timeout = match self.state {
            "interrupted" => now >= self.deadline && !held,
            "banned" => now >= self.deadline,
            _ => false,
        };
        let too_long = self.state != "banned" && self.started.is_some_and(|started| now - started >= MAX);
        if timeout || too_long {
            self.end(now);
        }
    }

    fn wait(&mut self, since: u64) {
        self.state = "interrupted";
        self.deadline = since + WINDOW;
    }

    fn end(&mut self, now: u64) {
        self.state = "ended";
        self.ended = now;
        self.challenger = None;
    }

    fn take_over(&mut self, epoch: u64, key: usize, now: u64) {
        self.challenger = None;
        if self.state == "preview" {
            self.state = "created";
        }
        self.push = Some(Push { epoch, accepted: now, up: false, last: now });
        self.keys.push(key);
    }

    fn lost(&mut self, clean: bool, now: u64) {
        if let Some((epoch, _, key)) = self.challenger {
            return self.take_over(epoch, key, now);
        }
        match self.state {
            "created" | "preview" if self.wanted => self.wait(now),
            "created" if self.ad_hoc => self.end(now),
            "preview" => self.state = "created",
            "live" if clean && self.ad_hoc => self.end(now),
            "live" => self.wait(self.public_last),
            _ => {}
        }
    }

    fn publish(&mut self, key: usize, expired: bool, now: u64) {
        if self.is_over() {
            return;
        }
        self.epochs += 1;
        let again = ["live", "interrupted", "paused"].contains(&self.state) && self.keys.contains(&key);
        if self.barred.contains(&key) || (expired && !again) {
            return;
        }
        match self.push {
            None => self.take_over(self.epochs, key, now),
            Some(_) => self.challenger = Some((self.epochs, now, key)),
        }
    }

    fn keyframe(&mut self, now: u64) {
        let over = self.is_over();
        let Some(push) = self.push.as_mut().filter(|_| !over) else { return };
        push.up = true;
        push.last = now;
        self.state = match self.state {
            "created" | "preview" if self.auto_start || self.wanted => "live",
            "created" => "preview",
            "interrupted" => "live",
            other => other,
        };
        if self.state == "live" {
            self.started.get_or_insert(now);
            self.wanted = false;
            self.public_last = now;
        }
    }

    fn command(&mut self, step: Step, now: u64) {
        match (step, self.state) {
            (Step::Stop, state) if state != "ended" => {
                let keys = std::mem::take(&mut self.keys);
                self.barred.extend(keys);
                self.end(now);
            }
            (Step::Start { .. }, "created" | "preview") if self.push.is_some() => {
                self.wanted = true;
                self.barred.clear();
            }
            (Step::Start { force }, "created") => {
                self.barred.clear();
                if force {
                    self.wait(now);
                }
            }
            (Step::Start { .. }, "live" | "interrupted") => self.barred.clear(),
            (Step::Pause, "live") => self.state = "paused",
            (Step::Resume, "paused") => {
                self.wait(now);
                if self.push.as_ref().is_some_and(|push| push.up) {
                    self.state = "live";
                    self.public_last = now;
                }
            }
            (Step::Ban, state) if state != "ended" && state != "banned" => {
                self.push = None;
                self.challenger = None;
                self.wanted = false;
                self.wait(now);
                self.state = "banned";
                if self.ad_hoc && self.started.is_none() {
                    self.end(now);
                }
            }
            (Step::Unban, "banned") => {
                self.wait(now);
                if self.started.is_none() {
                    self.state = "created";
                }
            }
            (Step::Boot, state) => {
                self.challenger = None;
                let pushed = self.push.take().is_some();
                match state {
                    "live" => self.wait(now),
                    "interrupted" if now < self.deadline => self.deadline = self.deadline.max(now + 60),
                    "created" | "preview" if pushed => self.lost(false, now),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}
