use std::{net::IpAddr, time::Duration};

use super::*;

const PACE: Pace = Pace { kept: Duration::from_secs(10), target: Duration::from_secs(2) };

fn audience(most: usize) -> Audience {
    Audience::new(Clock::default(), most, None)
}

fn person(address: &str, agent: &str) -> Person {
    Person::new(address.parse().unwrap(), agent)
}

fn at(address: &str, agent: &str) -> Viewer<'static> {
    Viewer { session: None, person: person(address, agent) }
}

fn session(name: &str) -> Viewer<'_> {
    Viewer { session: Some(name), person: person("192.0.2.1", "Safari") }
}

fn serve(audience: &Audience, viewer: Viewer<'_>, now: Millis) {
    enter(audience, Phase::During, viewer, now).unwrap().served_at(Protocol::Hls, 100, PACE, now);
}

fn enter<'a>(
    audience: &'a Audience,
    phase: Phase,
    viewer: Viewer<'_>,
    now: Millis,
) -> Option<Visit<&'a Audience>> {
    Visit::begin(audience, phase, viewer, now)
}

fn count(audience: &Audience, now: Millis) -> usize {
    audience.sweep(now);
    audience.state().crowd(Phase::During).visitors()
}

#[test]
fn a_viewer_is_an_address_with_a_player_or_a_session() {
    let (audience, now) = (audience(100), Millis(0));
    for _ in 0..3 {
        serve(&audience, at("192.0.2.1", "Safari"), now);
        serve(&audience, at("192.0.2.1", "Chrome"), now);
        serve(&audience, at("192.0.2.2", "Safari"), now);
        serve(&audience, at("::ffff:192.0.2.2", "Safari"), now);
        serve(&audience, at("2001:db8::1", ""), now);
        serve(&audience, at("2001:db8::2", ""), now);
        serve(&audience, session("session=1"), now);
        serve(&audience, session("session=2"), now);
    }
    assert_eq!(count(&audience, now), 6);
    let bucket = audience.buckets(now)[0].1;
    assert_eq!((bucket.joins, bucket.peak, bucket.sent.hls), (6, 6, 2400));
    // Of two sessions nobody knows better than that one person has them.
    assert!((3..=4).contains(&audience.seen()), "{}", audience.seen());
}

#[test]
fn one_address_is_no_crowd_whatever_it_calls_itself() {
    let audience = audience(100_000);
    for name in 0..5000 {
        serve(&audience, at("192.0.2.1", &name.to_string()), Millis(0));
    }
    assert!(count(&audience, Millis(0)) <= 256);
}

#[test]
fn a_session_has_a_limit_and_an_address_with_thousands_behind_it_has_none() {
    let (audience, now) = (audience(100), Millis(0));
    let enter = |phase, viewer| enter(&audience, phase, viewer, now);
    let visits = |phase, viewer| -> Vec<_> { (0..1000).map_while(|_| enter(phase, viewer)).collect() };
    let held = visits(Phase::During, session("session=1"));
    assert_eq!(held.len(), AT_ONCE as usize);
    assert!(enter(Phase::During, session("session=2")).is_some());
    drop(held);
    assert!(enter(Phase::During, session("session=1")).is_some());
    assert_eq!(visits(Phase::During, at("192.0.2.1", "")).len(), 1000);
    assert_eq!(visits(Phase::After, session("session=1")).len(), 1000);
}

#[test]
fn whoever_takes_its_time_over_a_file_is_there_for_all_of_it() {
    let audience = Arc::new(audience(100));
    let serve = |visit: &Visit<Arc<Audience>>, second: i64| {
        visit.served_at(Protocol::Mp4, 50, PACE, Millis(second * 1000));
    };
    let visit = Visit::begin(audience.clone(), Phase::During, at("192.0.2.1", "Safari"), Millis(0)).unwrap();
    assert_eq!(audience.seen(), 0, "it has nothing yet");
    serve(&visit, 0);
    // Its player has enough for a minute.
    assert_eq!(count(&audience, Millis(60_000)), 1);
    serve(&visit, 60);
    drop(visit);
    assert_eq!(count(&audience, Millis(69_999)), 1);
    assert_eq!(count(&audience, Millis(70_000)), 0);
    let bucket = audience.buckets(Millis(70_000))[0].1;
    assert_eq!((bucket.joins, bucket.leaves, bucket.watched_ms), (1, 1, 62_000));
    assert_eq!((bucket.sent.mp4, bucket.sent.total()), (100, 100));
}

#[test]
fn whoever_gets_nothing_is_no_viewer() {
    let audience = audience(100);
    for host in 0..100 {
        let viewer = Viewer { session: None, person: Person::new(IpAddr::from([192, 0, 2, host]), "") };
        drop(enter(&audience, Phase::During, viewer, Millis(0)));
    }
    assert_eq!((count(&audience, Millis(0)), audience.seen()), (0, 0));
    assert!(audience.is_idle());
}

#[test]
fn a_viewer_who_is_known_is_known_after_a_restart_and_its_address_is_not() {
    let before = audience(100);
    serve(&before, at("192.0.2.1", "Safari"), Millis(0));
    let unsaved = before.unsaved(Millis(0)).unwrap();
    let stored = unsaved.seen.clone().unwrap();
    before.note_failed(&unsaved);
    assert_eq!(before.unsaved(Millis(0)).unwrap().seen, Some(stored.clone()), "it is tried again");
    assert!(!stored.windows(4).any(|bytes| bytes == [192, 0, 2, 1]));

    let after = Audience::new(Clock::default(), 100, Some(&stored));
    serve(&after, at("192.0.2.1", "Safari"), Millis(0));
    assert_eq!((after.seen(), after.unsaved(Millis(0)).unwrap().seen), (1, None), "nothing is new");
    serve(&after, at("192.0.2.2", "Safari"), Millis(0));
    assert_eq!(after.seen(), 2);
}

#[test]
fn a_connected_viewer_is_counted_until_it_is_gone_with_all_it_was_sent() {
    let audience = Arc::new(audience(100));
    let mut guest = audience.join(Phase::During, Some(Protocol::Flv), person("192.0.2.1", ""));
    guest.sent(LUMP);
    guest.sent(1);
    assert_eq!(audience.connected(Protocol::Flv).get(), 1);
    assert_eq!(audience.buckets(audience.clock.now())[0].1.sent.flv, LUMP);
    drop(guest);
    assert_eq!(audience.connected(Protocol::Flv).get(), 0);
    let bucket = audience.buckets(audience.clock.now())[0].1;
    assert_eq!((bucket.joins, bucket.leaves, bucket.sent.flv), (1, 1, LUMP + 1));
}
