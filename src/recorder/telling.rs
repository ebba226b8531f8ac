//! What is told of recordings: that one is final, or that something can't be recorded.

use std::{sync::Arc, time::Duration};

use kaibo_broadcast::BroadcastId;
use kaibo_replay::{Finished, Id, Loss};
use tokio::time::timeout;

use crate::{broadcasts::Status, notices, server::Server};

/// A broadcast whose recording is final has ended a moment ago.
const SOON: Duration = Duration::from_secs(5);

/// Says that the recording of a broadcast is final, if there is something to play in it.
pub async fn tell_ready(server: &Server, id: &Id, finished: &Finished) {
    if finished.segments == 0 {
        return;
    }
    if let Some(broadcast) = id.as_str().parse().ok().and_then(|id| server.broadcasts.get(&id)) {
        // It is over, and about to say so.
        let mut status = broadcast.watch();
        let over = status.wait_for(|status| status.state.is_final());
        let _ = timeout(SOON, over).await;
    }
    if let Some(status) = status(server, id).await {
        notices::post(server, notices::replay_ready(server, &status, finished, server.clock.now())).await;
    }
}

/// What is known of the broadcast that was recorded.
pub async fn status(server: &Server, id: &Id) -> Option<Arc<Status>> {
    let id: BroadcastId = id.as_str().parse().ok()?;
    match server.broadcasts.status(server, &id).await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!(recording = %id, %error, "can't tell of a recording");
            None
        }
    }
}

/// Says that a stretch is not recorded. What can't be recorded must not make the rest wait for the store.
pub fn tell_truncated(server: &Arc<Server>, id: &Id, loss: Loss) {
    let (server, id) = (server.clone(), id.clone());
    tokio::spawn(async move {
        if let Some(status) = status(&server, &id).await {
            let now = server.clock.now();
            notices::post(&server, notices::replay_truncated(&server, &status, &loss, now)).await;
        }
    });
}
