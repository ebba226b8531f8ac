//! Kaibo: a self-hosted live-streaming media server.
fn main() {}
