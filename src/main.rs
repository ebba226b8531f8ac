//! Kaibo (开播): a self-hosted live-streaming media server in which a broadcast is a durable object, not a TCP
//! connection. `ARCHITECTURE.md` has the map.

mod access;
mod api;
mod archive;
mod audience;
mod bans;
mod broadcasts;
mod cli;
mod clips;
mod config;
mod demo;
mod fanout;
mod gate;
mod hooks;
mod http;
mod input;
mod live;
mod load;
mod notices;
mod output;
mod packager;
mod problem;
mod recorder;
mod reload;
mod secrets;
mod server;
mod snapshots;
mod socket;
mod telemetry;
mod tls;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
