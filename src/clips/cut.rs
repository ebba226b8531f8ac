//! What a clip is cut out of its broadcast, as its row has it.

use kaibo_media::{Timestamp, UnixMillis};
use kaibo_replay::{BadEdit, Edit, Recording, Stretch, Wanted};
use kaibo_store::Clip;
use serde::{Deserialize, Serialize};

use crate::recorder::timeline::{self, wall_at};

/// A stretch of a broadcast, in milliseconds of its media time and since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Passage {
    pub from_ms: i64,
    /// None while it is being marked.
    pub to_ms: Option<i64>,
    pub from: Option<i64>,
    pub to: Option<i64>,
}

/// What is cut out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cut {
    pub passages: Vec<Passage>,
    /// It begins with just that picture; otherwise with the keyframe before it.
    pub precise: bool,
    /// How long it plays, once it is ready.
    pub duration_ms: Option<i64>,
}

impl Passage {
    /// From `from` to `to`, with the wall clock as far as `timeline` knows it.
    pub fn new(from_ms: i64, to_ms: Option<i64>, timeline: &[timeline::Stretch]) -> Self {
        let wall = |millis| wall_at(timeline, Timestamp::from_millis(millis)).map(|wall: UnixMillis| wall.0);
        Self { from_ms, to_ms, from: wall(from_ms), to: to_ms.and_then(wall) }
    }
}

impl Cut {
    /// That of `clip`.
    pub fn of(clip: &Clip) -> Self {
        // Whatever a later version put there in another way is only of this much use.
        serde_json::from_str(&clip.cut).unwrap_or_default()
    }

    pub fn to_json(&self) -> String {
        // Plain fields always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same, ended at `to_ms`. None of one that has an end.
    pub fn ended(mut self, to_ms: i64) -> Option<Self> {
        let last = self.passages.last_mut().filter(|last| last.to_ms.is_none())?;
        last.to_ms = Some(to_ms.max(last.from_ms.saturating_add(1)));
        Some(self)
    }

    /// Where the last stretch ends, in media time. None while it is being marked.
    pub fn end(&self) -> Option<Timestamp> {
        self.passages.last()?.to_ms.map(Timestamp::from_millis)
    }

    /// What is to be cut out of the recording.
    ///
    /// # Errors
    /// While it is being marked there is nothing yet.
    pub fn wanted(&self) -> Result<Wanted, BadEdit> {
        let stretches = self.passages.iter().filter_map(|passage| {
            let (from, to) = (passage.from_ms, passage.to_ms?);
            Some(Stretch { from: Timestamp::from_millis(from), to: Timestamp::from_millis(to) })
        });
        Ok(Wanted { edit: Edit::new(stretches)?, precise: self.precise })
    }

    /// What was cut out of the recording with this `timeline`, to the frame.
    pub fn made(&self, made: &Recording, timeline: &[timeline::Stretch]) -> Self {
        let end = made.segments().last().map_or(Timestamp::MAX, kaibo_replay::Segment::end);
        let edit = made.meta().excerpt.as_ref().map(|excerpt| excerpt.edit.stretches());
        let passages = edit.unwrap_or_default().iter().map(|stretch| {
            Passage::new(stretch.from.as_millis(), Some(stretch.to.min(end).as_millis()), timeline)
        });
        let duration_ms = made.finished().map(|finished| finished.duration.as_millis());
        Self { passages: passages.collect(), precise: self.precise, duration_ms }
    }
}
