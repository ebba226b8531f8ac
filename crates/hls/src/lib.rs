//! What an HLS client may ask: playlists and the live window.
