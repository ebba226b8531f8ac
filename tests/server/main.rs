//! The whole server under test: the real binary, real encoders and players, real sockets. Every test has a server of
//! its own, with free ports and an empty data folder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod codecs;
mod command_line;
mod ending;
mod exact;
mod hold;
mod hostile;
mod keys;
mod low_latency;
mod mp4;
mod outputs;
mod qualities;
mod reload;
mod replay;
mod replay_end;
mod resume;
mod rivals;
mod server_restart;
mod shift;
mod slow;
mod snapshots;
mod startup;
mod stopping;
mod storage;
mod support;
mod thumbnails;
mod tls;
