//! What HLS viewers are shown at one moment: made once per change, read by all of them without a lock.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use kaibo_hls::{Format, Report, View, Wanted};

use crate::output::etag;

/// What HLS viewers are shown at one moment.
pub struct Shown {
    pub view: View,
    /// The media goes on, but not in this process: nobody need wait for it.
    pub closed: bool,
    /// The playlists that have no query in them, rendered when first asked for: TS, fMP4, fMP4 as a delta.
    playlists: [OnceLock<Option<Arc<Playlist>>>; 3],
}

/// A rendered media playlist.
pub struct Playlist {
    pub text: Vec<Bytes>,
    /// A viewer's own playlist is not worth compressing: it is used once.
    pub gzip: Option<Vec<Bytes>>,
    pub etag: String,
}

impl Shown {
    pub fn new(view: View, closed: bool) -> Self {
        Self { view, closed, playlists: Default::default() }
    }

    /// The media playlist, once there is a segment; `query` goes to every address in it. `reports` says how far other
    /// renditions are, by their addresses: at the moment that the list is first asked for.
    pub fn playlist(
        &self,
        format: Format,
        delta: bool,
        query: &str,
        reports: impl FnOnce() -> Vec<(String, (u64, u32))>,
    ) -> Option<Arc<Playlist>> {
        let render = || {
            let reports = if format == Format::Fmp4 { reports() } else { Vec::new() };
            let reports: Vec<_> =
                reports.iter().map(|(uri, newest)| Report { uri, newest: *newest }).collect();
            let pieces = self.view.pieces(Wanted { format, delta, query, reports: &reports })?;
            let gzip = query.is_empty().then(|| pieces.gzip());
            Some(Arc::new(Playlist { etag: etag(&pieces), gzip, text: pieces.chunks() }))
        };
        if !query.is_empty() {
            return render();
        }
        let [ts, fmp4, fmp4_delta] = &self.playlists;
        let rendered = match (format, delta) {
            (Format::Ts, _) => ts,
            (Format::Fmp4, false) => fmp4,
            (Format::Fmp4, true) => fmp4_delta,
        };
        rendered.get_or_init(render).clone()
    }
}
