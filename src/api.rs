//! The control API (JSON, bearer tokens) and the operator's endpoints: metrics and health.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, FromRequestParts, Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use kaibo_broadcast::{App, BroadcastId, Event, NameError, Secret, Stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{
    access::{self, PushUrl, unix_now},
    broadcasts::Object,
    problem::Problem,
    server::Server,
    socket,
    telemetry::Protocol,
};

/// Bytes of a request body: the largest call has a few hundred.
const BODY: usize = 64 << 10;

/// Broadcasts in one page, unless asked for otherwise, and at the most.
const PAGE: usize = 50;
const MOST: usize = 200;

/// Connections at once: a backend keeps a few, and a scraper of metrics one.
const CONNECTIONS: usize = 200;

/// A request head's time limit.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the API until `server` stops.
pub async fn serve(server: Arc<Server>, listener: TcpListener) {
    let router = router(server.clone());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    socket::accept(&server, listener, "api", move |server, stream, peer| {
        let (router, place) = (router.clone(), places.clone().try_acquire_owned());
        async move {
            // Without a free place the connection is closed at once.
            if place.is_ok() {
                connection(server, router, stream, peer).await;
            }
        }
    })
    .await;
}

async fn connection(server: Arc<Server>, router: Router, stream: TcpStream, peer: SocketAddr) {
    let mut stopping = server.stopping();
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BODY)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = stopping.wait() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::trace!(%peer, %error, "API connection ended");
    }
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/broadcasts", get(list))
        .route("/api/v1/broadcasts/{id}", get(one))
        .route("/api/v1/broadcasts/{id}/stop", post(stop))
        .route("/api/v1/streams", get(streams))
        .route("/api/v1/push-urls", post(push_url))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed("another method"))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(server)
}

/// Proof that the caller has a token. Every handler that takes it is closed to others.
struct Authorized;

impl FromRequestParts<Arc<Server>> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Problem> {
        authorize(&parts.headers, server)
    }
}

fn authorize(headers: &HeaderMap, server: &Server) -> Result<Authorized, Problem> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let given = Secret::new(token.map_or("", |(_, token)| token));
    // Every token is compared, each in constant time.
    let known =
        server.settings.config.api.tokens.iter().fold(false, |known, token| known | (token.token == given));
    if known && !given.is_empty() {
        return Ok(Authorized);
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "a bearer token of this server is needed")
        .with_header(header::WWW_AUTHENTICATE, "Bearer"))
}

async fn ready(State(server): State<Arc<Server>>) -> Response {
    if server.is_ready() {
        "ok\n".into_response()
    } else {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping").into_response()
    }
}

async fn metrics(_: Authorized, State(server): State<Arc<Server>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], server.metrics.render()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    state: Option<String>,
    app: Option<String>,
    stream: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// A page of a list.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

async fn list(
    _: Authorized,
    State(server): State<Arc<Server>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page<Object>>, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::invalid(error.body_text()))?;
    let name = |error: NameError| Problem::invalid(error.to_string());
    let cursor = filter.cursor.map(|cursor| cursor.parse::<u64>()).transpose();
    let filter = kaibo_store::Filter {
        state: filter.state,
        app: filter.app.map(|app| app.parse()).transpose().map_err(name)?,
        stream: filter.stream.map(|stream| stream.parse()).transpose().map_err(name)?,
        cursor: cursor.map_err(|_| Problem::invalid("cursor is not a next_cursor of this list"))?,
        limit: filter.limit.unwrap_or(PAGE).clamp(1, MOST),
    };
    let (found, next) = server.broadcasts.list(&server, filter).await.map_err(|error| store_fault(&error))?;
    let at = server.public_addresses();
    let now = server.clock.now();
    let items = found.iter().map(|status| status.to_api(&at, now)).collect();
    Ok(Json(Page { items, next_cursor: next.map(|next| next.to_string()) }))
}

/// The id in a path.
type Id = Result<Path<BroadcastId>, PathRejection>;

/// What can't be an id names no broadcast either.
fn no_id(_: PathRejection) -> Problem {
    no_broadcast()
}

async fn one(_: Authorized, State(server): State<Arc<Server>>, id: Id) -> Result<Json<Object>, Problem> {
    let Path(id) = id.map_err(no_id)?;
    object(&server, &id).await
}

