//! Sessions become buckets.

use std::time::Duration;

use kaibo_audience::{Bucket, Crowd, Entrance, Pace, Phase, Protocol, Total};
use kaibo_broadcast::Millis;
use proptest::prelude::*;

const PACE: Pace = Pace { kept: Duration::from_secs(10), target: Duration::from_secs(2) };

/// The beginning of a bucket of two minutes.
const NOON: i64 = 1_790_000_040_000;

fn at(seconds: i64) -> Millis {
    Millis(NOON + seconds * 1000)
}

fn crowd() -> Crowd {
    assert_eq!(Phase::During.bucket_at(at(119)), at(0));
    Crowd::new(Phase::During, 100)
}

fn serve(crowd: &mut Crowd, viewer: u64, now: Millis) {
    assert_eq!(crowd.enter(viewer, 64, now), Entrance::Counted);
    crowd.served(viewer, now, PACE);
    crowd.exit(viewer);
}

/// Joins, leaves, seconds watched and the peak with its second, of each bucket.
fn seen(crowd: &mut Crowd, now: Millis) -> Vec<(u64, u64, u64, u64, i64)> {
    let row = |bucket: &Bucket| {
        let peak_at = (bucket.peak_at.0 - NOON) / 1000;
        (bucket.joins, bucket.leaves, bucket.watched_ms / 1000, bucket.peak, peak_at)
    };
    crowd.buckets(now).iter().map(row).collect()
}

#[test]
fn connected_viewers_are_cut_at_the_borders_of_buckets() {
    let mut crowd = crowd();
    crowd.join(at(60));
    crowd.join(at(90));
    crowd.join(at(130));
    crowd.leave(at(140));
    crowd.leave(at(150));
    assert_eq!(crowd.watching(), 1);
    let expected = [(2, 0, 60 + 30, 2, 90), (1, 2, 20 + 30 + 20 + 90, 3, 130), (0, 0, 60, 1, 240)];
    assert_eq!(seen(&mut crowd, at(300)), expected);
    crowd.leave(at(300));
    let all = crowd.buckets(at(1000));
    let total = Total::of(&all);
    assert_eq!((total.views(), total.0.leaves, total.0.peak, total.0.peak_at), (3, 3, 3, at(130)));
    assert_eq!(total.average_ms(), (300 - 60 + 60 + 10) * 1000 / 3);
    assert_eq!(all.len(), 3, "nobody is in no bucket");
}

#[test]
fn a_viewer_without_a_connection_watches_from_its_first_request_to_its_last_and_what_that_gave_it() {
    let mut crowd = crowd();
    for second in [10, 12, 14, 20] {
        serve(&mut crowd, 1, at(second));
    }
    serve(&mut crowd, 2, at(15));
    assert_eq!(crowd.watching(), 2);
    crowd.sweep(at(25));
    assert_eq!(crowd.watching(), 1);
    crowd.sweep(at(30));
    assert_eq!((crowd.watching(), seen(&mut crowd, at(30))), (0, vec![(2, 2, (20 + 2 - 10) + 2, 2, 15)]));
    // Whoever comes back later begins anew.
    serve(&mut crowd, 1, at(31));
    assert_eq!(seen(&mut crowd, at(32)), [(3, 2, 12 + 2 + 1, 2, 15)]);
}

#[test]
fn one_who_is_back_before_anybody_looked_has_left_all_the_same() {
    let mut crowd = crowd();
    serve(&mut crowd, 1, at(10));
    serve(&mut crowd, 1, at(50));
    assert_eq!(seen(&mut crowd, at(60)), [(2, 2, 2 + 2, 1, 10)]);
}

#[test]
fn a_viewer_without_a_connection_is_in_every_bucket_that_it_watches() {
    let mut crowd = crowd();
    for second in (100..=140).step_by(2) {
        serve(&mut crowd, 1, at(second));
    }
    assert_eq!(seen(&mut crowd, at(200)), [(1, 0, 20, 1, 100), (0, 1, 22, 1, 120)]);
}

#[test]
fn a_viewer_stays_as_long_as_it_waits_and_one_who_gets_nothing_was_never_there() {
    let mut crowd = crowd();
    serve(&mut crowd, 1, at(0));
    crowd.enter(1, 64, at(5));
    crowd.enter(2, 64, at(5));
    crowd.sweep(at(100));
    assert_eq!((crowd.watching(), crowd.visitors()), (1, 2));
    crowd.exit(1);
    crowd.exit(2);
    assert_eq!(seen(&mut crowd, at(101)), [(1, 1, 2, 1, 0)]);
}

#[test]
fn the_table_is_bounded_and_lets_those_go_who_have_left() {
    let mut crowd = crowd();
    (0..100).for_each(|viewer| serve(&mut crowd, viewer, at(0)));
    assert_eq!(crowd.enter(1000, 64, at(0)), Entrance::Full);
    serve(&mut crowd, 5, at(0));
    assert_eq!(crowd.watching(), 100);
    serve(&mut crowd, 1000, at(11));
    assert_eq!(crowd.watching(), 1);
}

