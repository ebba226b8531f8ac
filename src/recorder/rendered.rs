//! The replay's playlist without a query: rendered when its index has changed, for all who ask until the next change.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::live::Playlist;

/// The newest rendering of one recording's playlist. 12 h take some 2 MiB.
#[derive(Clone, Default)]
pub struct Rendered(Arc<Mutex<Option<Made>>>);

type Made = (Version, Arc<Playlist>);

/// Segments so far, none of which ever changes, and the target duration.
pub type Version = (usize, Option<u32>);

impl Rendered {
    /// The playlist of `version` or a later one. Those who ask while it is made wait for it.
    pub async fn get(
        &self,
        version: Version,
        render: impl FnOnce() -> Option<Playlist>,
    ) -> Option<Arc<Playlist>> {
        let mut made = self.0.lock().await;
        let good = |known: &Version| known.0 >= version.0 && known.1 == version.1;
        if let Some((_, playlist)) = made.as_ref().filter(|(known, _)| good(known)) {
            return Some(playlist.clone());
        }
        let playlist = Arc::new(render()?);
        *made = Some((version, playlist.clone()));
        Some(playlist)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_made_once_for_each_change() {
        let (rendered, mut made) = (Rendered::default(), 0);
        for (segments, expected) in [(1, 1), (1, 1), (2, 2), (2, 2), (3, 3)] {
            let playlist = rendered.get((segments, Some(2)), || {
                made += 1;
                let text = format!("{segments}");
                Some(Playlist { etag: text.clone(), text: vec![text.into()], gzip: None })
            });
            assert_eq!(playlist.await.unwrap().etag, segments.to_string());
            assert_eq!(made, expected);
        }
        assert!(rendered.get((4, None), || None).await.is_none());
    }
}