/// Ends a broadcast. Stopping one that is over changes nothing and succeeds.
async fn stop(_: Authorized, State(server): State<Arc<Server>>, id: Id) -> Result<Json<Object>, Problem> {
    let Path(id) = id.map_err(no_id)?;
    if let Some(broadcast) = server.broadcasts.get(&id) {
        // The only conflict that `stop` can meet is that it is over already.
        let _ = broadcast.control(Event::Stop).await;
    }
    object(&server, &id).await
}

async fn object(server: &Server, id: &BroadcastId) -> Result<Json<Object>, Problem> {
    let status = server.broadcasts.status(server, id).await.map_err(|error| store_fault(&error))?;
    let status = status.ok_or_else(no_broadcast)?;
    Ok(Json(status.to_api(&server.public_addresses(), server.clock.now())))
}

/// 503: the disk may be back in a moment.
fn store_fault(error: &kaibo_store::Error) -> Problem {
    tracing::error!(%error, "the store fails");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", "the store can't be read; try again")
        .with_header(header::RETRY_AFTER, "1")
}

fn no_broadcast() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_broadcast", "there is no broadcast of this id")
}

async fn streams(_: Authorized, State(server): State<Arc<Server>>) -> Json<serde_json::Value> {
    let now = unix_now();
    let mut live = server.broadcasts.all();
    live.retain(|broadcast| !broadcast.status().state.is_final());
    live.sort_by(|a, b| (a.app(), a.stream()).cmp(&(b.app(), b.stream())));
    let items: Vec<_> = live
        .iter()
        .map(|broadcast| {
            let (status, media) = (broadcast.status(), broadcast.live());
            let health = media.health(kaibo_media::UnixMillis(now.0));
            let tracks = media.tracks();
            let video = tracks.as_ref().and_then(|tracks| tracks.video.as_ref());
            let audio = tracks.as_ref().and_then(|tracks| tracks.audio.as_ref());
            let viewers = |protocol| media.viewers(protocol).get();
            json!({
                "app": status.app,
                "stream": status.stream,
                "broadcast": status.id,
                "state": status.state.name(),
                "push_state": status.push_state,
                "video": video.map(|video| json!({
                    "codecs": video.codecs, "width": video.width, "height": video.height, "fps": (health.fps * 10.0).round() / 10.0,
                })),
                "audio": audio.map(|audio| json!({
                    "codecs": audio.codecs, "sample_rate": audio.sample_rate, "channels": audio.channels,
                })),
                "bitrate": health.bitrate,
                "gop_s": health.gop_seconds,
                "av_drift_ms": health.av_drift_ms,
                "keyframe_age_ms": health.keyframe_age_ms,
                "warnings": health.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "viewers": {
                    "flv": viewers(Protocol::Flv),
                    "ws_flv": viewers(Protocol::WsFlv),
                    "rtmp": viewers(Protocol::Rtmp),
                },
            })
        })
        .collect();
    Json(json!({ "items": items, "next_cursor": null }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushUrlRequest {
    #[serde(default = "default_app")]
    app: String,
    stream: String,
    expires_in_s: u64,
}

fn default_app() -> String {
    "live".into()
}

/// Mints a signed push URL without a broadcast.
async fn push_url(
    _: Authorized,
    State(server): State<Arc<Server>>,
    request: Result<Json<PushUrlRequest>, JsonRejection>,
) -> Result<Json<PushUrl>, Problem> {
    let Json(request) = request.map_err(|rejection| unreadable(&rejection))?;
    let app: App = request.app.parse().map_err(|error: NameError| Problem::invalid(error.to_string()))?;
    let stream: Stream =
        request.stream.parse().map_err(|error: NameError| Problem::invalid(error.to_string()))?;
    if access::is_reserved(&app) {
        return Err(Problem::invalid(format!("{app} can't be an app: other addresses begin with it")));
    }
    let valid = Duration::from_secs(request.expires_in_s);
    if valid.is_zero() {
        return Err(Problem::invalid("expires_in_s is 0"));
    }
    if let Some(longest) = server.access.longest_push(&app).filter(|longest| valid > *longest) {
        return Err(Problem::invalid(format!("expires_in_s is more than {}", longest.as_secs())));
    }
    let expires = unix_now() + valid;
    Ok(Json(access::push_url(&server.access, &server.public_addresses(), &app, &stream, expires)))
}

/// Why a request body was not read.
fn unreadable(rejection: &JsonRejection) -> Problem {
    let code = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        _ => "malformed",
    };
    Problem::new(rejection.status(), code, rejection.body_text())
}
