//! The hot paths, one at a time, for `scripts/instructions` to count their instructions.
//!
//! Without an argument: their names. With one: the path goes once to warm up, and once more within [`measured`].
#![allow(clippy::unwrap_used)]

mod output;
mod push;
mod recording;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

/// A hot path: sets up what it needs, then has [`count`] go along it.
type Path = fn();

const PATHS: [(&str, Path); 19] = [
    ("rtmp-read-128", || push::read(128)),
    ("rtmp-read-4096", || push::read(4096)),
    ("ingest", push::ingest),
    ("hub-4-cursors", || push::hub(4)),
    ("hub-1000-cursors", || push::hub(1000)),
    ("flv-blocks", || output::flv(4)),
    ("flv-frames", || output::flv(1)),
    ("rtmp-play", output::rtmp),
    ("fmp4-parts", output::parts),
    ("fmp4-read", output::read_parts),
    ("ts-segments", output::ts),
    ("hls-window", output::window),
    ("hls-playlist", output::playlist_plain),
    ("hls-playlist-ll", output::playlist_ll),
    ("hls-playlist-ll-delta", output::playlist_delta),
    ("hls-playlist-ll-gzip", output::playlist_gzip),
    ("replay-write", recording::write),
    ("replay-edit", recording::edit),
    ("mp4-head", recording::mp4),
];

fn main() -> ExitCode {
    let Some(wanted) = env::args().nth(1) else {
        let mut out = io::stdout().lock();
        let told = PATHS.iter().try_for_each(|(name, _)| writeln!(out, "{name}"));
        return if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    match PATHS.iter().find(|(name, _)| *name == wanted) {
        Some((_, path)) => {
            path();
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

/// Goes along a path twice; the second time counts. Only what is done every time is of interest.
fn count(mut path: impl FnMut()) {
    path();
    measured(path);
}

/// Callgrind counts while a function of this name runs.
#[inline(never)]
fn measured(mut path: impl FnMut()) {
    path();
}
