//! What players see of a broadcast, playlist by playlist.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod checker;
mod checker_itself;
mod cuts;
mod golden;
mod multivariant;
mod reach;
mod reload;
mod shift;
mod window;
