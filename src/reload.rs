//! SIGHUP: the configuration is read again while the server runs, all or nothing.

use std::{path::Path, sync::Arc};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{cli, server::Server, telemetry::LogFilter};

/// What asks for the configuration to be read again.
pub struct Hangups(Option<Signal>);

impl Hangups {
    /// SIGHUP. From here on it ends the process no more.
    pub fn signal() -> Self {
        let hangups = signal(SignalKind::hangup());
        if hangups.is_err() {
            tracing::warn!("can't listen for SIGHUP");
        }
        Self(hangups.ok())
    }

    /// Obeys for as long as the server runs.
    pub async fn obey(self, server: Arc<Server>, config: Option<&Path>, log: &LogFilter) {
        let Some(mut hangups) = self.0 else { return std::future::pending().await };
        while hangups.recv().await.is_some() {
            match config {
                Some(config) => reload(&server, config, log),
                None => {
                    tracing::warn!("SIGHUP: this server was started without a file, so there is none to read")
                }
            }
        }
    }
}

fn reload(server: &Server, config: &Path, log: &LogFilter) {
    // The file, the environment and the secrets, as at the start.
    let settings = cli::settings(Some(config));
    match settings.and_then(|settings| server.reload(settings).map_err(|error| error.to_string())) {
        Ok(changes) => {
            // Before the new level can hide it.
            for change in &changes {
                tracing::info!("{change}");
            }
            tracing::info!(changes = changes.len(), "the configuration was reloaded");
            log.set(&server.settings().config.log.level);
        }
        Err(error) => {
            tracing::error!(%error, "the configuration was not reloaded; everything stays as it was")
        }
    }
}
