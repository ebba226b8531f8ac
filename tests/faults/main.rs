//! A broadcast is a durable object: whatever happens to encoders, wires and the server, it goes on as the same one, and
//! its replay holds what was seen. Every run is a whole server with real encoders to which faults happen that follow
//! from a seed.
//!
//! The short form is a handful of known seeds; `scripts/faults` makes as many runs as wanted, and
//! `KAIBO_FAULT_SEED=N cargo test --test faults` one of them again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod frames;
mod plan;
mod proxy;
mod run;
#[path = "../server/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "made for the tests of the server; these need a part of it")]
mod support;
mod verdict;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Together they hold every fault.
const SHORT: std::ops::RangeInclusive<u64> = 19..=24;

#[test]
fn broadcasts_outlive_faults() {
    let number = |name: &str| -> Option<u64> {
        env::var(name)
            .ok()
            .map(|value| value.parse().unwrap_or_else(|error| panic!("{name}={value}: {error}")))
    };
    let seeds = match (number("KAIBO_FAULT_SEED"), number("KAIBO_FAULT_RUNS")) {
        (Some(seed), runs) => seed..=seed + runs.unwrap_or(1) - 1,
        (None, Some(runs)) => 1..=runs,
        (None, None) => SHORT,
    };
    let at_once = number("KAIBO_FAULT_AT_ONCE").unwrap_or(3);
    let kills = env::var("KAIBO_FAULT_ONLY").is_ok_and(|only| only == "kill");
    let runs = seeds.clone().count();
    let lost = Mutex::new(Vec::new());
    let (next, failed) = (AtomicU64::new(*seeds.start()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    // In a thread with a name, which a panic tells.
                    let run = thread::Builder::new()
                        .name(format!("seed {seed}"))
                        .spawn(move || run::run(seed, kills));
                    match run.unwrap().join() {
                        Ok(mut cost) => lost.lock().unwrap().append(&mut cost),
                        Err(_) => {
                            eprintln!("seed {seed} failed: {:?}", plan::of(seed, kills));
                            failed.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    let mut lost = lost.into_inner().unwrap();
    lost.sort_unstable();
    let at = |of: usize| lost.get((lost.len() * of / 100).min(lost.len().saturating_sub(1))).unwrap_or(&0);
    eprintln!(
        "{runs} runs, {} failed; {} kills of the server; pictures lost (30 are a second): p50 {}, p95 {}, most {}",
        failed.len(),
        lost.len(),
        at(50),
        at(95),
        at(100)
    );
    assert!(
        failed.is_empty(),
        "seeds {failed:?}; one again: KAIBO_FAULT_SEED={} cargo test --test faults",
        failed[0]
    );
}
