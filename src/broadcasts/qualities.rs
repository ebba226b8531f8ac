//! Qualities of one stream: broadcasts of their own, whose names are that stream's with different endings.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use kaibo_broadcast::{App, State, Stream};
use kaibo_media::Timestamp;

use super::{Broadcasts, Handle, Status};
use crate::live::{Group, Member};

/// The groups that have a broadcast in memory.
#[derive(Default)]
pub struct Groups(Mutex<HashMap<(App, Stream), Weak<Group>>>);

impl Groups {
    /// The place of a broadcast in its group, if its name has one of `endings`. Its media goes on from `end`.
    pub fn join(
        &self,
        app: &App,
        stream: &Stream,
        endings: &[String],
        end: Timestamp,
    ) -> Option<Arc<Member>> {
        let stem = stem(stream, endings)?;
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, group| group.strong_count() > 0);
        let known = groups.entry((app.clone(), stem)).or_default();
        let group = known.upgrade().unwrap_or_default();
        *known = Arc::downgrade(&group);
        Some(Arc::new(group.join(end)))
    }
}

/// The name that `stream` is a quality of; of several endings the longest counts.
pub fn stem(stream: &Stream, endings: &[String]) -> Option<Stream> {
    let stems = endings.iter().filter_map(|ending| stream.as_str().strip_suffix(ending.as_str()));
    stems.min_by_key(|stem| stem.len())?.parse().ok()
}

impl Broadcasts {
    /// The qualities of a name that can be watched, in the order of `endings`. None where a broadcast of that very name
    /// is not over: it is what is watched.
    pub fn qualities(&self, app: &App, name: &Stream, endings: &[String]) -> Vec<Arc<Handle>> {
        let own = self.named_status(app, name);
        if own.is_some_and(|own| !own.state.is_final() || own.state.is_withheld()) {
            return Vec::new();
        }
        let members = endings.iter().filter_map(|ending| format!("{name}{ending}").parse::<Stream>().ok());
        members
            .filter(|member| stem(member, endings).as_ref() == Some(name))
            .filter_map(|member| self.named(app, &member))
            .filter(|member| {
                matches!(member.status().state, State::Live | State::Interrupted { .. } | State::Paused)
            })
            .collect()
    }

    /// What is known of a name, as viewers of it are told: of several qualities, what is true of the stream.
    pub fn viewed_status(&self, app: &App, name: &Stream, endings: &[String]) -> Option<Arc<Status>> {
        let members: Vec<_> =
            self.qualities(app, name, endings).iter().map(|member| member.status()).collect();
        // The oldest gives its id, whatever becomes of it: a page takes another id for another broadcast.
        let Some(oldest) = members.iter().min_by_key(|status| (status.started_at, status.created_at)) else {
            return self.named_status(app, name);
        };
        let best = members.iter().find(|status| status.state == State::Live).unwrap_or(oldest);
        Some(Arc::new(Status {
            state: best.state,
            resume_deadline: best.resume_deadline,
            size: members.iter().filter_map(|status| status.size).max(),
            ..Status::clone(oldest)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Stream {
        text.parse().unwrap()
    }

    #[test]
    fn a_quality_is_known_by_the_ending_of_its_name() {
        let endings = ["_sd", "_hd", "_full_hd"].map(String::from);
        for (stream, expected) in [
            ("room_sd", Some("room")),
            ("room_full_hd", Some("room")),
            ("room", None),
            ("_sd", None),
            ("a_sdx", None),
        ] {
            assert_eq!(stem(&name(stream), &endings), expected.map(name), "{stream}");
        }
        assert_eq!(stem(&name("room_sd"), &[]), None);
    }
}
