//! `Idempotency-Key`: a POST that is sent again is carried out once, and answered in the same way.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderName, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use kaibo_store::{Answer, Idempotent};
use sha2::{Digest, Sha256};

use super::{BODY, conflict, guard::Caller, store_fault};
use crate::{problem::Problem, server::Server};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long an answer is kept: a day of retries.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Characters of a key: a UUID has 36.
const LONGEST: usize = 255;

/// Bytes of an answer: one broadcast, with room to spare.
const ANSWER: usize = 256 << 10;

fn is_key(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Carries `request` out, unless it was before.
pub async fn once(server: Arc<Server>, caller: Caller, request: Request, next: Next) -> Response {
    match request.headers().get(KEY).cloned() {
        Some(key) if request.method() == Method::POST => match key.to_str() {
            Ok(key) if is_key(key) => keyed(server, caller, key, request, next).await,
            _ => Problem::invalid("Idempotency-Key is not 1 to 255 characters of ASCII without spaces")
                .into_response(),
        },
        _ => next.run(request).await,
    }
}

async fn keyed(server: Arc<Server>, caller: Caller, key: &str, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY).await else {
        let detail = "the request body is too large, or did not arrive";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).into_response();
    };
    let mut whole = Sha256::new();
    // Lengths first: no two requests make the same bytes.
    for part in [head.uri.to_string().as_bytes(), &body] {
        whole.update(part.len().to_be_bytes());
        whole.update(part);
    }
    let fingerprint = HEXLOWER.encode(&whole.finalize());
    // A key is the caller's own; as JSON, no two pairs make the same text.
    let key = serde_json::to_string(&(&caller.name, key)).unwrap_or_default();
    let (asked, now) = (key.clone(), server.clock.now());
    match server.store.ask(move |store| store.idempotent(&asked, &fingerprint, now)).await {
        Err(error) => store_fault(&error).into_response(),
        Ok(Idempotent::Conflict) => {
            conflict("idempotency_conflict", "another request came with this Idempotency-Key").into_response()
        }
        Ok(Idempotent::Running) => {
            conflict("idempotency_running", "the first request with this Idempotency-Key is not answered yet")
                .with_header(header::RETRY_AFTER, "1")
                .into_response()
        }
        Ok(Idempotent::Known(Answer { status, body })) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            (status, [(header::CONTENT_TYPE, "application/json"), (REPLAYED, "true")], body).into_response()
        }
        Ok(Idempotent::New) => {
            let request = Request::from_parts(head, Body::from(body));
            // In a task of its own: a caller who hangs up must not leave half of it done.
            let done = tokio::spawn(carry_out(server, key, request, next)).await;
            done.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// Answers, and remembers a success; what was refused may be tried again.
async fn carry_out(server: Arc<Server>, key: String, request: Request, next: Next) -> Response {
    let (head, body) = next.run(request).await.into_parts();
    let bytes = to_bytes(body, ANSWER).await.unwrap_or_default();
    let answer = Answer { status: head.status.as_u16(), body: String::from_utf8_lossy(&bytes).into_owned() };
    let (success, expires) = (head.status.is_success(), server.clock.now() + KEPT);
    let kept = server.store.ask(move |store| match success {
        true => store.remember(&key, &answer, expires),
        false => store.release(&key),
    });
    if let Err(error) = kept.await {
        tracing::error!(%error, "an answer was given, but can't be remembered");
    }
    Response::from_parts(head, Body::from(bytes))
}
