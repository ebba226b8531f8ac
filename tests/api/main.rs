//! The control API, as a backend uses it: the real binary, real encoders, real viewers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod audience;
mod backend;
mod bans;
mod calls;
mod clips;
mod events;
mod plans;
mod preview;
mod quotas;
#[path = "../server/support/mod.rs"]
#[allow(dead_code, reason = "made for the tests of the whole server")]
mod support;
mod timed;
