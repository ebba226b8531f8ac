//! What was found against the rules, by their names.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

/// Examples that are kept of each rule.
const EXAMPLES: usize = 3;

#[derive(Clone, Default)]
pub struct Violations(Arc<Mutex<BTreeMap<String, Broken>>>);

#[derive(Default)]
struct Broken {
    times: usize,
    examples: Vec<String>,
}

impl Violations {
    /// `what` broke `rule`.
    pub fn add(&self, rule: &str, what: impl Into<String>) {
        let mut broken = self.0.lock().unwrap();
        let broken = broken.entry(rule.to_owned()).or_default();
        broken.times += 1;
        if broken.examples.len() < EXAMPLES {
            broken.examples.push(what.into());
        }
    }

    /// As [`Self::add`], for messages that begin with the name of their rule.
    pub fn add_named(&self, list: &str, message: &str) {
        let rule = message.split(':').next().filter(|rule| rule.len() <= 6).unwrap_or("syntax");
        self.add(rule, format!("{list}: {message}"));
    }

    pub fn unless(&self, holds: bool, rule: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, what());
        }
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap().values().map(|broken| broken.times).sum()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rule, broken) in &*self.0.lock().unwrap() {
            writeln!(f, "{rule}: {} times", broken.times)?;
            for example in &broken.examples {
                writeln!(f, "  {}", example.replace('\n', "\n  "))?;
            }
        }
        Ok(())
    }
}
