//! A stream that is on, for viewers to try things with.

use crate::{
    raw::{self, Reply},
    support::{Kaibo, clip, push, seconds, wait_for},
};

pub struct Live {
    pub server: Kaibo,
    _encoder: push::Pusher,
    /// Paths of the media playlists.
    pub playlist: String,
    pub ts_playlist: String,
}

impl Live {
    /// Pushes `live/room` until its first segments are there.
    pub fn start(config: &str) -> Self {
        Self::start_signed(config, "")
    }

    /// The same where viewers need `key`.
    pub fn start_signed(config: &str, key: &str) -> Self {
        let server = Kaibo::start(config);
        let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
        let id = server.wait_for_state("room", "live", seconds(20))["id"].as_str().unwrap().to_owned();
        let live = Self {
            server,
            _encoder: encoder,
            playlist: format!("/live/room/{id}/live.m3u8"),
            ts_playlist: format!("/live/room/{id}/ts.m3u8"),
        };
        let reply = live.get(&format!("/live/room.m3u8?{key}"), &[]);
        assert_eq!(reply.status, 200, "held until the first segment is complete: {}", reply.text());
        live
    }

    pub fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.request(&format!("GET {path}"), headers)
    }

    pub fn request(&self, line: &str, headers: &[&str]) -> Reply {
        raw::request(&self.server.at.http, line, headers)
    }

    /// Path of a segment, `m4s` or `ts`.
    pub fn segment(&self, kind: &str) -> String {
        let playlist = if kind == "ts" { &self.ts_playlist } else { &self.playlist };
        beside(playlist, &uris(&self.get(playlist, &[]).text())[0])
    }

    /// Path of the initialisation section.
    pub fn map(&self) -> String {
        let text = self.get(&self.playlist, &[]).text();
        let uri = text.split("#EXT-X-MAP:URI=\"").nth(1).unwrap().split('"').next().unwrap();
        beside(&self.playlist, uri)
    }

    /// Looks at `path` until `look` sees what it wants: a playlist changes by itself.
    pub fn until<T>(&self, path: &str, mut look: impl FnMut(&Reply) -> Option<T>) -> T {
        wait_for("the wanted playlist", seconds(10), || look(&self.get(path, &[])))
    }
}

/// The addresses in a playlist.
pub fn uris(playlist: &str) -> Vec<String> {
    playlist.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

pub fn beside(path: &str, uri: &str) -> String {
    format!("{}/{uri}", path.rsplit_once('/').unwrap().0)
}
