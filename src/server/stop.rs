//! How a server stops: pushes first, then the media, then whoever still reads it.

use std::fs;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Duration, Instant, timeout, timeout_at},
};

use super::{RUN, Running, Server};

/// How long bringing the broadcasts to the disk may take: many times what a working disk needs.
const CLOSE: Duration = Duration::from_secs(30);

/// Viewers have this long to read what is there, even if encoders took all the time there was.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long answers of the API that are under way may take at the end.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// How far a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// It takes no new pushes, and asks those that there are to leave.
    Draining,
    /// All media has ended; who is here reads to the end.
    Closing,
    Closed,
}

/// Resolves when the server has come so far.
pub struct Stopping {
    phase: watch::Receiver<Phase>,
    wanted: Phase,
}

impl Stopping {
    pub async fn wait(&mut self) {
        // An error means that the server itself is gone.
        let _ = self.phase.wait_for(|phase| *phase >= self.wanted).await;
    }
}

impl Server {
    /// Becomes ready when the server is to stop.
    pub fn stopping(&self) -> Stopping {
        self.reaches(Phase::Draining)
    }

    /// Becomes ready when the server stops and there is no media any more.
    pub fn closing(&self) -> Stopping {
        self.reaches(Phase::Closing)
    }

    /// Becomes ready when the server has stopped, but for the API.
    pub fn closed(&self) -> Stopping {
        self.reaches(Phase::Closed)
    }

    /// The server stops and there is no media any more: what takes long is not begun, nor gone on with.
    pub fn is_closing(&self) -> bool {
        *self.phase.borrow() >= Phase::Closing
    }

    fn reaches(&self, wanted: Phase) -> Stopping {
        Stopping { phase: self.phase.subscribe(), wanted }
    }

    /// New pushes and viewers are welcome.
    pub fn is_ready(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }
}

impl Running {
    /// Serves until `stop`, then closes: pushes end, their broadcasts are interrupted and on the disk, viewers read what
    /// is there. A second signal closes at once.
    pub async fn run_until(mut self, mut stop: Stop) {
        stop.requested().await;
        tracing::info!("stopping");
        tokio::select! {
            () = self.close() => {}
            () = stop.requested() => tracing::warn!("stopped at once"),
        }
        let _ = fs::remove_file(self.server.settings().config.data_dir.join(RUN));
        tracing::info!("stopped");
    }

    async fn close(&mut self) {
        let server = &self.server;
        let end = Instant::now() + server.settings().config.stop_timeout.0;
        server.phase.send_replace(Phase::Draining);
        let mut publishers = server.publishers.subscribe();
        if timeout_at(end, publishers.wait_for(|count| *count == 0)).await.is_err() {
            tracing::info!(publishers = *publishers.borrow(), "encoders that did not leave are closed");
        }
        if timeout(CLOSE, server.broadcasts.close()).await.is_err() {
            tracing::error!("not everything that was recorded could be brought to the disk");
        }
        server.phase.send_replace(Phase::Closing);
        let listeners = async { while self.listeners.join_next().await.is_some() {} };
        if timeout_at(end.max(Instant::now() + LAST_WORDS), listeners).await.is_err() {
            tracing::info!("viewers that did not read to the end are closed");
        }
        // Everybody has left by now.
        if timeout(LAST_CALLS, server.audiences.save(server)).await.is_err() {
            tracing::error!("the last two minutes of how many watched could not be stored");
        }
        server.phase.send_replace(Phase::Closed);
        // An error is a call that takes longer.
        let _ = timeout(LAST_CALLS, &mut self.api).await;
    }
}

/// What asks a server to stop.
pub struct Stop(Option<[Signal; 2]>);

impl Stop {
    /// SIGTERM and SIGINT.
    pub fn signal() -> Self {
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => Self(Some([terminate, interrupt])),
            _ => {
                tracing::warn!("can't listen for signals");
                Self(None)
            }
        }
    }

    async fn requested(&mut self) {
        match &mut self.0 {
            Some([terminate, interrupt]) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}
