//! What a replay has not.

use kaibo_replay::Loss;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stretch of a broadcast that is not in its replay, in its media time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Missing)]
pub struct Missing {
    from_ms: i64,
    /// None: up to the end, or up to now while the broadcast is not over.
    to_ms: Option<i64>,
    /// What the disk said.
    reason: String,
}

impl From<&Loss> for Missing {
    fn from(loss: &Loss) -> Self {
        Self {
            from_ms: loss.from.as_millis(),
            to_ms: loss.until.map(|until| until.as_millis()),
            reason: loss.reason().to_owned(),
        }
    }
}
