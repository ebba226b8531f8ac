//! What every store has to do, whatever its database.
//!
//! An implementation runs all of it with `conformance::suite!(fresh)`, where `fresh()` makes an empty store and
//! something to keep alive beside it.

mod answers;
mod audience;
mod bans;
mod bounds;
mod broadcasts;
mod clips;
mod order;
mod outbox;
mod together;

pub(crate) use answers::*;
pub(crate) use audience::*;
pub(crate) use bans::*;
pub(crate) use bounds::*;
pub(crate) use broadcasts::*;
pub(crate) use clips::*;
pub(crate) use order::*;
pub(crate) use outbox::*;
pub(crate) use together::*;

use std::time::Duration;

use kaibo_broadcast::{Broadcast, Event, Millis, Plan, Policy};

use crate::{Attempt, NewNotice, Record};

macro_rules! suite {
    ($fresh:expr) => {
        crate::conformance::suite!($fresh =>
            a_broadcast_is_read_back_as_it_was_saved,
            a_save_replaces_the_one_before,
            a_name_has_one_broadcast_that_is_not_final,
            a_node_that_lost_its_broadcast_cannot_write_to_it,
            after_a_restart_exactly_the_broadcasts_that_are_not_final_are_there,
            broadcasts_are_listed_newest_first_in_pages,
            broadcasts_are_filtered,
            those_that_ended_long_ago_are_walked_through_oldest_first,
            broadcasts_of_an_app_are_counted_from_a_time_on,
            a_page_goes_on_although_its_last_broadcast_was_deleted,
            a_clip_is_read_back_as_it_was_saved,
            clips_are_listed_newest_first_and_outlive_their_broadcast,
            the_clips_of_a_broadcast_are_shown_and_hidden_together,
            clips_of_a_broadcast_are_bounded,
            a_ban_lasts_until_its_time_or_until_it_is_lifted,
            bans_are_bounded,
            a_repeated_request_gets_the_first_answer,
            a_key_is_free_again_when_its_time_has_passed,
            what_is_larger_than_the_bound_is_refused,
            old_notices_go_and_let_those_behind_them_go_on,
            notices_beyond_the_bound_go,
            what_lapsed_is_pruned,
            notices_come_with_their_transition_or_not_at_all,
            a_save_that_is_repeated_tells_nobody_twice,
            deliveries_about_a_broadcast_go_out_in_order,
            a_failed_delivery_is_due_again_at_its_time,
            endpoints_do_not_wait_for_each_other,
            a_delivery_is_sent_again_on_request,
            a_disabled_endpoint_is_sent_nothing_and_loses_nothing,
            deliveries_are_listed_with_their_results,
            a_client_that_was_away_gets_the_notices_it_missed,
            what_was_to_be_told_of_a_deleted_broadcast_is_told,
            no_history_of_deliveries_breaks_the_order_or_forgets_one,
            an_audience_is_added_to,
            an_audience_goes_with_its_broadcast,
            an_audience_is_forgotten_in_pieces,
            what_is_done_together_is_done_whole_or_not_at_all,
            a_part_that_fails_undoes_only_itself,
        );
    };
    ($fresh:expr => $($case:ident,)*) => {
        $(#[test]
        fn $case() {
            let (mut store, _keep) = $fresh();
            crate::conformance::$case(&mut store);
        })*
    };
}
pub(crate) use suite;

/// A moment, in seconds of the test.
fn at(seconds: i64) -> Millis {
    Millis(1_790_000_000_000 + seconds * 1000)
}

/// A broadcast `id` of the stream `name`, made at second 0.
fn broadcast(id: &str, name: &str) -> Broadcast {
    let (app, stream) = ("live".parse().unwrap(), name.parse().unwrap());
    Broadcast::create(id.parse().unwrap(), app, stream, Plan::default(), Policy::default(), at(0)).0
}

fn record(id: &str, name: &str) -> Record {
    Record::new(&broadcast(id, name), "node-1", 1).unwrap()
}

/// The same, stopped.
fn ended(id: &str, name: &str) -> Record {
    let mut broadcast = broadcast(id, name);
    broadcast.handle(Event::Stop, at(5));
    Record::new(&broadcast, "node-1", 1).unwrap()
}

fn notice(id: &str, broadcast: Option<&str>, endpoints: &[&str]) -> NewNotice {
    NewNotice {
        id: id.into(),
        broadcast: broadcast.map(|id| id.parse().unwrap()),
        kind: "broadcast.started".into(),
        at: at(0),
        body: format!(r#"{{"id":"{id}"}}"#),
        endpoints: endpoints.iter().map(|&name| name.into()).collect(),
    }
}

/// An attempt at second `seconds` that was answered with `status`.
fn answered(status: u16, seconds: i64) -> Attempt {
    let error = (status != 200).then(|| format!("answered {status}"));
    Attempt { at: at(seconds), took: Duration::from_millis(20), status: Some(status), error }
}
