//! `/push-urls`: signed push URLs without a broadcast.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use kaibo_broadcast::Stream;
use serde::Deserialize;
use utoipa::ToSchema;

use super::input::{self, Body, Seconds};
use crate::{
    access::{self, PushUrl, unix_now},
    problem::Problem,
    server::Server,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPushUrl)]
pub struct New {
    /// `live` unless said otherwise.
    #[serde(default = "input::default_app")]
    #[schema(default = "live")]
    app: String,
    stream: String,
    #[schema(minimum = 1, value_type = u64)]
    expires_in_s: Seconds,
}

/// Mints a signed push URL without a broadcast.
#[utoipa::path(post, operation_id = "mint_push_url", path = "/api/v1/push-urls", tag = "streams", request_body = New,
    responses((status = 200, body = PushUrl)))]
pub async fn mint(State(server): State<Arc<Server>>, Body(new): Body<New>) -> Result<Json<PushUrl>, Problem> {
    let (app, stream) = (input::app(&new.app)?, input::name::<Stream>(&new.stream)?);
    let valid = Duration::from_secs(new.expires_in_s.0);
    if valid.is_zero() {
        return Err(Problem::invalid("expires_in_s is 0"));
    }
    if let Some(longest) = server.access.longest_push(&app).filter(|longest| valid > *longest) {
        return Err(Problem::invalid(format!("expires_in_s is more than {}", longest.as_secs())));
    }
    let expires = unix_now() + valid;
    Ok(Json(access::push_url(&server.access, &server.public_addresses(), &app, &stream, expires)))
}
