//! `/broadcasts/ID/preview`: for those who look before everybody does.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use kaibo_broadcast::Millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    broadcasts::{Id, status},
    input::{Optional, Seconds},
};
use crate::{
    access::{play_urls, preview::PARAMETER, rfc3339, unix_now},
    output::replay_url,
    problem::Problem,
    server::Server,
};

/// How long a token opens, unless asked for otherwise, and at the most, in seconds: it can't be taken back.
const USUAL_S: u64 = 15 * 60;
const LONGEST_S: u64 = 86_400;

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPreview)]
pub struct Wish {
    /// 1 to 86,400; 900 unless said otherwise.
    #[schema(minimum = 1, maximum = 86_400, value_type = Option<u64>)]
    expires_in_s: Option<Seconds>,
}

/// A token, and the addresses that it opens.
#[derive(Serialize, ToSchema)]
pub struct Preview {
    /// The value of `preview` in a query.
    token: String,
    #[schema(format = DateTime)]
    expires_at: String,
    play: PreviewUrls,
    /// The replay's playlist, public or not; none where nothing is recorded.
    replay: Option<String>,
}

/// What shows the push before the start; afterwards these are the stream's own addresses, as they are for everybody.
#[derive(Serialize, ToSchema)]
struct PreviewUrls {
    flv: String,
    ws_flv: String,
    rtmp: String,
    /// The page that plays it, by FLV.
    watch: String,
}

/// Makes a token that shows what is pushed before the start, over FLV and RTMP, and plays a replay that is not public.
#[utoipa::path(post, operation_id = "preview_broadcast", path = "/api/v1/broadcasts/{id}/preview", tag = "broadcasts", params(("id" = String, Path)),
    request_body = Option<Wish>,
    responses((status = 200, body = Preview), (status = 404, description = "`no_such_broadcast`")))]
pub async fn mint(
    State(server): State<Arc<Server>>,
    id: Id,
    Optional(Wish { expires_in_s }): Optional<Wish>,
) -> Result<Json<Preview>, Problem> {
    let status = status(&server, &id.0).await?;
    let seconds = expires_in_s.map_or(USUAL_S, |Seconds(seconds)| seconds);
    if !(1..=LONGEST_S).contains(&seconds) {
        return Err(Problem::invalid(format!("expires_in_s is not within 1 to {LONGEST_S}")));
    }
    // In whole seconds, as the token has it.
    let expires = Millis(unix_now().as_secs() * 1000) + Duration::from_secs(seconds);
    let token = server.access.preview_token(&status.app, &status.id, expires);
    let at = server.public_addresses();
    let play = play_urls(&at, &status.app, &status.stream);
    let with = |url: String| format!("{url}?{PARAMETER}={token}");
    let replay = status.recorded.then(|| with(format!("{}{}", at.http, replay_url(&status.id))));
    let play = PreviewUrls {
        flv: with(play.flv),
        ws_flv: with(play.ws_flv),
        rtmp: with(play.rtmp),
        watch: with(play.watch),
    };
    Ok(Json(Preview { expires_at: rfc3339(expires), play, replay, token }))
}