#[test]
fn one_viewer_has_only_so_much_under_way() {
    let mut crowd = crowd();
    let entered = (0..100).filter(|_| crowd.enter(1, 64, at(0)) == Entrance::Counted).count();
    assert_eq!((entered, crowd.enter(2, 64, at(0))), (64, Entrance::Counted));
    crowd.exit(1);
    assert_eq!(crowd.enter(1, 64, at(0)), Entrance::Counted);
}

#[test]
fn what_is_stored_is_kept_only_while_it_changes() {
    let mut crowd = crowd();
    crowd.join(at(100));
    crowd.sent(Protocol::Flv, 1000, at(110));
    let first = crowd.unsaved(at(110));
    crowd.note_saved(&first[0]);
    assert_eq!(crowd.unsaved(at(110)), []);
    crowd.sent(Protocol::Hls, 10, at(115));
    crowd.leave(at(130));
    // A slow store answers for what it was given before.
    crowd.note_saved(&first[0]);
    let rest = crowd.unsaved(at(130));
    assert_eq!(rest.len(), 2);
    assert_eq!(first[0].later(rest[0]), rest[0]);
    assert_eq!((rest[0].start, rest[0].sent.total(), rest[1].start), (first[0].start, 1010, at(120)));
    rest.iter().for_each(|bucket| crowd.note_saved(bucket));
    assert!(!crowd.is_idle(), "its bucket is not over");
    crowd.sweep(at(240));
    crowd.unsaved(at(240)).iter().for_each(|bucket| crowd.note_saved(bucket));
    assert!(crowd.is_idle());
}

#[test]
fn a_store_that_stays_away_costs_no_more_than_a_day() {
    let mut crowd = crowd();
    crowd.join(at(0));
    assert_eq!(crowd.buckets(at(2 * 86_400)).len(), 720 + 1);
}

#[test]
fn stretches_of_one_bucket_are_put_together() {
    let bucket = |second, peak| Bucket {
        start: at(second),
        joins: 1,
        watched_ms: 5,
        peak,
        peak_at: at(second),
        ..Bucket::default()
    };
    let together = Phase::During.by_the_clock([bucket(130, 1), bucket(10, 2), bucket(50, 3), bucket(90, 3)]);
    let [first, second] = &together[..] else { panic!("{together:?}") };
    assert_eq!((first.start, first.joins, first.watched_ms), (at(0), 3, 15));
    assert_eq!((first.peak, first.peak_at, second.start), (3, at(50), at(120)));
}

proptest! {
    /// Whatever viewers do: each bucket has what they watched within it, and all of them together everything.
    #[test]
    fn nothing_is_lost_between_buckets(
        views in prop::collection::vec((0..900_000_i64, 0..400_000_i64), 1..40),
        requests in prop::collection::vec((0..4_u64, 0..900_000_i64), 0..100),
    ) {
        let mut events: Vec<(i64, i8, u64)> = Vec::new();
        for (from, length) in &views {
            events.push((*from, 1, 0));
            events.push((from + length, -1, 0));
        }
        events.extend(requests.iter().map(|(viewer, time)| (*time, 0, *viewer)));
        events.sort_by_key(|(time, kind, _)| (*time, -kind));
        let mut crowd = Crowd::new(Phase::During, 100);
        for (time, kind, viewer) in &events {
            let now = Millis(NOON + time);
            match kind {
                1 => crowd.join(now),
                -1 => crowd.leave(now),
                _ => serve(&mut crowd, *viewer, now),
            }
        }
        let buckets = crowd.buckets(Millis(NOON + 2_000_000));

        // The requests of one viewer, where less than it is kept for lies between them, are one view.
        let (mut of_requests, mut views_of_requests) = (0, 0);
        for viewer in 0..4 {
            let mut times: Vec<i64> =
                requests.iter().filter(|(who, _)| *who == viewer).map(|(_, time)| *time).collect();
            times.sort_unstable();
            for (at, time) in times.iter().enumerate() {
                let next = times.get(at + 1).filter(|next| *next - time < 10_000);
                views_of_requests += u64::from(next.is_none());
                of_requests += next.map_or(2000, |next| next - time);
            }
        }
        let connected: i64 = views.iter().map(|(_, length)| length).sum();
        let total = Total::of(&buckets);
        prop_assert_eq!(total.0.watched_ms, (connected + of_requests) as u64);
        prop_assert_eq!(total.views(), views.len() as u64 + views_of_requests);
        prop_assert_eq!(total.0.leaves, total.views());

        if requests.is_empty() {
            for bucket in &buckets {
                let (from, to) = (bucket.start.0 - NOON, Phase::During.bucket_at(bucket.start).0 - NOON + 120_000);
                let within = |(start, length): &(i64, i64)| ((start + length).min(to) - (*start).max(from)).max(0);
                prop_assert_eq!(bucket.watched_ms as i64, views.iter().map(within).sum::<i64>());
                let there = |time: i64| views.iter().filter(|(start, length)| (*start..=start + length).contains(&time)).count();
                prop_assert_eq!(bucket.peak as usize, there(bucket.peak_at.0 - NOON));
            }
        }
    }
}
