//! `/livez` and `/readyz`, for whoever watches over the server: without a token, and without a name.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{problem::Problem, server::Server};

pub async fn live() -> &'static str {
    "ok\n"
}

/// 503 once the server stops. What is wrong before that is told and no more: a full disk costs replays, and a server
/// that is taken out of service for it costs the broadcasts, too.
pub async fn ready(State(server): State<Arc<Server>>) -> Response {
    if !server.is_ready() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping")
            .into_response();
    }
    let troubles = [
        ("disk_full", server.recordings.is_full(&server.settings())),
        ("record_losing", server.metrics.record_losing.get() > 0),
        ("store", server.metrics.store_pending.get() > 0),
    ];
    let reasons: Vec<&str> = troubles.into_iter().filter(|(_, is)| *is).map(|(reason, _)| reason).collect();
    let status = if reasons.is_empty() { "ready" } else { "degraded" };
    Json(json!({ "status": status, "reasons": reasons })).into_response()
}
