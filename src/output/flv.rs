//! HTTP-FLV and WebSocket-FLV.

mod stream;
mod websocket;

use hyper::{Method, Response, StatusCode, header};
use kaibo_container::flv::Flv;

pub use stream::Stream;

use super::{play_key, playable};
use crate::{
    http::{Body, Call},
    problem::Problem,
    telemetry::Protocol,
};

/// `/APP/STREAM.flv`: FLV as an endless body, or as WebSocket messages if an upgrade is asked for.
pub async fn answer(mut call: Call, app: &str, stream: &str) -> Result<Response<Body>, Problem> {
    let broadcast = playable(&call, app, stream)?;
    play_key(&call, broadcast.app(), broadcast.stream())?;
    let live = broadcast.live();
    if let Some(Err(error)) = live.tracks().map(|tracks| Flv::default().carries(&tracks)) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "codec_not_carried", error.to_string()));
    }
    if websocket::is_upgrade(&call) {
        return websocket::upgrade(&mut call, &broadcast);
    }
    let mut response = Response::new(Body::Empty);
    for (name, value) in [(header::CONTENT_TYPE, "video/x-flv"), (header::CACHE_CONTROL, "no-store")] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    if *call.request.method() == Method::GET {
        *response.body_mut() = Body::Flv(Stream::join(&call, &broadcast, Protocol::Flv));
    }
    Ok(response)
}
