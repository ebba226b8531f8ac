//! What encoders and players say, and what they are told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod messages;
mod playing;
mod protocol;
mod publishing;
#[path = "../support/mod.rs"]
mod support;

use kaibo_rtmp::Event;

fn status(stream: u32, code: &str) -> (u32, String, f64, String) {
    (stream, "onStatus".to_owned(), 0.0, code.to_owned())
}

fn asked(app: &str, name: &str, query: &str) -> Event {
    Event::Publish { app: app.to_owned(), name: name.to_owned(), query: query.into() }
}
