//! `/webhooks/deliveries`: what was sent, with results.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use kaibo_store::{Attempt, Delivery, DeliveryFilter, DeliveryState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Page,
    input::{self, Filter, Limit},
    store_fault,
};
use crate::{access::rfc3339, problem::Problem, server::Server};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those in this state: `pending`, `delivered` or `gave_up`.
    #[param(pattern = "^(pending|delivered|gave_up)$")]
    state: Option<String>,
    /// Only those to this endpoint.
    endpoint: Option<String>,
    /// Only those about this broadcast.
    broadcast: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 50 unless said otherwise, 200 at most.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
}

/// One event for one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryObject {
    id: String,
    endpoint: String,
    event: Event,
    /// `pending`, `delivered` or `gave_up`.
    state: &'static str,
    /// Since the beginning, or since the last `retry`.
    attempts: u32,
    /// None once it is over, and while an older one about the same broadcast is not.
    #[schema(format = DateTime)]
    next_attempt: Option<String>,
    /// The newest attempt.
    last: Option<Last>,
}

#[derive(Serialize, ToSchema)]
struct Event {
    id: String,
    r#type: String,
    broadcast: Option<String>,
    #[schema(format = DateTime)]
    timestamp: String,
}

#[derive(Serialize, ToSchema)]
struct Last {
    #[schema(format = DateTime)]
    at: String,
    took_ms: u64,
    /// The HTTP status of the answer, if one came.
    status: Option<u16>,
    /// What went wrong, if something did.
    error: Option<String>,
}

impl From<Delivery> for DeliveryObject {
    fn from(delivery: Delivery) -> Self {
        let Delivery { id, endpoint, notice, state, next_attempt, attempts, last } = delivery;
        Self {
            id: id.to_string(),
            endpoint,
            event: Event {
                id: notice.id,
                r#type: notice.kind,
                broadcast: notice.broadcast.map(String::from),
                timestamp: rfc3339(notice.at),
            },
            state: state.name(),
            attempts,
            next_attempt: next_attempt.map(rfc3339),
            last: last.map(|Attempt { at, took, status, error }| Last {
                at: rfc3339(at),
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                status,
                error,
            }),
        }
    }
}

/// Webhook deliveries, newest first.
#[utoipa::path(get, operation_id = "list_deliveries", path = "/api/v1/webhooks/deliveries", tag = "webhooks", params(Which),
    responses((status = 200, body = Page<DeliveryObject>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    Filter(which): Filter<Which>,
) -> Result<Json<Page<DeliveryObject>>, Problem> {
    let state = which.state.as_deref().map(|name| {
        let unknown = || Problem::invalid(format!("state {name:?} is none of pending, delivered, gave_up"));
        DeliveryState::named(name).ok_or_else(unknown)
    });
    let filter = DeliveryFilter {
        state: state.transpose()?,
        endpoint: which.endpoint,
        broadcast: which.broadcast.as_deref().map(input::name).transpose()?,
        cursor: input::cursor(which.cursor)?,
        limit: which.limit.0,
    };
    let page = server.store.ask(move |store| store.deliveries(&filter)).await;
    let page = page.map_err(|error| store_fault(&error))?;
    let items = page.items.into_iter().map(DeliveryObject::from).collect();
    Ok(Json(Page { items, next_cursor: page.next.map(|next| next.to_string()) }))
}

/// Sends a delivery again, whatever became of it.
#[utoipa::path(post, operation_id = "retry_delivery", path = "/api/v1/webhooks/deliveries/{id}/retry", tag = "webhooks",
    params(("id" = String, Path)),
    responses((status = 200, body = DeliveryObject), (status = 404, description = "`no_such_delivery`")))]
pub async fn retry(
    State(server): State<Arc<Server>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<DeliveryObject>, Problem> {
    let none = || Problem::new(StatusCode::NOT_FOUND, "no_such_delivery", "there is no delivery of this id");
    let Path(id) = id.map_err(|_| none())?;
    let now = server.clock.now();
    let found = server.store.ask(move |store| {
        store.retry(id, now)?;
        // The newest one up to `id`.
        let filter = DeliveryFilter { cursor: id.checked_add(1), limit: 1, ..DeliveryFilter::default() };
        Ok(store.deliveries(&filter)?.items.into_iter().find(|delivery| delivery.id == id))
    });
    let found = found.await.map_err(|error| store_fault(&error))?;
    found.map(|delivery| Json(delivery.into())).ok_or_else(none)
}
