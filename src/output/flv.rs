//! HTTP-FLV and WebSocket-FLV.

mod websocket;

use std::sync::Arc;

use hyper::{Method, Response, StatusCode, header};
use kaibo_audience::Phase;
use kaibo_broadcast::State;
use kaibo_container::flv::Flv;
use kaibo_media::Tracks;

pub use websocket::Conversation;

use super::{
    Names, Viewer, consent,
    feed::{Feed, Format, Stream},
    play_key, playable,
};
use crate::{
    broadcasts::Handle,
    gate,
    http::{Body, Call},
    packager::Blocks,
    problem::Problem,
    telemetry::Protocol,
};

/// `/APP/STREAM.flv`: FLV as an endless body, or as WebSocket messages if an upgrade is asked for.
pub async fn answer(mut call: Call, app: &str, stream: &str) -> Result<Response<Body>, Problem> {
    let is_websocket = websocket::is_upgrade(&call);
    let (protocol, way) = match is_websocket {
        true => (Protocol::WsFlv, gate::Protocol::WsFlv),
        false => (Protocol::Flv, gate::Protocol::Flv),
    };
    let Shown { broadcast, blocks, tracks } = match preview(&call, app, stream) {
        Some(shown) => shown,
        None => {
            let broadcast = playable(&call, app, stream)?;
            play_key(&call, broadcast.app(), broadcast.stream())?;
            consent(&call, way, &Names::from(&*broadcast)).await?;
            let tracks = broadcast.live().tracks();
            Shown { broadcast, blocks: None, tracks }
        }
    };
    if let Some(Err(error)) = tracks.map(|tracks| Flv::default().carries(&tracks)) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "codec_not_carried", error.to_string()));
    }
    let join = |call: &Call| {
        let phase = if blocks.is_some() { Phase::Before } else { Phase::During };
        let blocks = blocks.unwrap_or_else(|| broadcast.live().join_flv());
        let whom = (call.address, call.header(header::USER_AGENT));
        let viewer = Viewer::new(&call.server, &broadcast, (phase, protocol), whom);
        Feed::new(viewer, Format::Flv, blocks)
    };
    if is_websocket {
        return websocket::upgrade(&mut call, join);
    }
    let mut response = Response::new(Body::Empty);
    for (name, value) in [(header::CONTENT_TYPE, "video/x-flv"), (header::CACHE_CONTROL, "no-store")] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    if *call.request.method() == Method::GET {
        *response.body_mut() = Body::Flv(Stream::new(join(&call)));
    }
    Ok(response)
}

/// What a viewer is shown.
struct Shown {
    broadcast: Arc<Handle>,
    /// Where it is not what everybody is shown.
    blocks: Option<Blocks>,
    tracks: Option<Arc<Tracks>>,
}

/// What is pushed before the start, for whoever has a token.
fn preview(call: &Call, app: &str, stream: &str) -> Option<Shown> {
    let (app, stream) = (app.parse().ok()?, stream.parse().ok()?);
    let broadcast = call.server.broadcasts.named(&app, &stream)?;
    let may = call.server.access.is_preview(&app, broadcast.id(), call.query());
    if !may || broadcast.status().state != State::Preview {
        return None;
    }
    let (blocks, tracks) = broadcast.live().preview_flv()?;
    Some(Shown { broadcast, blocks: Some(blocks), tracks: Some(tracks) })
}
