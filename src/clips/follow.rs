//! Seeing to a clip until it is ready: its end comes, everything for it is recorded, it is cut out.

use std::{sync::Arc, time::Duration};

use kaibo_broadcast::BroadcastId;
use kaibo_media::Timestamp;
use kaibo_replay::{Error, Id, Recording, Segment};
use kaibo_store::{Clip, ClipKind};
use tokio::{sync::watch, time::sleep};

use super::{ClipObject, Cut, State, end};
use crate::{
    notices,
    recorder::{Fault, Replay, timeline},
    server::Server,
};

/// A disk that refuses is asked again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// Returns when nothing is left to be done for the clip `id`. Each word in `woken` says that its row is another one.
pub async fn to_its_end(server: &Arc<Server>, id: &BroadcastId, mut woken: watch::Receiver<()>) {
    let mut told = false;
    loop {
        match step(server, id, &mut woken).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(clip = %id, %error, "can't go on with a clip; it is tried again");
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Does what is to be done next. True: that was the last.
async fn step(
    server: &Arc<Server>,
    id: &BroadcastId,
    woken: &mut watch::Receiver<()>,
) -> Result<bool, Fault> {
    woken.borrow_and_update();
    let Some(clip) = server.clips.get(server, id).await?.filter(|clip| clip.is_open) else { return Ok(true) };
    let (Ok(of), Ok(own)) = (clip.broadcast.as_ref().parse::<Id>(), id.as_ref().parse::<Id>()) else {
        return Ok(true);
    };
    let cut = Cut::of(&clip);
    let to = cut.end();
    let last = tokio::select! {
        last = recorded(server, &clip.broadcast, &of, to.unwrap_or(Timestamp::MAX)) => last,
        _ = woken.changed() => return Ok(false),
    };
    if to.is_none() {
        // Behind the last frame, wherever its millisecond is rounded to.
        end(server, id, last.as_millis().saturating_add(1)).await?;
        return Ok(false);
    }
    let made = match cut.wanted() {
        Ok(wanted) => server.recordings.cut_out(&own, &of, wanted).await,
        Err(_) => Err(Error::Nothing),
    };
    match made {
        Ok(made) => {
            ready(server, clip, &cut, &of, &made).await?;
        }
        // What its broadcast recorded of it is nothing, or gone, or can't be read.
        Err(error @ (Error::Nothing | Error::Missing(_) | Error::Corrupt(_) | Error::Damaged { .. })) => {
            tracing::warn!(clip = %id, %error, "a clip failed");
            save(server, &Clip { state: State::Failed.name().into(), is_open: false, ..clip }, None).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

/// Returns when `to` is recorded, or nothing more will be; answers where the recording ends then.
async fn recorded(server: &Server, broadcast: &BroadcastId, of: &Id, to: Timestamp) -> Timestamp {
    loop {
        match server.recordings.find(of).await {
            Ok(Replay::Growing(growing)) => {
                let mut written = growing.written.clone();
                loop {
                    written.borrow_and_update();
                    let end = growing.listing.read(|segments| segments.last().map(Segment::end));
                    if let Some(end) = end.filter(|end| *end >= to) {
                        return end;
                    }
                    if written.changed().await.is_err() {
                        break;
                    }
                }
            }
            // As far as it got; or it is about to go on.
            Ok(replay) if replay.is_final() || server.broadcasts.get(broadcast).is_none() => {
                return replay.end();
            }
            Err(_) if server.broadcasts.get(broadcast).is_none() => return Timestamp::ZERO,
            Ok(_) | Err(_) => sleep(RETRY).await,
        }
    }
}

async fn ready(server: &Arc<Server>, clip: Clip, cut: &Cut, of: &Id, made: &Recording) -> Result<(), Fault> {
    let timeline = server.recordings.find(of).await.map(|replay| replay.read(timeline::stretches));
    // Gone already, with what it knew of the wall clock; the row had it from the beginning.
    let cut = match timeline {
        Ok(timeline) => cut.made(made, &timeline),
        Err(_) => {
            Cut { duration_ms: made.finished().map(|finished| finished.duration.as_millis()), ..cut.clone() }
        }
    };
    let clip = Clip { state: State::Ready.name().into(), is_open: false, cut: cut.to_json(), ..clip };
    let told = match clip.kind {
        ClipKind::Clip => {
            let status = server.broadcasts.status(server, &clip.broadcast).await?;
            let object = serde_json::json!(ClipObject::new(&clip, &server.public_addresses()));
            Some(notices::clip_ready(server, status.as_deref(), &clip, object, server.clock.now()))
        }
        ClipKind::Version => None,
    };
    let kept = save(server, &clip, told).await?;
    if !kept {
        // It was deleted while it was made.
        server.recordings.delete(&clip.id).await?;
    }
    Ok(())
}

/// Stores what became of `clip`, with what is told of it. False: it was deleted meanwhile.
async fn save(
    server: &Server,
    clip: &Clip,
    told: Option<kaibo_store::NewNotice>,
) -> Result<bool, kaibo_store::Error> {
    let (made, notices) = (clip.clone(), Vec::from_iter(told));
    let stored = notices.clone();
    let saved = server.store.ask(move |store| {
        let Some(known) = store.clip(&made.id)? else { return Ok(None) };
        // Its title may be another one by now.
        let Clip { state, is_open, cut, .. } = made.clone();
        store.save_clip(&Clip { state, is_open, cut, ..known }, &stored).map(Some)
    });
    let Some(sequences) = saved.await? else { return Ok(false) };
    tracing::info!(clip = %clip.id, broadcast = %clip.broadcast, state = clip.state, "clip");
    server.tell(notices, &sequences);
    Ok(true)
}
