//! `/broadcasts/ID/audience`: how many watched, as JSON or as a table.

mod csv;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use kaibo_audience::{Bucket, Phase, Sent, Total};
use kaibo_broadcast::{BroadcastId, Millis};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    broadcasts::{self, Id},
    input::Filter,
    store_fault,
};
use crate::{access::rfc3339, audience::Report, broadcasts::Status, problem::Problem, server::Server};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// `json` or `csv`; as the header `Accept` asks unless said here.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Csv,
}

/// How many watched a broadcast, and when. Viewers are counted, and never stored: no addresses and no user agents.
#[derive(Serialize, ToSchema)]
pub struct Audience {
    #[schema(value_type = String)]
    broadcast: BroadcastId,
    title: String,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// About how many different viewers there were in all phases together, by address and player: within 5 % mostly.
    viewers: u64,
    total: Counts,
    phases: Phases,
    /// Oldest first, those in which somebody watched.
    buckets: Vec<Slot>,
}

/// What was watched: not when. A replay can be watched while the broadcast is live.
#[derive(Serialize, ToSchema)]
struct Phases {
    /// Pages and players that wait for the start, and viewers of the preview.
    before: Counts,
    /// Viewers of the broadcast itself.
    during: Counts,
    /// Viewers of its replay, as HLS or as one file, and of what was cut out of it.
    after: Counts,
}

/// Sums of buckets.
#[derive(Serialize, ToSchema)]
struct Counts {
    /// Views that began. Whoever goes away and comes back, or changes the quality, is another view.
    views: u64,
    /// The most at the same time; of the total, that of the phase where there were most.
    peak: Option<Peak>,
    /// Seconds that all of them together have watched.
    watch_s: f64,
    /// Of a view, those that go on included.
    average_watch_s: f64,
    egress_bytes: Egress,
}

#[derive(Serialize, ToSchema)]
struct Peak {
    viewers: u64,
    /// When there were so many for the first time.
    #[schema(format = DateTime)]
    at: String,
}

/// Bytes handed to viewers' sockets: media, of HLS playlists as well.
#[derive(Serialize, ToSchema)]
struct Egress {
    total: u64,
    flv: u64,
    ws_flv: u64,
    rtmp: u64,
    hls: u64,
    /// Replays, clips and versions as one file.
    mp4: u64,
}

/// 120 s of the broadcast, or an hour before its start and of its replay; cut by the clock.
#[derive(Serialize, ToSchema)]
struct Slot {
    /// `before`, `during` or `after`.
    phase: &'static str,
    #[schema(format = DateTime)]
    at: String,
    length_s: u64,
    /// Views that began.
    joins: u64,
    /// Views that ended.
    leaves: u64,
    /// How many watched on average, over the whole length or what has passed of it.
    average: f64,
    /// The most at the same time.
    peak: u64,
    watch_s: f64,
    egress_bytes: Egress,
}

/// How many watched it: totals, and a curve over time; kept for 90 days unless configured otherwise.
#[utoipa::path(get, operation_id = "get_audience", path = "/api/v1/broadcasts/{id}/audience", tag = "broadcasts",
    params(("id" = String, Path), Wanted),
    responses((status = 200, content((Audience = "application/json"), (String = "text/csv"))),
        (status = 404, description = "`no_such_broadcast`")))]
pub async fn of(
    State(server): State<Arc<Server>>,
    Id(id): Id,
    Filter(wanted): Filter<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let status = broadcasts::status(&server, &id).await?;
    let report = server.audiences.report(&server, &id).await.map_err(|error| store_fault(&error))?;
    let audience = Audience::of(&status, &report, server.clock.now());
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = wanted.format.unwrap_or(match accepted.contains("text/csv") {
        true => Format::Csv,
        false => Format::Json,
    });
    let vary = (header::VARY, "Accept".to_owned());
    Ok(match format {
        Format::Json => ([vary], Json(audience)).into_response(),
        Format::Csv => {
            let name = format!("attachment; filename=\"audience-{id}.csv\"");
            let kind = (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned());
            ([vary, kind, (header::CONTENT_DISPOSITION, name)], csv::table(&audience)).into_response()
        }
    })
}

impl Audience {
    fn of(status: &Status, report: &Report, now: Millis) -> Self {
        let counts = |wanted: Option<Phase>| {
            let of = report.phases.iter().filter(|(phase, _)| wanted.is_none_or(|wanted| wanted == *phase));
            Counts::of(&Total::of(of.flat_map(|(_, buckets)| buckets)))
        };
        let slot = |(phase, buckets): &(Phase, Vec<Bucket>)| {
            let phase = *phase;
            buckets.iter().map(move |bucket| (bucket.start, Slot::of(phase, bucket, now))).collect::<Vec<_>>()
        };
        let mut buckets: Vec<_> = report.phases.iter().flat_map(slot).collect();
        buckets.sort_by_key(|(start, _)| *start);
        Self {
            broadcast: status.id.clone(),
            title: status.title.clone(),
            started_at: status.started_at.map(rfc3339),
            ended_at: status.ended_at.map(rfc3339),
            viewers: report.viewers,
            total: counts(None),
            phases: Phases {
                before: counts(Some(Phase::Before)),
                during: counts(Some(Phase::During)),
                after: counts(Some(Phase::After)),
            },
            buckets: buckets.into_iter().map(|(_, slot)| slot).collect(),
        }
    }
}

impl Counts {
    fn of(total: &Total) -> Self {
        let Total(bucket) = total;
        Self {
            views: total.views(),
            peak: (bucket.peak > 0).then(|| Peak { viewers: bucket.peak, at: rfc3339(bucket.peak_at) }),
            watch_s: seconds(bucket.watched_ms),
            average_watch_s: seconds(total.average_ms()),
            egress_bytes: Egress::of(&bucket.sent),
        }
    }
}

impl Egress {
    fn of(sent: &Sent) -> Self {
        let Sent { flv, ws_flv, rtmp, hls, mp4 } = *sent;
        Self { total: sent.total(), flv, ws_flv, rtmp, hls, mp4 }
    }
}

impl Slot {
    fn of(phase: Phase, bucket: &Bucket, now: Millis) -> Self {
        let passed = now.since(bucket.start).min(phase.bucket()).as_millis().max(1);
        Self {
            phase: phase.name(),
            at: rfc3339(bucket.start),
            length_s: phase.bucket().as_secs(),
            joins: bucket.joins,
            leaves: bucket.leaves,
            average: (bucket.watched_ms as f64 / passed as f64 * 100.0).round() / 100.0,
            peak: bucket.peak,
            watch_s: seconds(bucket.watched_ms),
            egress_bytes: Egress::of(&bucket.sent),
        }
    }
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_over_what_has_passed_of_its_bucket() {
        let start = Phase::During.bucket_at(Millis(1_790_000_000_000));
        let bucket = Bucket { start, watched_ms: 60_000, ..Bucket::default() };
        let average = |passed: i64| Slot::of(Phase::During, &bucket, Millis(start.0 + passed)).average;
        assert_eq!([30_000, 120_000, 9_000_000].map(average), [2.0, 0.5, 0.5]);
        let hour = Slot::of(Phase::After, &bucket, Millis(start.0 + 9_000_000));
        assert_eq!((hour.average, hour.length_s), (0.02, 3600));
    }
}
