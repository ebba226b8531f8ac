//! The control API (JSON, bearer tokens) and the operator's endpoints: metrics and health.

mod audience;
mod broadcasts;
mod clips;
mod deliveries;
mod events;
mod guard;
mod health;
mod idempotency;
mod input;
mod openapi;
mod preview;
mod push_urls;
mod recorded;
mod snapshots;
mod streams;
mod timed;
mod versions;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use kaibo_audience::Phase;
use serde::Serialize;
use tokio::net::TcpListener;
use utoipa::ToSchema;

pub use self::timed::TimedEvent;
use crate::{
    problem::Problem,
    server::Server,
    socket::{self, Listener, Stream},
    telemetry::Protocol,
};

/// Bytes of a request body: the largest call has a few hundred.
const BODY: usize = 64 << 10;

/// Items in one page of a list, unless asked for otherwise, and at the most.
const PAGE: usize = 50;
const MOST: usize = 200;

/// Connections at once: a backend keeps a few, and a scraper of metrics one.
const CONNECTIONS: usize = 200;

/// A request head's time limit.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the API until `server` has stopped: until then it says that it does.
pub async fn serve(server: Arc<Server>, listener: TcpListener) {
    let router = router(server.clone());
    let listener = Listener::plain("api", listener, CONNECTIONS);
    let places = listener.places.clone();
    socket::accept(&server, listener, server.closed(), move |server, stream, peer, place| {
        let router = router.clone();
        async move {
            connection(server, router, stream, peer).await;
            drop(place);
        }
    })
    .await;
    places.all_gone().await;
}

async fn connection(server: Arc<Server>, router: Router, stream: Stream, peer: SocketAddr) {
    let mut stopping = server.stopping();
    // Of a server that stops, one answer for each connection.
    let stays = server.is_ready();
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(stays)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BODY)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = stopping.wait(), if stays => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::trace!(%peer, %error, "API connection ended");
    }
}

fn router(server: Arc<Server>) -> Router {
    let api = Router::new()
        .route("/broadcasts", get(broadcasts::list).post(broadcasts::create))
        .route("/broadcasts/{id}", get(broadcasts::one).patch(broadcasts::change).delete(broadcasts::delete))
        .route("/broadcasts/{id}/audience", get(audience::of))
        .route("/broadcasts/{id}/start", post(broadcasts::start))
        .route("/broadcasts/{id}/stop", post(broadcasts::stop))
        .route("/broadcasts/{id}/pause", post(broadcasts::pause))
        .route("/broadcasts/{id}/resume", post(broadcasts::resume))
        .route("/broadcasts/{id}/preview", post(preview::mint))
        .route("/broadcasts/{id}/events", get(timed::list).post(timed::tell))
        .route("/broadcasts/{id}/timeline", get(recorded::show))
        .route("/broadcasts/{id}/clips", get(clips::list_of_broadcast).post(clips::create))
        .route("/broadcasts/{id}/clips/start", post(clips::start))
        .route("/broadcasts/{id}/versions", get(versions::list).post(versions::create))
        .route("/clips", get(clips::list))
        .route("/clips/{id}", get(clips::one).patch(clips::change).delete(clips::delete))
        .route("/clips/{id}/stop", post(clips::stop))
        .route("/versions/{id}", get(versions::one).patch(versions::change).delete(versions::delete))
        .route("/streams", get(streams::list))
        .route("/streams/{app}/{stream}", get(streams::one))
        .route("/streams/{app}/{stream}/kick", post(streams::kick))
        .route("/streams/{app}/{stream}/ban", put(streams::ban).delete(streams::lift_ban))
        .route("/streams/{app}/{stream}/snapshot", get(snapshots::newest).post(snapshots::take))
        .route("/push-urls", post(push_urls::mint))
        .route("/events", get(events::listen))
        .route("/webhooks/deliveries", get(deliveries::list))
        .route("/webhooks/deliveries/{id}/retry", post(deliveries::retry));
    let guarded = Router::new()
        .nest("/api/v1", api)
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi::document))
        .route_layer(from_fn_with_state(server.clone(), guard::guard));
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(guarded)
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed("another method"))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(server)
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for (protocol, phase) in [(Protocol::Hls, Phase::During), (Protocol::Replay, Phase::After)] {
        let viewers = i64::try_from(server.audiences.visitors(phase)).unwrap_or(i64::MAX);
        server.metrics.viewers(protocol).set(viewers);
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    server.metrics.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    ([(header::CONTENT_TYPE, kind)], server.metrics.render()).into_response()
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
struct Page<T> {
    items: Vec<T>,
    /// `cursor` of the next page; none on the last one.
    next_cursor: Option<String>,
}

/// 503: the disk may be back in a moment.
fn store_fault(error: &kaibo_store::Error) -> Problem {
    tracing::error!(%error, "the store fails");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", "the store can't be used; try again")
        .with_header(header::RETRY_AFTER, "1")
}

fn conflict(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, detail)
}
