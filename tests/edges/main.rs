//! The edges of the server: its command line, the HTTP that viewers and caches speak, and the control API.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod admission;
mod api;
mod command_line;
mod delivery;
mod hostile;
mod live;
mod media;
mod metrics;
mod raw;
#[path = "../server/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "made for the tests of whole broadcasts; these need a part of it"
)]
mod support;
mod viewers;
mod websocket;
